import math
from collections import Counter

import pytest
import torch
from table_policy import TablePolicy
from tiny_models import tiny_policy

from seqil import Trajectories, Vocabulary, decoding, metrics, rollout, start
from seqil.decoding import NamedRule, backspace_bias, contrastive_search, loop_guard, min_p, parse, tabu, top_k, top_p
from seqil.errors import InvalidInputError, NonFiniteError
from seqil.mdp.prefix import legal_actions, transition
from seqil.rollouts import rollout_reference

V = Vocabulary(4, 3)
BACKSPACE = V.backspace
OPTIONS = {"max_length": 3, "max_actions": 30}


def actions_of(t):
    return [row[:n] for row, n in zip(t.actions.tolist(), t.lengths.tolist(), strict=True)]


def always(*preferred):
    """A policy that takes the first of these actions that is legal, whatever the prefix."""
    policy = TablePolicy(V)
    logits = torch.full((V.num_actions,), -9.0, dtype=torch.float64)
    logits[list(preferred)] = torch.arange(len(preferred), 0, -1, dtype=torch.float64) * 9
    policy._logits = lambda text: logits
    return policy


def greedy(policy, *rules, prompts=((0,),), **options):
    t = rollout_reference(policy, prompts, temperature=0, rules=rules, **OPTIONS | options)
    return actions_of(t)[0] if len(t) == 1 else actions_of(t)


def test_tabu_in_full():
    # Deletes all it can: each prefix is left only when all of its tokens but eos have been tried.
    B = BACKSPACE
    assert greedy(always(B, 0, 1, 2), max_actions=5) == [0, B, 0, B, 0]
    assert greedy(always(B, 0, 1, 2), tabu()) == [0, B, 1, B, 2, B, 3]


def test_tabu_is_lifted_when_the_prefix_itself_was_deleted():
    policy, B = TablePolicy(V), BACKSPACE
    plan = iter([0, 1, B, B, 2, 0, B, 1, 3])
    policy._logits = lambda text: -9.0 + 18.0 * torch.nn.functional.one_hot(torch.tensor(next(plan)), 5).double()
    assert greedy(policy, tabu()) == [0, 1, B, B, 2, 0, B, 1, 3]


def test_tabu_without_an_alternative_writes_as_before():
    B = BACKSPACE
    policy = always(B, 0, 1, 2)
    assert greedy(policy, tabu(), min_length=3, max_actions=8) == [0, B, 1, B, 2, B, 0, B]


def test_loop_guard_in_full():
    B = BACKSPACE
    assert greedy(always(B, 0), loop_guard(0)) == [0, 0, 0, 3]
    assert greedy(always(B, 0), loop_guard(1)) == [0, B, 0, 0, B, 0, 0, B, 0, 3]


@pytest.mark.parametrize("b", [-1.5, 2])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_backspace_bias_multiplies_the_odds_of_a_deletion(b, temperature):
    policy = TablePolicy(V, seed=3)
    draw = {"generator": torch.Generator().manual_seed(0), "temperature": temperature, **OPTIONS}
    t = rollout_reference(policy, [[0]] * 60, rules=[backspace_bias(b)], **draw)
    deletions = 0
    for row in range(60):
        state = start(V, [[0]], OPTIONS["max_length"])
        for action, found in zip(t.actions[row, : t.lengths[row]].tolist(), t.log_prob[row].tolist(), strict=False):
            law = (policy.log_probs(state)[0] / temperature).softmax(-1)
            odds = law[BACKSPACE] / (1 - law[BACKSPACE]) * math.exp(b)
            deleted = odds / (1 + odds)
            expected = deleted if action == BACKSPACE else law[action] / (1 - law[BACKSPACE]) * (1 - deleted)
            assert math.exp(found) == pytest.approx(expected.item(), rel=1e-5)
            deletions += action == BACKSPACE
            state = transition(V, state, torch.tensor([action]))
    assert deletions > 5


