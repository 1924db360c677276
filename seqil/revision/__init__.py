"""Policies that see a whole text at once, and how texts are drawn from them."""

from .edit_policy import EditPolicy
from .masked_policy import MaskedPolicy
from .whole_text import WholeTextPolicy, Written

__all__ = ["EditPolicy", "MaskedPolicy", "WholeTextPolicy", "Written"]
