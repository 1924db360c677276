"""Layers that see the last tokens alone: position is depth, so a window is one more condition of any mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Windows:
    """Some or all layers of a model attend to positions less than `width` before their own.

    Attributes:
        width: of the window, the token itself included.
        mixed: there are layers without a window, too; the model then takes a mask for each kind.
    """

    width: int
    mixed: bool

    @classmethod
    def of(cls, model: Any) -> Windows | None:
        """Those of a language model; None if it has none, or none that its positions could ever fill."""
        config = model.config.get_text_config()
        width = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        kinds = set(getattr(config, "layer_types", None) or {SLIDING})
        positions = getattr(config, "max_position_embeddings", None)
        if not width or SLIDING not in kinds or (positions and width >= positions):
            return None
        return cls(int(width), mixed=len(kinds) > 1)

    def masks(self, mask: Tensor, positions: Tensor, key_positions: Tensor) -> Tensor | dict[str, Tensor]:
        """What the model takes in place of a causal mask.

        Args:
            mask: additive, [B, 1, N, keys].
            positions: of the queries, int64 [B, N].
            key_positions: int64 [B or 1, keys].
        """
        far = positions[:, None, :, None] - key_positions[:, None, None, :] >= self.width
        near = mask.masked_fill(far, torch.finfo(mask.dtype).min)
        return {FULL: mask, SLIDING: near} if self.mixed else near
