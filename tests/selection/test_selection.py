from itertools import count

import numpy as np
import pytest
import torch
from table_policy import TablePolicy
from tiny_models import FAMILIES, tiny_policy

from seqil import TokenPolicy, Trajectories, Vocabulary, metrics, rollout, start, transition
from seqil.decoding import contrastive_search, loop_guard, tabu
from seqil.errors import InvalidInputError
from seqil.randomness import seeded as forked
from seqil.rollouts import rollout_reference
from seqil.selection import (
    LIKELIHOOD,
    OWN_BACKSPACE,
    best_of,
    majority_vote,
    mean_log_prob,
    rejection,
    standing_log_prob,
)
from seqil.testing.agents import tiny_policy as tiny_agent_policy

V = Vocabulary(4, 3)
POLICY = TablePolicy(V, 5)
PROMPTS = [[0], [1, 2], [2]]
OPTIONS = {"max_length": 4, "max_actions": 12, "rules": [loop_guard(1), tabu()], "sample": rollout_reference}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(k, prompts=PROMPTS):
    """The samples of every prompt in the order of drawing: under a score that grows the last of them wins."""
    drawn = []
    for n in range(1, k + 1):
        calls = count()
        kept = best_of(POLICY, prompts, n, lambda *_, calls=calls: next(calls), generator=seeded(), **OPTIONS)
        drawn.append(kept.trajectories)
    return drawn


def texts(t):
    return [tuple(text) for text in t.replay().texts()]


def total(drawn):
    costs = [metrics.cost(t, OPTIONS["rules"]) for t in drawn]
    return sum(c.actions for c in costs), sum(c.forwards for c in costs)


def test_best_of_keeps_the_highest_score_and_counts_all_samples():
    drawn = samples(6)
    assert len({texts(t)[1] for t in drawn}) > 2

    def score(prompt, text):
        return prompt[-1] * len(text) - text.count(1)

    kept = best_of(POLICY, PROMPTS, 6, score, generator=seeded(), **OPTIONS)
    for row, prompt in enumerate(PROMPTS):
        scores = [score(prompt, texts(t)[row]) for t in drawn]
        first = scores.index(max(scores))
        assert texts(kept.trajectories)[row] == texts(drawn[first])[row]
        assert kept.value[row] == max(scores)
    assert kept.draws.tolist() == [6, 6, 6]
    actions, forwards = total(drawn)
    assert kept.cost.actions.tolist() == actions.tolist()
    assert kept.cost.forwards.tolist() == forwards.tolist()
    assert kept.cost.net.tolist() == [len(text) for text in texts(kept.trajectories)]
    assert metrics.prompt_lists(kept.trajectories) == PROMPTS


def test_samples_of_a_prompt_depend_neither_on_k_nor_on_other_prompts():
    drawn = samples(4)
    for row in range(2):  # the place of a prompt in the batch names its streams, the batch mates do not matter
        assert [texts(t)[row] for t in samples(4, PROMPTS[: row + 1])] == [texts(t)[row] for t in drawn]
    one, other = (best_of(POLICY, PROMPTS, 5, len_of_text, generator=seeded(), **OPTIONS) for _ in range(2))
    assert one.trajectories.actions.numpy().tobytes() == other.trajectories.actions.numpy().tobytes()


def len_of_text(prompt, text):
    return len(text)


def test_majority_keeps_the_first_of_the_most_frequent():
    drawn = samples(9)
    kept = majority_vote(POLICY, PROMPTS, 9, generator=seeded(), **OPTIONS)
    for row in range(len(PROMPTS)):
        votes = [texts(t)[row] for t in drawn]
        most = max(votes.count(vote) for vote in votes)
        winner = next(vote for vote in votes if votes.count(vote) == most)
        assert texts(kept.trajectories)[row] == winner
        assert kept.value[row] == most / 9
        first = drawn[votes.index(winner)].actions[row].tolist()
        n = int(kept.trajectories.lengths[row])
        assert kept.trajectories.actions[row, :n].tolist() == first[:n]
    assert kept.cost.actions.tolist() == total(drawn)[0].tolist()


