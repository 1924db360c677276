"""Every built-in agent, and a stranger's, keeps the contract."""

import math
import re

import pytest
import torch

from agents import gold, unlikelihood
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
from seqil import divergences, experts, rollout
from seqil.learning.agent import batch
from seqil.metrics import distances
from seqil.randomness import seeded
from seqil.testing import check_agent
from seqil.testing.agents import tiny_demonstrations, tiny_policy


def another():
    """A policy with opinions of its own."""
    policy = tiny_policy()
    with seeded(1):
        torch.nn.init.normal_(policy.weight)
    return policy


def distillation(divergence):
    return lambda policy: OnPolicyDistillation(policy, steps=6, divergence=divergence, expert=experts.policy(another()))


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
    **{f"distillation, {name}": distillation(f) for name, f in distances.STEP_DIVERGENCES.items()},
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


VARIANT = re.compile("gail, [^a]|kl|gold-[^d]|probability|previous|without|from the|squared|^chi2$")
"""What differs from another maker in a way that has nothing to do with the memory."""


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
