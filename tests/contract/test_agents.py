"""Every built-in agent, and a stranger's, keeps the contract."""

import math
import random

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.objectives import LossModule

from agents import gold, step_divergences, unlikelihood
from agents.behavior_cloning import BehaviorCloning
from agents.dagger import DAgger
from agents.gail import GAIL, discriminator
from agents.gold import GOLD
from agents.occupancy_gradient import OccupancyGradient
from agents.on_policy_distillation import OnPolicyDistillation
from agents.scheduled_sampling import ScheduledSampling
from agents.sequence_match import SequenceMatch
from agents.slic import SLiC
from agents.sqil import SQIL
from agents.unlikelihood import UnlikelihoodTraining
from seqil import Agent, divergences, experts, rollout
from seqil.learning.agent import batch
from seqil.testing import check_agent
from seqil.testing.agents import tiny_demonstrations, tiny_policy


def distillation(divergence):
    return lambda policy: OnPolicyDistillation(policy, steps=6, divergence=divergence, expert=experts.policy(policy))


MAKERS = {
    "bc": lambda policy: BehaviorCloning(policy, steps=6),
    "dagger": lambda policy: DAgger(policy, steps=6),
    **{
        f"gail, {name}": (lambda policy, f=f: GAIL(policy, steps=6, warm_up=0.2, reward=f))
        for name, f in discriminator.REWARDS.items()
    },
    "gail, penalty": lambda policy: GAIL(policy, steps=6, warm_up=0.2, penalty=1.0, entropy=0.01),
    "gail, spectral": lambda policy: GAIL(policy, steps=6, warm_up=0.2, spectral=True, kl=0.0),
    "gold-delta": lambda policy: GOLD(policy, steps=6, warm_up=0.2),
    **{name: (lambda policy, f=f: GOLD(policy, steps=6, warm_up=0.2, reward=f)) for name, f in gold.REWARDS.items()},
    "occupancy_gradient": lambda policy: OccupancyGradient(policy, steps=6, warm_up=0.2),
    **{f"distillation, {name}": distillation(f) for name, f in step_divergences.DIVERGENCES.items()},
    "distillation of the reference": lambda policy: OnPolicyDistillation(policy, steps=6),
    "scheduled_sampling": lambda policy: ScheduledSampling(policy, steps=6, rate=1.0),
    "slic": lambda policy: SLiC(policy, steps=6, samples=3, warm_up=0.2),
    "sqil": lambda policy: SQIL(policy, steps=6),
    **{
        name: (lambda policy, f=f: UnlikelihoodTraining(policy, steps=6, candidates=f))
        for name, f in unlikelihood.CANDIDATES.items()
    },
    "unlikelihood of sequences": lambda policy: UnlikelihoodTraining(policy, steps=6, sequence=unlikelihood.repeats(2)),
    "sequence_match": lambda policy: SequenceMatch(policy, steps=6),
    "without the next value": lambda policy: SequenceMatch(policy, steps=6, warm_up=0.2, next_value=False),
    "from the first step": lambda policy: SequenceMatch(policy, steps=6, warm_up=0, anneal=0),
    **{
        name: (lambda policy, make=make: SequenceMatch(policy, steps=6, divergence=make(0.1), warm_up=0, anneal=0.2))
        for name, make in divergences.DIVERGENCES.items()
    },
}


@pytest.mark.parametrize("name", MAKERS)
def test_built_in_agents_keep_the_contract(name):
    check_agent(MAKERS[name])


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


class Forgetful(BehaviorCloning):
    """Its state_dict lacks the optimizer."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "optimizer": {**state["optimizer"], "state": {}}}


class Idle(BehaviorCloning):
    def update(self, demonstrations, rollouts=None):
        return {"loss": 0.0}


class Gambler(BehaviorCloning):
    """Draws from a generator of everyone's."""

    def __init__(self, policy, draw):
        super().__init__(policy, steps=6)
        self.draw = draw

    def update(self, demonstrations, rollouts=None):
        self.draw()
        return super().update(demonstrations, rollouts)


class Padded(LossModule):
    """Depends on the padding of its input."""

    in_keys = [("demonstrations", "actions")]  # noqa: RUF012
    out_keys = ["loss_padded"]  # noqa: RUF012

    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def _forward_value_estimator_keys(self, **kwargs):
        pass

    def forward(self, tensordict):
        width = tensordict["demonstrations"]["actions"].shape[1]
        return TensorDict({"loss_padded": self.policy.weight.square().mean() * width})


class Careless(Agent):
    def __init__(self, policy):
        super().__init__(policy, Padded(policy))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p: Forgetful(p, steps=6), "resumed from state_dict differs"),
        (lambda p: Idle(p, steps=6), "left every parameter"),
        (lambda p: Gambler(p, random.random), "global random state of python was changed"),
        (lambda p: Gambler(p, np.random.random), "global random state of numpy was changed"),
        (Careless, "changes with the padding"),
        (lambda p: object(), "does not subclass"),
    ],
)
def test_check_agent_finds_what_is_wrong(make, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_agent(make)
