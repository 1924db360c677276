"""Rows in lockstep are sampled as the reference samples them, and no step asks the host for anything."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import V, tiny_policy

from seqil import rollout, start
from seqil.errors import NonFiniteError
from seqil.rollouts import lockstep, rollout_reference
from seqil.rollouts.cuda_graphs import HostReads
from seqil.rollouts.lockstep import Lockstep
from seqil.rollouts.sampler import Sampler
from seqil.testing.strategies import limits, prompts

every = pytest.mark.parametrize("family", ["gpt2", "llama"])


class Watched(Lockstep):
    """Fails on the first step that asks the host."""

    def step(self, extent):
        with HostReads() as reads:
            super().step(extent)
        assert not reads.found


def in_lockstep(policy, given_prompts, *, max_length, max_actions, min_length, generator, temperature=1.0, lanes=None):
    initial = start(V, given_prompts, max_length, min_length)
    sampler = Sampler(generator, temperature, torch.arange(len(initial)))
    with torch.no_grad():
        return Watched(policy, initial, sampler, max_actions, lanes or len(initial)).run()


@st.composite
def tasks(draw):
    """Prompts, options of a rollout, and the number of lanes."""
    rows, (max_length, min_length) = draw(st.integers(1, 5)), draw(limits(8))
    options = {
        "max_length": max_length,
        "min_length": min_length,
        "max_actions": draw(st.integers(1, 24)),
        "temperature": draw(st.sampled_from([1.0, 0.7, 0.0])),
    }
    return draw(prompts(V, rows, longest=5)), options, draw(st.integers(1, rows)), draw(st.integers(0, 2**31))


@every
@settings(max_examples=25)
@given(task=tasks())
def test_lockstep_equals_the_reference_and_the_loop_on_the_host(family, task):
    given_prompts, options, lanes, seed = task
    policy = tiny_policy(family)
    actions, log_prob, lengths = in_lockstep(
        policy, given_prompts, generator=torch.Generator().manual_seed(seed), lanes=lanes, **options
    )
    for sample in (rollout, rollout_reference):
        t = sample(policy, given_prompts, generator=torch.Generator().manual_seed(seed), **options)
        assert torch.equal(t.lengths, lengths)
        assert torch.equal(t.actions, actions[:, : t.actions.shape[1]])
        torch.testing.assert_close(t.log_prob, log_prob[:, : t.actions.shape[1]], rtol=0, atol=1e-6)
        assert not log_prob[:, t.actions.shape[1] :].any()


@every
def test_texts_that_outgrow_their_slots(family, monkeypatch):
    """More cells than are read at first, and rows that begin where others have ended."""
    monkeypatch.setattr(lockstep, "_EXTENT", 4)
    monkeypatch.setattr(lockstep, "_STEPS", 3)
    policy = tiny_policy(family)
    given_prompts = [[0], [1, 2, 3], [5, 3], [4], [2, 2, 2, 2]]
    options = {"max_length": 20, "max_actions": 50, "min_length": 10}
    t = rollout(policy, given_prompts, generator=torch.Generator().manual_seed(2), **options)
    assert int(t.replay().length.max()) >= 16
    for lanes in (5, 2):
        actions, log_prob, lengths = in_lockstep(
            policy, given_prompts, generator=torch.Generator().manual_seed(2), lanes=lanes, **options
        )
        assert torch.equal(t.lengths, lengths)
        assert torch.equal(t.actions, actions[:, : t.actions.shape[1]])
        torch.testing.assert_close(t.log_prob, log_prob[:, : t.actions.shape[1]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_broken_logits_are_named_and_nothing_is_done_with_them(temperature):
    policy, states = copy.deepcopy(tiny_policy("gpt2")), []
    head = policy.head

    def broken_from_then_on(hidden):
        states.append(len(states))
        return head(hidden).index_fill(0, torch.tensor([1]), torch.nan) if len(states) > 2 else head(hidden)

    policy.head = broken_from_then_on
    with pytest.raises(NonFiniteError, match="logits of row 1 at action 2 are not finite; the model is broken"):
        in_lockstep(
            policy, [[0], [1], [2]], generator=None, temperature=temperature,
            max_length=30, max_actions=60, min_length=30,
        )  # fmt: skip


@every
def test_a_policy_without_a_backspace(family):
    with_one = tiny_policy(family)
    policy = copy.deepcopy(with_one)
    policy.backspace = False
    options = {"max_length": 9, "max_actions": 9, "min_length": 0}
    actions, _, lengths = in_lockstep(policy, [[0], [1, 2]], generator=None, **options)
    t = rollout_reference(policy, [[0], [1, 2]], **options)
    assert torch.equal(t.actions, actions[:, : t.actions.shape[1]])
    assert torch.equal(t.lengths, lengths)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_a_row_does_not_depend_on_its_batch_mates(seed):
    policy, options = tiny_policy("gpt2"), {"max_length": 8, "max_actions": 30, "min_length": 0}
    given_prompts = [[0], [1, 2, 3], [4, 4]]
    together = in_lockstep(policy, given_prompts, generator=torch.Generator().manual_seed(seed), **options)
    first = in_lockstep(policy, given_prompts[:1], generator=torch.Generator().manual_seed(seed), **options)
    assert torch.equal(together[0][0], first[0][0])
