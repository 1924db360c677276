"""The walk of a value: reversible on an enumerated tree, exact at the first end of texts of one length."""

import math
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from table_policy import TablePolicy

from envs.tasks import Automaton, Potentials
from seqil import Vocabulary, legal_actions, rollout
from seqil.decoding import after_every_token, judged_walk, parse, value_walk
from seqil.errors import InvalidInputError
from seqil.mdp.memory import PREFIX
from seqil.rollouts import rollout_reference
from seqil.testing.agents import tiny_policy
from seqil.theory.enumeration import prefix_table
from seqil.theory.walks import TableValues, exact_values, tilted, walk

V = Vocabulary(3, 2)


def worth_of(seed):
    """Some texts are worth nothing, others something."""
    return lambda prompt, text: float(
        crc32(repr((seed, *prompt, *text)).encode()) % 5 * (crc32(repr((text, seed)).encode()) % 2)
    )


class Walking:
    """The policy that the rule makes of another."""

    def __init__(self, policy, values):
        self.vocabulary = policy.vocabulary
        self.policy, self.warp = policy, value_walk(values).begin(policy)

    def log_probs(self, prefixes):
        logits = self.policy.log_probs(prefixes)
        running = ~prefixes.ended
        if running.any():
            rows = running.nonzero()[:, 0]
            logits[rows] = self.warp(prefixes.select(rows), rows, logits[rows])
        return logits.log_softmax(-1)


def enumerated(policy, reward, **limits):
    table = prefix_table(policy, [0], **limits)
    pairs = zip(table.texts, table.ended, strict=True)
    worth = np.array([reward([0], text) if ended else 0.0 for text, ended in pairs])
    return table, worth


@given(seed=st.integers(0, 50), inexact=st.booleans())
def test_the_stationary_law_at_the_ends_is_the_target(seed, inexact):
    table, worth = enumerated(TablePolicy(V, seed, 1.0), worth_of(seed), max_length=3)
    if not worth.any():
        with pytest.raises(InvalidInputError, match="worth anything"):
            tilted(table, worth)
        return
    values = exact_values(table, worth)
    if inexact:  # whatever it is before the ends
        values = np.where(table.ended, worth, np.random.default_rng(seed).uniform(0.5, 2, len(values)))
    matrix = walk(table, values)
    there = matrix.sum(1) > 0
    law = np.where(there, 1.0 * (np.arange(len(values)) == 0), 0.0)
    # Periodic, since every step changes the length: average over two steps.
    lazy = (matrix + np.eye(len(matrix))) / 2
    law = law @ np.linalg.matrix_power(lazy, 1 << 16)
    ends = law * table.ended
    np.testing.assert_allclose(ends / ends.sum(), tilted(table, worth), atol=1e-9)
    flow = law[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-9)


@given(seed=st.integers(0, 50))
def test_the_rule_is_the_matrix(seed):
    policy, reward = TablePolicy(V, seed, 1.0), worth_of(seed)
    table, worth = enumerated(policy, reward, max_length=2)
    if not worth.any():
        return
    values = TableValues.of(policy, [[0]], reward, max_length=2)
    matrix = walk(table, exact_values(table, worth))
    walked = prefix_table(Walking(policy, values), [0], max_length=2)
    at = {text: s for s, text in enumerate(table.texts)}
    for s, text in enumerate(walked.texts):
        if walked.ended[s] or not matrix[at[text]].any():
            continue
        row = np.zeros(len(matrix))
        for token in np.flatnonzero(walked.law[s, :-1]):
            row[at[walked.texts[walked.child[s, token]]]] += walked.law[s, token]
        row[table.parent[at[text]]] += walked.law[s, -1]
        np.testing.assert_allclose(row, matrix[at[text]], atol=1e-12)


@given(seed=st.integers(0, 30))
def test_the_first_end_has_the_target_law_where_all_texts_are_of_one_length(seed):
    policy, reward, limits = TablePolicy(V, seed, 1.0), worth_of(seed), {"max_length": 3, "min_length": 3}
    table, worth = enumerated(policy, reward, **limits)
    if not worth.any():
        return
    walked = prefix_table(Walking(policy, TableValues.of(policy, [[0]], reward, **limits)), [0], **limits)
    target = dict(zip(table.texts, tilted(table, worth), strict=True))
    for text, p in zip(walked.texts, walked.final(), strict=True):
        assert p == pytest.approx(target[text], abs=1e-9)


