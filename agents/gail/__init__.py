"""GAIL: a discriminator of steps, and the agent that it rewards."""

from .adversarial import GAIL
from .reranking import DensityRatios, by_reward

__all__ = ["GAIL", "DensityRatios", "by_reward"]
