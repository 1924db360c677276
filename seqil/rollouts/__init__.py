"""How texts are drawn: `rollout`, and the slow reference beside it."""

from .rollouts import rollout, rollout_reference

__all__ = ["rollout", "rollout_reference"]