def test_backspace_bias_is_for_legal_backspaces_and_changes_nothing_in_place():
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf, -torch.inf], [0.0, 1.0, 2.0, 3.0, 4.0]])
    kept = logits.clone()
    found = backspace_bias(7).begin(TablePolicy(V))(start(V, [[0], [0]], 3), torch.arange(2), logits)
    assert torch.equal(logits, kept)
    assert found.tolist() == [[0, 1, 2, -torch.inf, -torch.inf], [0, 1, 2, 3, 11]]


def test_an_earlier_rule_wins():
    B = BACKSPACE
    policy = always(B, 0)
    assert greedy(policy, loop_guard(1), top_k(1)) == greedy(policy, loop_guard(1))
    assert greedy(policy, top_k(1), loop_guard(1)) == [0, B] * 15


def test_rules_see_the_law_after_the_temperature():
    policy = always()
    policy._logits = lambda text: torch.tensor([0.6, 0.25, 0.1, 0.05, 1e-9]).double().log()
    draw = {"generator": torch.Generator().manual_seed(0), "rules": [min_p(0.5)], **OPTIONS}
    cold = rollout_reference(policy, [[0]] * 200, **draw)  # 0.25 < 0.6 / 2
    hot = rollout_reference(policy, [[0]] * 200, temperature=2.0, **draw)  # sqrt(0.25) > sqrt(0.6) / 2
    assert set(cold.actions[:, 0].tolist()) == {0}
    assert set(hot.actions[:, 0].tolist()) == {0, 1}
    weight = torch.tensor([0.6, 0.25]).sqrt()
    torch.testing.assert_close(hot.log_prob[:, 0], (weight / weight.sum()).log()[hot.actions[:, 0]])


@pytest.mark.parametrize("sample", [rollout, rollout_reference])
def test_a_warp_sees_running_rows_by_name_and_clean_prefixes(sample):
    policy, seen = tiny_policy("gpt2"), []

    def begin(policy):
        def warp(prefixes, rows, logits):
            assert len(prefixes) == len(rows) == len(logits)
            assert not prefixes.ended.any()
            beyond = torch.arange(prefixes.tokens.shape[1]) >= prefixes.length[:, None]
            assert bool((prefixes.tokens == policy.vocabulary.size)[beyond].all())
            seen.append(rows.tolist())
            return logits

        return warp

    generator = torch.Generator().manual_seed(1)
    t = sample(policy, [[0], [1], [2]], generator=generator, rules=[NamedRule("look", begin)], **OPTIONS)
    assert bool((t.actions == policy.vocabulary.backspace)[t.inside].any())
    assert len(set(t.lengths.tolist())) > 1
    assert all(len(set(rows)) == len(rows) for rows in seen)
    assert Counter(row for rows in seen for row in rows) == Counter(dict(enumerate(t.lengths.tolist())))


def test_a_rule_that_breaks_the_logits_is_named():
    broken = NamedRule("nan", lambda policy: lambda prefixes, rows, logits: logits * torch.nan)
    with pytest.raises(NonFiniteError, match="logits of row 0 at action 0 are not finite; a rule has broken them"):
        rollout_reference(TablePolicy(V), [[0]], rules=[broken], **OPTIONS)


def expected_contrastive(policy, prefixes, k, alpha):
    """Its formula, one plain forward per candidate."""
    chosen = []
    log_p = policy.log_probs(prefixes)
    for row in range(len(prefixes)):
        one, scores = prefixes.select(slice(row, row + 1)), {}
        legal = legal_actions(policy.vocabulary, one)[0]
        for action in log_p[row].masked_fill(~legal, -torch.inf).topk(k).indices.tolist():
            if not legal[action]:
                continue
            after = transition(policy.vocabulary, one, torch.tensor([action]))
            text = torch.tensor(after.texts(prompt=True))
            states = policy.model.base_model(text).last_hidden_state[0]
            cosines = torch.nn.functional.cosine_similarity(states[-1:], states[:-1], dim=-1)
            worst = float(cosines.max()) if len(cosines) else 0.0
            scores[action] = (1 - alpha) * float(log_p[row, action].exp()) - alpha * worst
        chosen.append(max(scores, key=scores.get))
    return chosen


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@torch.no_grad()
def test_contrastive_search_is_its_formula(family):
    policy = tiny_policy(family)
    v = policy.vocabulary
    state = start(v, [[0], [1, 2, 3], [2, 2], [0, 1]], 4)
    warps = {alpha: contrastive_search(4, alpha).begin(policy) for alpha in (0.0, 0.3, 0.6, 1.0)}
    taken = []
    for action in [1, v.backspace, 2, 3, v.backspace, v.backspace, 1, 2, 5, v.backspace, 3, 0, v.backspace]:
        legal = legal_actions(v, state)
        for alpha, warp in warps.items():
            logits = policy.log_probs(state).masked_fill(~legal, -torch.inf)
            found = warp(state, torch.arange(4), logits)
            assert bool((found.isfinite().sum(1) == 1).all())
            assert found.argmax(1).tolist() == expected_contrastive(policy, state, 4, alpha)
            taken += found.argmax(1).tolist()
        state = transition(v, state, torch.tensor([action] * 4))
    assert v.backspace in taken
    assert len(set(taken)) > 3


