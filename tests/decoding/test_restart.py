"""Whoever deletes a token deletes the whole text, and starts again."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from table_policy import TablePolicy

from seqil import Vocabulary
from seqil.decoding import restart
from seqil.rollouts import rollout_reference

V = Vocabulary(4, 3)


def sampled(seed, deletes, rules):
    policy = TablePolicy(V, seed, deletes)
    g = torch.Generator().manual_seed(seed)
    return rollout_reference(policy, [[0], [1, 2]], max_length=4, max_actions=24, generator=g, rules=rules)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(-2, 3))
def test_a_deletion_goes_on_to_the_prompt(seed, deletes):
    """A row of a restarting policy is texts that are written, each but the last taken back whole."""
    t = sampled(seed, deletes, [restart()])
    for actions, n in zip(t.actions.tolist(), t.lengths.tolist(), strict=True):
        depth, falling = 0, False
        for action in actions[:n]:
            if falling and depth:
                assert action == V.backspace
            falling = action == V.backspace
            depth += -1 if falling else 1
            assert depth >= 0


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_who_never_deletes_is_as_without_it(seed):
    free, ruled = (sampled(seed, -1e9, rules) for rules in ([], [restart()]))
    assert torch.equal(free.actions, ruled.actions)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_up_to_the_first_deletion_nothing_is_changed(seed):
    free, ruled = (sampled(seed, 0.5, rules) for rules in ([], [restart()]))
    for one, other, n in zip(free.actions.tolist(), ruled.actions.tolist(), free.lengths.tolist(), strict=True):
        first = one.index(V.backspace) + 1 if V.backspace in one else n
        assert one[:first] == other[:first]
