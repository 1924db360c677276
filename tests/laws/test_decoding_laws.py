"""What every rule keeps, alone and after others, whatever the policy does."""

from collections import Counter, defaultdict

import torch
from hypothesis import given
from hypothesis import strategies as st
from table_policy import TablePolicy

from seqil import Vocabulary, start
from seqil.decoding import NamedRule, backspace_bias, loop_guard, min_p, tabu, top_k, top_p
from seqil.mdp.prefix import legal_actions, transition
from seqil.rollouts import rollout_reference
from seqil.testing.strategies import limits, prompts, vocabularies

shares = st.floats(0.01, 1)
warping = st.one_of(
    st.builds(top_k, st.integers(1, 4)),
    st.builds(top_p, shares),
    st.builds(min_p, shares),
    st.builds(backspace_bias, st.sampled_from([-3.0, 0.5, 2.0, 80.0])),
    st.builds(loop_guard, st.integers(0, 2)),
)
rules = st.one_of(warping, st.builds(tabu))
forbid_all = NamedRule("forbid_all", lambda policy: lambda prefixes, rows, logits: torch.full_like(logits, -torch.inf))
allow_all = NamedRule("allow_all", lambda policy: lambda prefixes, rows, logits: torch.zeros_like(logits))
anything = st.one_of(rules, st.sampled_from([forbid_all, allow_all]))


@st.composite
def cases(draw, backspace=None):
    """A policy, prompts and the options of a rollout."""
    v = draw(vocabularies())
    deletes = draw(st.sampled_from([0.0, 2.0, 50.0]))
    policy = TablePolicy(v, draw(st.integers(0, 99)), deletes, draw(st.booleans()) if backspace is None else backspace)
    max_length, min_length = draw(limits(4))
    options = {"max_length": max_length, "min_length": min_length, "max_actions": draw(st.integers(1, 20))}
    return policy, draw(prompts(v, draw(st.integers(1, 3)))), options


def sampled(policy, prompts, rules, seed=0, **options):
    return rollout_reference(policy, prompts, rules=rules, generator=torch.Generator().manual_seed(seed), **options)


def visits(policy, t, row):
    """(state, legal actions, action) of every step."""
    state = start(t.vocabulary, t.prompts[row : row + 1], t.max_length, t.min_length)
    for action in t.actions[row, : t.lengths[row]]:
        yield state, legal_actions(t.vocabulary, state, policy.backspace)[0], int(action)
        state = transition(t.vocabulary, state, action[None])


@given(cases(), st.lists(anything, max_size=4))
def test_rows_stay_alive_and_illegal_actions_illegal(case, chosen):
    policy, starts, options = case
    t = sampled(policy, starts, chosen, **options)
    assert bool(t.log_prob[t.inside].isfinite().all())
    assert bool((t.log_prob <= 0).all())
    for row in range(len(t)):
        assert all(bool(legal[action]) for _, legal, action in visits(policy, t, row))
    ended_or_spent = t.ended | (t.lengths == options["max_actions"])
    assert bool(ended_or_spent.all())


@given(cases(), st.lists(rules, max_size=3))
def test_a_rule_that_leaves_nothing_changes_nothing(case, chosen):
    policy, starts, options = case
    without, with_it = (sampled(policy, starts, r, **options) for r in (chosen, [*chosen, forbid_all]))
    assert torch.equal(without.actions, with_it.actions)
    assert torch.equal(without.log_prob, with_it.log_prob)


@given(cases(), st.lists(anything, max_size=2))
def test_tabu_never_writes_again_what_it_has_just_deleted(case, others):
    policy, starts, options = case
    t = sampled(policy, starts, [tabu(), *others], **options)
    v = t.vocabulary
    for row in range(len(t)):
        deleted = defaultdict(set)  # by depth, of the prefixes of the current text
        for state, legal, action in visits(policy, t, row):
            depth = int(state.generated)
            if action == v.backspace:
                deleted[depth - 1].add(int(state.tokens[0, int(state.length) - 1]))
                continue
            allowed = set(legal.nonzero()[:, 0].tolist()) - deleted[depth]
            if not allowed:  # only at a prompt, whose deletions are forgotten then
                assert depth == 0
                deleted[depth] = set()
            assert action in allowed or not allowed
            deleted[depth + 1] = set()


@given(cases(backspace=True), st.integers(0, 3), st.lists(st.one_of(warping, st.just(allow_all)), max_size=2))
def test_loop_guard_bounds_the_actions_at_every_position(case, most, others):
    policy, starts, options = case
    budget = (2 * most + 1) * options["max_length"] + 1
    t = sampled(policy, starts, [loop_guard(most), *others], **options | {"max_actions": budget})
    assert bool(t.ended.all())
    for row in range(len(t)):
        deletions = Counter(
            int(state.generated) - 1
            for state, _, action in visits(policy, t, row)
            if action == policy.vocabulary.backspace
        )
        assert max(deletions.values(), default=0) <= most


@given(cases(backspace=True))
def test_loop_guard_forbids_no_deletion_before_its_time(case):
    policy, starts, options = case
    free, guarded = (sampled(policy, starts, r, **options) for r in ([], [loop_guard(options["max_actions"])]))
    assert torch.equal(free.actions, guarded.actions)


@given(cases(), st.lists(rules, max_size=3), st.integers(0, 5))
def test_a_row_depends_on_its_seed_and_not_on_its_batch_mates(case, chosen, seed):
    policy, starts, options = case
    t = sampled(policy, starts, chosen, seed, **options)
    again = sampled(policy, starts, chosen, seed, **options)
    assert t.actions.numpy().tobytes() == again.actions.numpy().tobytes()
    assert t.log_prob.numpy().tobytes() == again.log_prob.numpy().tobytes()
    for row in range(len(t)):
        n = int(t.lengths[row])
        alone = sampled(policy, [starts[row]], chosen, seed, streams=torch.tensor([row]), **options)
        assert alone.lengths.tolist() == [n]
        assert torch.equal(alone.actions[0, :n], t.actions[row, :n])
        assert torch.equal(alone.log_prob[0, :n], t.log_prob[row, :n])


@given(st.integers(0, 999), shares, st.integers(1, 8), st.floats(0.3, 3))
def test_kept_actions_in_closed_form(seed, p, k, temperature):
    """transformers' processors after the temperature; illegal actions count as impossible."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    logits[:, -1] = -torch.inf
    logits /= temperature
    prob = logits.softmax(-1)
    better = (prob[:, None, :] > prob[:, :, None]).double()  # [row, action, others]
    wanted = {
        min_p(p): prob >= p * prob.amax(-1, keepdim=True),
        top_k(k): better.sum(-1) < k,
        top_p(p): (better * prob[:, None, :]).sum(-1) < p,
    }
    for rule, kept in wanted.items():
        found = rule.begin(None)(start(Vocabulary(5, 4), [[0]] * 4, 3), torch.arange(4), logits)
        assert torch.equal(found, logits.masked_fill(~kept, -torch.inf)), rule