def test_contrastive_search_needs_fewer_candidates_than_actions():
    with pytest.raises(InvalidInputError, match="k=99, but there are 8 actions"):
        contrastive_search(99, 0.5).begin(tiny_policy("gpt2"))


def test_cost_counts_what_rules_feed():
    B = BACKSPACE
    t = Trajectories.from_actions(V, [[0, 1], [2]], [[0, B, 1, 3], [3]])
    plain, ruled = metrics.cost(t), metrics.cost(t, [contrastive_search(2, 0.5), tabu()])
    assert plain.forwards.tolist() == [5, 1]
    assert ruled.forwards.tolist() == [5 + (2 + 3 + 2 + 3) + 4 * 2, 1 + 1 + 2]
    assert ruled.actions.tolist() == plain.actions.tolist() == [4, 1]

    class Quiet:
        def begin(self, policy):
            return lambda prefixes, rows, logits: logits

    assert metrics.cost(t, [Quiet()]).forwards.tolist() == [5, 1]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("tabu", tabu()),
        ("top_k=5", top_k(5)),
        ("top_p=0.9", top_p(0.9)),
        ("min_p=1e-2", min_p(0.01)),
        ("backspace_bias=2", backspace_bias(2.0)),
        ("backspace_bias=-0.5", backspace_bias(-0.5)),
        ("loop_guard=0", loop_guard(0)),
        ("contrastive_search=4,0.6", contrastive_search(4, 0.6)),
    ],
)
def test_rules_by_name(text, rule):
    assert parse(text) == rule
    assert str(rule).startswith(text.partition("=")[0])
    assert rule != top_k(77)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "beam",
            "unknown rule 'beam'; known: top_k, top_p, min_p, backspace_bias, tabu, restart",
        ),
        ("", "unknown rule ''"),
        ("tabu=1", "rule 'tabu=1' is not of the form tabu"),
        ("tabu=", "rule 'tabu=' is not of the form tabu"),
        ("top_k", "rule 'top_k' is not of the form top_k=K"),
        ("top_k=five", "is not of the form top_k=K"),
        ("top_k=1,2", "is not of the form top_k=K"),
        ("contrastive_search=4", "is not of the form contrastive_search=K,ALPHA"),
        ("top_k=0", "top_k: k=0 must be at least 1"),
        ("top_k=2.5", "top_k: k=2.5 is not a whole number"),
        ("top_p=0", "top_p: p=0 leaves nothing"),
        ("top_p=1.5", "top_p: p=1.5 must be a number in"),
        ('min_p="x"', "min_p: p='x' must be a number in"),
        ("min_p=NaN", "min_p: p=nan must be a number in"),
        ("backspace_bias=Infinity", "backspace_bias: b=inf must be a finite number"),
        ("backspace_bias=true", "backspace_bias: b=True must be a finite number"),
        ("loop_guard=-1", "loop_guard: most=-1 must be at least 0"),
    ],
)
def test_malformed_rules_are_refused_in_one_line(text, message):
    with pytest.raises(InvalidInputError, match=message) as refused:
        decoding.parse(text)
    assert "\n" not in str(refused.value)
