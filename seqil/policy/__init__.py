"""A Hugging Face causal language model as a policy over tokens and backspace."""

from ..models.modes import evaluating
from .saved.files import load_model
from .token_policy import TokenPolicy
from .values import StepValues

__all__ = ["StepValues", "TokenPolicy", "evaluating", "load_model"]