def test_majority_of_answers_of_which_some_abstain():
    drawn = samples(9)

    def answer(text):
        return len(text) if len(text) > 3 else None

    kept = majority_vote(POLICY, PROMPTS, 9, answer, generator=seeded(), **OPTIONS)
    votes = [answer(texts(t)[1]) for t in drawn]
    assert None in votes
    cast = [vote for vote in votes if vote is not None]
    assert answer(texts(kept.trajectories)[1]) == max(cast, key=cast.count)
    silent = majority_vote(POLICY, PROMPTS, 3, lambda text: None, generator=seeded(), **OPTIONS)
    assert texts(silent.trajectories) == texts(drawn[0])
    assert silent.value.tolist() == [0, 0, 0]


def test_rejection_draws_again_only_what_was_refused():
    asked = []

    def accept(prompt, text):
        asked.append(tuple(prompt))
        return prompt == [0] or (prompt == [1, 2] and asked.count((1, 2)) == 3)

    kept = rejection(POLICY, PROMPTS, accept, 5, generator=seeded(), **OPTIONS)
    assert rejection(POLICY, PROMPTS, lambda *_: True, 10**7, generator=seeded(), **OPTIONS).draws.tolist() == [1] * 3
    assert kept.draws.tolist() == [1, 3, 5]
    assert kept.value.tolist() == [1, 1, 0]
    assert asked == [(0,), (1, 2), (2,), (1, 2), (2,), (1, 2), (2,), (2,), (2,)]
    # The rounds, one by one: a prompt draws what it would draw if nobody had been accepted.
    generator = seeded()
    options = {name: value for name, value in OPTIONS.items() if name != "sample"}
    rounds = [rollout_reference(POLICY, PROMPTS, generator=generator, **options) for _ in range(5)]
    assert texts(kept.trajectories) == [texts(rounds[n - 1])[row] for row, n in enumerate([1, 3, 5])]
    assert metrics.prompt_lists(kept.trajectories) == PROMPTS
    costs = [metrics.cost(t) for t in rounds]
    for row, n in enumerate([1, 3, 5]):
        assert kept.cost.actions[row] == sum(c.actions[row] for c in costs[:n])
        assert kept.cost.forwards[row] == sum(c.forwards[row] for c in costs[:n])


def test_rejection_samples_the_conditional_law():
    policy = TablePolicy(V, 5, backspace=False)
    log_p = policy.log_probs(start(V, [[0]], 1, 1))[0, :3]
    wanted = log_p[:2].softmax(0)
    kept = rejection(
        policy,
        [[0]] * 2000,
        lambda prompt, text: text[0] < 2,
        200,
        generator=seeded(),
        sample=rollout_reference,
        max_length=1,
        min_length=1,
    )
    assert kept.value.all()
    share = (kept.trajectories.actions[:, 0] == 0).double().mean()
    assert abs(share - wanted[0]) < 4 * (wanted[0] * wanted[1] / 2000).sqrt()
    mean_draws = float(1 / log_p.exp()[:2].sum())
    assert abs(kept.draws.mean() - mean_draws) < 4 * mean_draws / 2000**0.5


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_score_of_ones_own(family):
    policy = tiny_policy(family)
    v, options = policy.vocabulary, {"max_length": 6, "max_actions": 20}
    kept = best_of(policy, PROMPTS, 5, generator=seeded(), **options)
    streams = (torch.arange(5)[:, None] * 2**32 + torch.arange(3)).flatten()
    pool = rollout(policy, PROMPTS * 5, generator=seeded(), streams=streams, **options)
    scores = []
    for prompt, text in zip(PROMPTS * 5, texts(pool), strict=True):
        nats = 0.0
        for at, token in enumerate(text[:6]):  # what may follow six tokens is eos alone
            state = start(v, [[*prompt, *text[:at]]], 1)  # eos and every token are legal, and nothing can be deleted
            nats += float(policy.log_probs(state)[0, token])
        scores.append(nats / len(text) if text else -np.inf)
    scores = np.array(scores)
    np.testing.assert_allclose(mean_log_prob(policy, pool), scores, atol=1e-5)
    np.testing.assert_allclose(kept.value, scores.reshape(5, 3).max(0), atol=1e-5)
    read = np.array([len(p) - 1 + len(t) for p, t in zip(PROMPTS * 5, texts(pool), strict=True)]).reshape(5, 3).sum(0)
    sampling = metrics.cost(pool).forwards.reshape(5, 3).sum(0)
    assert kept.cost.forwards.tolist() == (sampling + read).tolist()


