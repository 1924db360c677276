"""Imitation learning for autoregressive sequence generation, with a backspace."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import decoding as decoding
    from . import divergences as divergences
    from . import experts as experts
    from . import noise as noise
    from . import objectives as objectives
    from . import selection as selection
    from .agent import Agent as Agent
    from .loss import TrajectoryLoss as TrajectoryLoss
    from .noise import mistype as mistype
    from .policy import TokenPolicy as TokenPolicy
    from .prefix import Prefixes as Prefixes
    from .prefix import legal_actions as legal_actions
    from .prefix import start as start
    from .prefix import transition as transition
    from .rollouts import rollout as rollout
    from .training import train as train
    from .trajectory import Trajectories as Trajectories
    from .tree import PrefixTree as PrefixTree
    from .tree import pack as pack
    from .values import StepValues as StepValues
    from .vocabulary import Vocabulary as Vocabulary

__version__ = "0.1.0"

_HOME = {
    "Agent": "agent",
    "Prefixes": "prefix",
    "PrefixTree": "tree",
    "StepValues": "values",
    "TokenPolicy": "policy",
    "Trajectories": "trajectory",
    "TrajectoryLoss": "loss",
    "Vocabulary": "vocabulary",
    "legal_actions": "prefix",
    "mistype": "noise",
    "pack": "tree",
    "rollout": "rollouts",
    "start": "prefix",
    "train": "training",
    "transition": "prefix",
}
_MODULES = (
    "bootstrap",
    "checkpoint",
    "closed_forms",
    "comparison",
    "decoding",
    "divergences",
    "enumeration",
    "errors",
    "exact",
    "experts",
    "growth",
    "mauve",
    "metrics",
    "noise",
    "objectives",
    "selection",
    "statistics",
    "testing",
)

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import seqil` costs nothing."""
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'seqil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
