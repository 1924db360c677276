"""Unlikelihood: of what should not be said at all, and of what belongs to another prompt."""

from .mutual_exclusivity import ExclusivityLoss, MutualExclusivity
from .unlikely_tokens import UnlikelihoodLoss, UnlikelihoodTraining, log_complement, mistakes, previous_tokens, repeats

__all__ = [
    "ExclusivityLoss",
    "MutualExclusivity",
    "UnlikelihoodLoss",
    "UnlikelihoodTraining",
    "log_complement",
    "mistakes",
    "previous_tokens",
    "repeats",
]