def test_an_empty_text_has_the_lowest_score_of_all():
    policy = tiny_policy("gpt2")
    t = Trajectories.from_actions(policy.vocabulary, [[0], [0]], [[1, policy.vocabulary.backspace], [1, 2]])
    scores = mean_log_prob(policy, t)
    assert scores[0] == -np.inf
    assert np.isfinite(scores[1])
    assert mean_log_prob(policy, t.select(slice(0, 1))).tolist() == [-np.inf]


def test_cost_of_rules_is_counted_for_every_sample():
    policy, rules = tiny_policy("gpt2"), [tabu(), contrastive_search(2, 0.5)]
    options = {"max_length": 3, "max_actions": 5, "rules": rules}
    kept = best_of(policy, PROMPTS, 2, len_of_text, generator=seeded(), **options)  # deterministic: both are equal
    once = metrics.cost(rollout(policy, PROMPTS, **options), rules)
    assert kept.cost.forwards.tolist() == (2 * once.forwards).tolist()


@pytest.mark.parametrize("number", [0, -1])
def test_no_samples_are_refused(number):
    for select in (
        lambda: best_of(POLICY, PROMPTS, number, len_of_text, generator=seeded(), **OPTIONS),
        lambda: majority_vote(POLICY, PROMPTS, number, generator=seeded(), **OPTIONS),
        lambda: rejection(POLICY, PROMPTS, len_of_text, number, generator=seeded(), **OPTIONS),
    ):
        with pytest.raises(InvalidInputError, match=f"={number}: draw at least one sample"):
            select()


@pytest.mark.parametrize("verdict", [None, float("nan"), "good"])
def test_a_verdict_that_is_no_number_is_refused(verdict):
    for select in (best_of, rejection):
        args = (3, lambda *_: verdict) if select is best_of else (lambda *_: verdict, 3)
        with pytest.raises(InvalidInputError, match=r"the verdict on the text \[.*\] is .*; it must be a number"):
            select(POLICY, PROMPTS, *args, generator=seeded(), **OPTIONS)


def test_without_a_backspace_the_best_of_k_is_not_read_again():
    with forked(0):
        policy = TokenPolicy(FAMILIES["gpt2"](), Vocabulary(7, 6), backspace=False)
    options = {"max_length": 5, "min_length": 0}

    def drawn(score=None, **more):
        g = torch.Generator().manual_seed(3)
        return best_of(policy, [[0], [1, 2], [3]], 4, score, generator=g, **options, **more)

    known, warm = drawn(), drawn(temperature=0.9)
    by_hand = mean_log_prob(policy, known.trajectories)
    np.testing.assert_allclose(known.value, by_hand, rtol=1e-5)
    unread = drawn(lambda prompt, text: 0.0)
    assert known.cost.forwards.tolist() == unread.cost.forwards.tolist()
    assert (warm.cost.forwards > warm.cost.actions).all()


def test_the_own_backspace_ranks_texts_by_whether_they_would_stand():
    policy = tiny_policy("gpt2")
    v = policy.vocabulary
    drawn = rollout(policy, [[0]] * 6, max_length=5, generator=seeded())
    found = standing_log_prob(policy, drawn)
    for row, text in enumerate(drawn.replay().texts()):
        state, expected = start(v, [[0]], 5), 0.0
        for token in text:
            expected += float(torch.log1p(-policy.log_probs(state)[0, v.backspace].exp()))
            state = transition(v, state, torch.tensor([token]))
        assert found[row] == pytest.approx(expected, abs=1e-9)


def test_a_ranking_keeps_its_best_and_reads_every_text_once():
    policy, options = tiny_policy("gpt2"), {"max_length": 5, "generator": seeded()}
    kept = best_of(policy, PROMPTS, 4, OWN_BACKSPACE, **options)
    plain = best_of(policy, PROMPTS, 4, LIKELIHOOD, **{**options, "generator": seeded()})
    default = best_of(policy, PROMPTS, 4, **{**options, "generator": seeded()})
    assert kept.value == pytest.approx(standing_log_prob(policy, kept.trajectories), abs=1e-9)
    assert (kept.value >= standing_log_prob(policy, default.trajectories) - 1e-9).all()
    assert texts(plain.trajectories) == texts(default.trajectories)
    assert kept.cost.forwards.tolist() == plain.cost.forwards.tolist() == default.cost.forwards.tolist()
    with pytest.raises(InvalidInputError, match="without a backspace has no doubt"):
        standing_log_prob(tiny_agent_policy(backspace=False), kept.trajectories)
