"""Masks of attention."""

from __future__ import annotations

import torch
from torch import Tensor


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `seen`, else the most negative number: the one form of mask that every attention kernel reads alike."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
