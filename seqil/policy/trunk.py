"""What reading prefix trees takes of a language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Trunk:
    """The layers below the head.

    Attributes:
        hidden: last hidden states [B, N, D] of tokens and positions, int64 [B, N], by an additive mask [B, 1, N, keys],
            and by a cache, or None.
        dtype: of its masks.
        layers: how many of them a cache has to hold.
        cached: whether they take a cache; layers that are checkpointed refuse one.
    """

    hidden: Callable[..., Tensor]
    dtype: torch.dtype
    layers: int
    cached: bool
