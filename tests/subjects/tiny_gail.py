"""A small GAIL that is past its warm-up, and rollouts of its own."""

import torch

from agents.gail import GAIL
from seqil import rollout
from seqil.randomness import seeded
from seqil.testing.agents import tiny_policy


def agent(double=False, **options):
    """Past its warm-up, with heads that say something."""
    policy = tiny_policy().double() if double else tiny_policy()
    made = GAIL(policy, **{"steps": 6, "warm_up": 0.0, **options})
    with seeded(1):
        for player in (made.loss.discriminator, made.loss.critic):
            torch.nn.init.normal_(player.head.weight)
            torch.nn.init.normal_(player.head.bias)
    made.loss.eval()
    return made


def own(policy, rows=6, max_actions=9):
    prompts = [[i % 4] for i in range(rows)]
    g = torch.Generator().manual_seed(0)
    found = rollout(policy, prompts, max_length=6, max_actions=max_actions, generator=g)
    assert found.ended.any()
    assert not found.ended.all()
    return found
