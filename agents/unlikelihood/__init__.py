"""Unlikelihood: of what should not be said at all, and of what belongs to another prompt."""

from .mutual_exclusivity import ExclusivityLoss, MutualExclusivity
from .unlikely_tokens import (
    CANDIDATES,
    UnlikelihoodLoss,
    UnlikelihoodTraining,
    log_complement,
    mistakes,
    previous_tokens,
    repeats,
)

__all__ = [
    "CANDIDATES",
    "ExclusivityLoss",
    "MutualExclusivity",
    "UnlikelihoodLoss",
    "UnlikelihoodTraining",
    "log_complement",
    "mistakes",
    "previous_tokens",
    "repeats",
]