def test_rollouts_follow_it_and_right_texts_are_all_that_is_written():
    policy, limits = TablePolicy(V, 3, 1.0), {"max_length": 2, "min_length": 2}

    def reward(prompt, text):
        return float(sum(text[:2]) % 2 == 0)

    rule = value_walk(TableValues.of(policy, [[0]], reward, **limits), "parity")
    assert repr(rule) == "value_walk(parity)"
    n, g = 500, torch.Generator().manual_seed(0)
    drawn = rollout_reference(policy, [[0]] * n, max_actions=120, generator=g, rules=[rule], **limits)
    assert drawn.ended.all()
    table, worth = enumerated(policy, reward, **limits)
    counted = dict.fromkeys(table.texts, 0)
    for text in drawn.replay().texts():
        counted[tuple(text)] += 1
    for text, p in zip(table.texts, tilted(table, worth), strict=True):
        assert abs(counted[text] / n - p) <= 3.5 * math.sqrt(p * (1 - p) / n)


def test_values_after_every_token_are_those_of_the_states_there():
    policy = tiny_policy()
    v = policy.vocabulary

    def value(prefixes):
        return prefixes.tokens.clamp(max=v.size - 1).double().sum(1) + prefixes.ended

    drawn = rollout(policy, [[0], [1]], max_length=4, generator=torch.Generator().manual_seed(1),
                    rules=[value_walk(after_every_token(v, value))])  # fmt: skip
    states = drawn.until(torch.tensor([0, 1]), drawn.lengths.clamp(max=2)).replay()
    own, after = after_every_token(v, value)(states)
    assert torch.equal(own, value(states))
    from seqil import legal_actions, transition

    for token in range(v.size):
        there = value(transition(v, states, torch.full((2,), token)))
        legal = legal_actions(v, states)[:, token]
        assert torch.equal(after[:, token], torch.where(legal, there, 0))


def test_a_judged_walk_of_the_teacher_writes_right_texts_at_even_odds():
    task = Automaton(horizon=4)
    v, prompts = task.vocabulary, task.prompts(400, "test", 0)
    teacher = Teaching(task)
    options = {"max_length": 4, "min_length": 4, "max_actions": 400, "rules": [judged_walk(reader=task)]}
    walked = rollout_reference(teacher, prompts, **options, generator=torch.Generator().manual_seed(0))
    texts = walked.replay().texts()
    assert bool(walked.ended.all())
    assert all(task.success(prompt, text) for prompt, text in zip(prompts, texts, strict=True))
    n = walked.lengths.double()  # four tokens and eos: 25 actions on average
    assert float(n.mean()) == pytest.approx(25, abs=3.5 * float(n.std()) / math.sqrt(len(n)))
    assert bool((walked.actions == v.backspace).any())
    assert repr(parse("judged_walk", reader=task)) == "judged_walk()"


class Teaching:
    """A policy that knows the law, and deletes now and then."""

    backspace, memory, counting = True, PREFIX, False

    def __init__(self, task):
        self.task, self.vocabulary = task, task.vocabulary

    def log_probs(self, prefixes):
        law = 0.9 * self.task.next_distribution(prefixes)
        law = torch.cat([law, torch.full((len(law), 1), 0.1, dtype=law.dtype)], 1)
        legal = legal_actions(self.vocabulary, prefixes)
        return (law * legal).log().log_softmax(-1)


def test_what_is_worth_nothing_is_left():
    policy = TablePolicy(V, 0, 0.0)
    walked = Walking(policy, lambda p: (torch.zeros(len(p)), torch.zeros(len(p), V.size)))
    from seqil import start, transition

    root = start(V, [[0]], 3)
    state = transition(V, root, torch.tensor([1]))
    assert walked.log_probs(state).exp()[0].tolist() == [0, 0, 0, 1]
    table, worth = enumerated(policy, lambda prompt, text: 1.0, max_length=2)
    assert exact_values(table, worth) == pytest.approx(np.ones(len(worth)))


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: value_walk(0.5), "is no function of states"),
        (lambda: value_walk(lambda p: p).begin(tiny_policy(backspace=False)), "make it with backspace=True"),
        (lambda: Walking(TablePolicy(V), lambda p: (-torch.ones(1), torch.ones(1, 3))).log_probs(_one()), "negative"),
        (lambda: TableValues({}, 3)(_one()), "was not enumerated"),
        (judged_walk, "no task with a judge of errors"),
        (lambda: judged_walk(reader=Potentials()), "no task with a judge of errors"),
        (lambda: TableValues.of(TablePolicy(V), [[0]], lambda *_: 1.0, max_length=3, limit=5), "more than 5 prefixes"),
    ],
)
def test_what_is_no_value_is_refused_in_one_line(act, said):
    with pytest.raises(InvalidInputError, match=said):
        act()


def _one():
    from seqil import start, transition

    return transition(V, start(V, [[0]], 3), torch.tensor([1]))
