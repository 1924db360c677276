"""Every built-in agent, by what it is made of: for laws that all of them keep."""

import re

import torch

from agents import gold, unlikelihood
from agents.behavior_cloning import BehaviorCloning
from agents.dagger import DAgger
from agents.gail import GAIL, discriminator
from agents.gold import GOLD
from agents.grpo import GRPO
from agents.occupancy_gradient import OccupancyGradient
from agents.on_policy_distillation import OnPolicyDistillation
from agents.scheduled_sampling import ScheduledSampling
from agents.sequence_match import SequenceMatch
from agents.slic import CALIBRATIONS, SLiC
from agents.sqil import SQIL
from agents.unlikelihood import UnlikelihoodTraining
from agents.unlikelihood.mutual_exclusivity import MutualExclusivity
from seqil import divergences, experts, rewards
from seqil.metrics import distances
from seqil.randomness import seeded
from seqil.testing.agents import tiny_policy


def another():
    """A policy with opinions of its own."""
    policy = tiny_policy()
    with seeded(1):
        torch.nn.init.normal_(policy.weight)
    return policy.double()


def counted_on(prompts, chance):
    """Prompts of another meaning: the next token but every fourth."""
    return torch.where(prompts < 3, (prompts + 1 + (chance[:, :1] * 2).long()) % 4, prompts)


def distillation(divergence):
    return lambda policy: OnPolicyDistillation(policy, steps=6, divergence=divergence, expert=experts.policy(another()))


MAKERS = {
    "bc": lambda policy: BehaviorCloning(policy, steps=6),
    "dagger": lambda policy: DAgger(policy, steps=6),
    "dagger, switched once": lambda policy: DAgger(policy, steps=6, switch="once", share=1.0, expert_noise=0.2),
    **{
        f"gail, {name}": (lambda policy, f=f: GAIL(policy, steps=6, warm_up=0.2, reward=f))
        for name, f in discriminator.REWARDS.items()
    },
    "gail, penalty": lambda policy: GAIL(policy, steps=6, warm_up=0.2, penalty=1.0, entropy=0.01),
    "gail, relativistic": lambda policy: GAIL(policy, steps=6, warm_up=0.2, relativistic=True),
    "gail, spectral": lambda policy: GAIL(policy, steps=6, warm_up=0.2, spectral=True, kl=0.0),
    "gold-delta": lambda policy: GOLD(policy, steps=6, warm_up=0.2),
    **{name: (lambda policy, f=f: GOLD(policy, steps=6, warm_up=0.2, reward=f)) for name, f in gold.REWARDS.items()},
    "grpo": lambda policy: GRPO(policy, steps=6, samples=3, warm_up=0.2, reward=rewards.common_blocks),
    "grpo, without a divergence": lambda policy: GRPO(
        policy, steps=6, samples=2, warm_up=0.2, reward=rewards.edit, kl=0.0, spread=False, passes=1
    ),
    "mutual_exclusivity": lambda policy: MutualExclusivity(policy, steps=6, warm_up=0.2, swap=counted_on),
    "occupancy_gradient": lambda policy: OccupancyGradient(policy, steps=6, warm_up=0.2),
    **{f"distillation, {name}": distillation(f) for name, f in distances.STEP_DIVERGENCES.items()},
    "distillation of the reference": lambda policy: OnPolicyDistillation(policy, steps=6),
    "scheduled_sampling": lambda policy: ScheduledSampling(policy, steps=6, rate=1.0),
    "slic": lambda policy: SLiC(policy, steps=6, samples=3, warm_up=0.2),
    **{
        f"slic, {name}": (lambda policy, f=f: SLiC(policy, steps=6, samples=3, warm_up=0.2, calibration=f, kl=0.5))
        for name, f in CALIBRATIONS.items()
    },
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


VARIANT = re.compile("gail, [^a]|slic, |kl|gold-[^d]|probability|previous|without|from the|squared|^chi2$")
"""What differs from another maker in a way that has nothing to do with the memory."""
