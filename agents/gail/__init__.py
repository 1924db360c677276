"""GAIL: a discriminator of steps, and the agent that it rewards; values that are learned likewise."""

from .adversarial import GAIL
from .outcome_values import OutcomeValues
from .reranking import DensityRatios, by_reward

__all__ = ["GAIL", "DensityRatios", "OutcomeValues", "by_reward"]
