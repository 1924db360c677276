"""GAIL: a discriminator of steps, and the agent that it rewards."""

from .adversarial import GAIL

__all__ = ["GAIL"]
