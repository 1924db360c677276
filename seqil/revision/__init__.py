"""Policies that see a whole text at once, and how texts are drawn from them."""

from .compatibility import incompatibility
from .edit_policy import EditPolicy
from .masked_policy import MaskedPolicy
from .parallel_policy import ParallelPolicy
from .resampling import filled, resample
from .whole_text import WholeTextPolicy, Written

__all__ = [
    "EditPolicy",
    "MaskedPolicy",
    "ParallelPolicy",
    "WholeTextPolicy",
    "Written",
    "filled",
    "incompatibility",
    "resample",
]
