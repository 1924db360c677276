"""Metrics of trajectories against models in plain lists."""

import math

import numpy as np
import pytest
import tiny_models as models
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES
from torch.utils.flop_counter import FlopCounterMode

from seqil import TokenPolicy, Trajectories, Vocabulary, metrics
from seqil.mdp import rendering
from seqil.models.masks import additive
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(size=4, eos=3)


def judge(prompt, tokens):
    """Token 2 is an error."""
    return tokens.index(2) if 2 in tokens else None


@st.composite
def rows(draw):
    """Legal actions of a few rows, over tokens 0 … 2, eos 3 and backspace 4."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        held, row = 0, []
        for action in draw(st.lists(st.sampled_from([0, 1, 2, 2, 4, 4]), min_size=1, max_size=9)):
            if action == 4 and not held:
                continue
            held += -1 if action == 4 else 1
            row.append(action)
        if draw(st.booleans()) or not row:
            row.append(3)
        found.append(row)
    return found


def replay(row):
    """Every state of a row, as a list of tokens."""
    states = [[]]
    for action in row:
        states.append(states[-1][:-1] if action == 4 else [*states[-1], action])
    return states


@given(rows())
def test_error_depth_is_that_of_every_state(actions):
    t = Trajectories.from_actions(V, [[0]] * len(actions), actions)
    depth = metrics.error_depth(t, judge)
    for r, row in enumerate(actions):
        expected = [len(s) - s.index(2) if 2 in s else 0 for s in replay(row)]
        assert depth[r, : len(expected)].tolist() == expected
        assert not depth[r, len(expected) :].any()


@given(rows())
def test_deletions_are_counted_by_what_they_delete(actions):
    t = Trajectories.from_actions(V, [[0]] * len(actions), actions)
    found = metrics.backspaces(t, judge)
    hits = path = false = errors = 0
    for row in actions:
        for state, action in zip(replay(row), row, strict=False):
            wrong = 2 in state
            if action == 4 and not wrong:
                false += 1
            elif action == 4 and state.index(2) == len(state) - 1:
                hits += 1
            elif action == 4:
                path += 1
            elif action == 2 and not wrong:
                errors += 1
    assert (found.hits, found.path, found.false, found.errors) == (hits, path, false, errors)


@given(rows())
def test_delays_and_loops_are_those_of_every_state(actions):
    t = Trajectories.from_actions(V, [[0]] * len(actions), actions)
    found = metrics.backspaces(t, judge)
    delays, loops = [], 0
    for row in actions:
        states, deleted = replay(row), []
        for i, action in enumerate(row):
            if action == 2 and 2 not in states[i] and 4 in row[i:]:
                delays.append(row[i:].index(4) - 1)
            if action == 4:
                deleted.append(states[i])
            elif states[i + 1] in deleted:
                loops += 1
                deleted = [text for text in deleted if text != states[i + 1]]
    assert found.delay.n == len(delays)
    assert found.delay.value == pytest.approx(np.mean(delays)) if delays else math.isnan(found.delay.value)
    assert found.rewritten == loops
    assert found.deletions == sum(row.count(4) for row in actions)
    if found.deletions:
        assert found.loops.value == loops / found.deletions


@given(rows())
def test_first_errors_survival_and_cost(actions):
    t = Trajectories.from_actions(V, [[0, 1]] * len(actions), actions)
    first, survived = metrics.first_errors(t, judge)
    finals = [replay(row)[-1] for row in actions]
    for text, f, n in zip(finals, first, survived, strict=True):
        assert f == (text.index(2) if 2 in text else -1)
        assert n == (f if f >= 0 else len([x for x in text if x != 3]))
    curve, _ = metrics.survival(first, survived)
    if all(f < 0 for f in first):
        assert (curve == 1).all()
    cost = metrics.cost(t)
    assert cost.actions.tolist() == [len(row) for row in actions]
    assert cost.net.tolist() == [len(text) for text in finals]
    assert cost.forwards.tolist() == [1 + len(row) for row in actions]


def test_without_censoring_survival_is_the_share_left():
    first = np.array([0, 2, 2, 5])
    curve, error = metrics.survival(first, first)
    np.testing.assert_allclose(curve, [(first > t).mean() for t in range(6)])
    np.testing.assert_allclose(error[:5] ** 2, [p * (1 - p) / 4 for p in curve[:5]])


def test_hazards_of_bins_add_up():
    g = np.random.default_rng(0)
    survived = g.integers(0, 20, 200)
    first = np.where(g.random(200) < 0.5, survived, -1)
    whole = metrics.hazard(first, survived)
    bins = [metrics.hazard(first, survived, t, t + 4) for t in range(0, 24, 4)]
    assert sum(b.n for b in bins) == whole.n
    assert sum(round(b.value * b.n) for b in bins if b.n) == (first >= 0).sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_flops_are_those_that_torch_counts(family):
    with seeded(0):
        made = TokenPolicy(FAMILIES[family](), models.V).eval()
    made.model.config._attn_implementation = "eager"  # the counter knows matrix products, not every fused kernel
    tokens = torch.arange(12)[None] % 7
    mask = additive(torch.ones(1, 12, 12, dtype=torch.bool), torch.float32)[:, None]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made.head(made.hidden(tokens, torch.arange(12)[None], mask))
    assert counter.get_total_flops() == pytest.approx(12 * metrics.forward_flops(made, np.array(12)), rel=0.01)


def test_flops_of_a_rollout_are_those_of_its_positions():
    policy = tiny_policy()
    t = Trajectories.from_actions(policy.vocabulary, [[0, 1, 2], [3]], [[1, 5, 2, 4], [0, 1]], max_length=4)
    seen = [[1, 2, 3, 4, 3, 4], [1, 2]]
    assert metrics.flops(policy, t).tolist() == [metrics.forward_flops(policy, np.array(x)).sum() for x in seen]
    assert metrics.cost(t).forwards.tolist() == [len(x) for x in seen]


def test_exact_matches():
    assert metrics.exact_matches([[1, 2], [1], []], [[1, 2], [1, 2], []]).tolist() == [True, False, True]


def test_likelihood_is_that_of_the_tokens_without_the_backspace():
    policy, data = tiny_policy().double().eval(), tiny_demonstrations(4, backspace=False)
    found = metrics.negative_log_likelihood(policy, data, batch_size=3)
    from seqil import start, transition

    for row in range(4):
        state, total = start(policy.vocabulary, data.prompts[row : row + 1], data.max_length), 0.0
        for step in range(int(data.lengths[row])):
            action = data.actions[row, step : step + 1]
            total -= metrics.token_log_probs(policy.log_probs(state))[0, action].item()
            state = transition(policy.vocabulary, state, action)
        assert found[row] == pytest.approx(total / int(data.lengths[row]), rel=1e-10)


def test_written_text_with_its_deletions():
    assert rendering.written(V, [0, 1, 4, 2, 4, 4, 1]) == [(0, True), (1, True), (2, True), (1, False)]
    decode = "".join
    assert rendering.spans(V, [0, 1, 4, 0], lambda ids: decode(map(str, ids))) == [
        ("0", False),
        ("1", True),
        ("0", False),
    ]
