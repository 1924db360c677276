"""Every built-in agent, and a stranger's, keeps the contract."""

import math

import pytest
import torch
from built_in_agents import MAKERS, VARIANT

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.sequence_match import SequenceMatch
from seqil import rollout
from seqil.learning.accumulation import batch
from seqil.testing import check_agent
from seqil.testing.agents import tiny_demonstrations, tiny_policy


@pytest.mark.parametrize("name", MAKERS)
def test_built_in_agents_keep_the_contract(name):
    check_agent(MAKERS[name])


@pytest.mark.parametrize("memory", ["tried", "history"])
@pytest.mark.parametrize("name", [name for name in MAKERS if not VARIANT.search(name)])
def test_built_in_agents_keep_the_contract_under_other_memories(name, memory):
    check_agent(MAKERS[name], memory)


@pytest.mark.parametrize("name", MAKERS)
def test_a_loss_is_an_average_over_rows(name):
    agent = MAKERS[name](tiny_policy())
    agent.loss.eval()
    data = tiny_demonstrations()
    own = rollout(
        agent.policy, data.repeat(agent.samples).prompts, max_length=6, generator=torch.Generator().manual_seed(0)
    )
    own = agent.label(own, data.repeat(agent.samples), torch.Generator().manual_seed(1))
    once = agent.loss(batch(data, own))
    twice = agent.loss(
        batch(data.repeat(2), own.select(torch.arange(len(own)).reshape(len(data), -1).repeat(1, 2).reshape(-1)))
    )
    for key, value in once.items():
        torch.testing.assert_close(twice[key], value, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")


def test_agents_train_policies_without_a_backspace():
    from seqil.learning.training import Sampling, Training
    from seqil.testing.agents import tiny_demonstrations, tiny_policy

    for cls in (BehaviorCloning, GAIL, SequenceMatch):
        agent = cls(tiny_policy(backspace=False), steps=8)
        data = tiny_demonstrations(backspace=False)
        training = Training(agent, data, generator=torch.Generator().manual_seed(0), sampling=Sampling(2, 4))
        losses = [metrics["loss"] for _, metrics in training.run()]
        assert len(losses) == 8
        assert all(map(math.isfinite, losses))
