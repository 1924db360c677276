"""Imitation learning for autoregressive sequence generation, with a backspace."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import decoding as decoding
    from . import errors as errors
    from . import metrics as metrics
    from . import policy as policy
    from . import rollouts as rollouts
    from . import selection as selection
    from . import statistics as statistics
    from . import testing as testing
    from .decoding import Rule as Rule
    from .learning import divergences as divergences
    from .learning import experts as experts
    from .learning import noise as noise
    from .learning import objectives as objectives
    from .learning import rewards as rewards
    from .learning.agent import Agent as Agent
    from .learning.loss import TrajectoryLoss as TrajectoryLoss
    from .learning.noise import mistype as mistype
    from .learning.processes import Ranks as Ranks
    from .learning.training import Sampling as Sampling
    from .learning.training import Training as Training
    from .learning.training import train as train
    from .mdp.edits import Edits as Edits
    from .mdp.edits import begin_with as begin_with
    from .mdp.edits import legal_edits as legal_edits
    from .mdp.edits import revise as revise
    from .mdp.prefix import Prefixes as Prefixes
    from .mdp.prefix import legal_actions as legal_actions
    from .mdp.prefix import start as start
    from .mdp.prefix import transition as transition
    from .mdp.task import Task as Task
    from .mdp.trajectory import Trajectories as Trajectories
    from .mdp.tree import PrefixTree as PrefixTree
    from .mdp.tree import pack as pack
    from .mdp.vocabulary import Vocabulary as Vocabulary
    from .metrics import growth as growth
    from .metrics import text_sets as mauve  # noqa: F401
    from .metrics.entries import Metric as Metric
    from .metrics.reported import evaluation as evaluation
    from .policy import StepValues as StepValues
    from .policy import TokenPolicy as TokenPolicy
    from .rollouts import rollout as rollout
    from .rollouts.completion import complete as complete
    from .rollouts.generation import generate as generate
    from .rollouts.streaming import DeletionStreamer as DeletionStreamer
    from .runs import checkpoint as checkpoint
    from .runs.results_file import results as results
    from .runs.settings import Chosen as Chosen
    from .runs.settings import ModelSettings as ModelSettings
    from .runs.settings import NoiseSettings as NoiseSettings
    from .runs.settings import Settings as Settings
    from .statistics import Estimate as Estimate
    from .statistics import bootstrap as bootstrap
    from .statistics import comparison as comparison
    from .theory import closed_forms as closed_forms
    from .theory import enumeration as enumeration
    from .theory import exact as exact

_HOME = {
    "Agent": "learning.agent",
    "Chosen": "runs.settings",
    "DeletionStreamer": "rollouts.streaming",
    "Edits": "mdp.edits",
    "Estimate": "statistics",
    "Metric": "metrics.entries",
    "ModelSettings": "runs.settings",
    "NoiseSettings": "runs.settings",
    "Prefixes": "mdp.prefix",
    "PrefixTree": "mdp.tree",
    "Rule": "decoding",
    "Sampling": "learning.training",
    "Settings": "runs.settings",
    "StepValues": "policy",
    "Task": "mdp.task",
    "TokenPolicy": "policy",
    "Ranks": "learning.processes",
    "Training": "learning.training",
    "Trajectories": "mdp.trajectory",
    "TrajectoryLoss": "learning.loss",
    "Vocabulary": "mdp.vocabulary",
    "begin_with": "mdp.edits",
    "complete": "rollouts.completion",
    "evaluation": "metrics.reported",
    "generate": "rollouts.generation",
    "legal_actions": "mdp.prefix",
    "legal_edits": "mdp.edits",
    "mistype": "learning.noise",
    "pack": "mdp.tree",
    "results": "runs.results_file",
    "revise": "mdp.edits",
    "rollout": "rollouts",
    "start": "mdp.prefix",
    "train": "learning.training",
    "transition": "mdp.prefix",
}
_MODULES = {
    "bootstrap": "statistics.bootstrap",
    "checkpoint": "runs.checkpoint",
    "closed_forms": "theory.closed_forms",
    "comparison": "statistics.comparison",
    "decoding": "decoding",
    "divergences": "learning.divergences",
    "enumeration": "theory.enumeration",
    "errors": "errors",
    "exact": "theory.exact",
    "experts": "learning.experts",
    "growth": "metrics.growth",
    "mauve": "metrics.text_sets",
    "metrics": "metrics",
    "noise": "learning.noise",
    "objectives": "learning.objectives",
    "policy": "policy",
    "rewards": "learning.rewards",
    "rollouts": "rollouts",
    "selection": "selection",
    "statistics": "statistics",
    "testing": "testing",
}

__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import seqil` costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("seqil")
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{_MODULES[name]}", __name__)
    raise AttributeError(f"module 'seqil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
