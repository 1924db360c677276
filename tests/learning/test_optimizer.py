"""What owns the step of the optimizer, and what a training run prints."""

import copy

import pytest
import torch
from tiny_models import V, tiny_policy

from agents.sequence_match import SequenceMatch
from seqil import TokenPolicy, Trajectories, train


def agent(steps=40):
    policy = TokenPolicy(copy.deepcopy(tiny_policy("gpt2").model).float(), V)
    return SequenceMatch(policy.requires_grad_(True), steps=steps, learning_rate=1e-3)


DEMONSTRATIONS = Trajectories.from_actions(V, [[0], [1]] * 4, [[1, 2, 6], [2, 3, 6]] * 4)


def rates(agent, steps):
    training = train(agent, DEMONSTRATIONS, generator=torch.Generator().manual_seed(0), steps=steps)
    return [metrics["learning_rate"] for _, metrics in training]


def test_the_schedule_reaches_an_optimizer_of_ones_own():
    expected = rates(agent(), 30)
    other = agent()
    other.optimizer = torch.optim.SGD(other.policy.parameters(), lr=1e-3)
    assert rates(other, 30) == pytest.approx(expected)
    assert expected[0] < max(expected) > expected[-1]


def test_training_prints_nothing(capfd):
    rates(agent(3), 3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("at", [0, 7])
def test_a_copy_of_an_agent_goes_on_as_the_agent_does(at, recwarn):
    first = agent()
    before = rates(first, at)
    other = copy.deepcopy(first)
    assert other.loss.policy is other.policy is not first.policy
    assert rates(other, 5) == rates(first, 5) != before
    for one, two in zip(first.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one is not two
    assert not recwarn
