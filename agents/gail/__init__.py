"""GAIL: a discriminator of steps, and the agent that it rewards."""

from .agent import GAIL

__all__ = ["GAIL"]
