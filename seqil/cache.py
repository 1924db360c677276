"""A key-value cache in which a backspace is free: slot index = position, and every row has its own write head.

Appending a token writes its key and value at slot `length`; deleting one only makes `length` smaller. Stale slots
are never read, because a row attends to slots below its own length. The law: logits with the cache equal those of a
fresh forward after any ragged history of pushes and pops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class SlotLayer(CacheLayerMixin):
    """Keys and values of one attention layer: [rows, heads, slots, head width]."""

    is_sliding = False

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the slots on the first write. Zeros, because a masked slot still enters as 0 * value."""
        rows, heads, _, width = key_states.shape
        self.keys = key_states.new_zeros(rows, heads, self.cache.capacity, width)
        self.values = value_states.new_zeros(rows, heads, self.cache.capacity, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write at the slots that the cache names and return a view of the first `cache.extent` slots."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        slot, extent = self.cache.slot, self.cache.extent
        if slot is None:
            self.keys[:, :, :extent] = key_states
            self.values[:, :, :extent] = value_states
        else:
            index = slot[:, None, None, None].expand(-1, key_states.shape[1], 1, -1)
            self.keys.scatter_(2, index.expand_as(key_states), key_states)
            self.values.scatter_(2, index.expand_as(value_states), value_states)
        return self.keys[:, :, :extent], self.values[:, :, :extent]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of slots that a query sees, and the offset of the first."""
        return self.cache.extent, 0

    def get_seq_length(self) -> int:
        """Slots in use: positions are always passed explicitly, so this is only a bound."""
        return self.cache.extent

    def get_max_length(self) -> int:
        """Number of slots."""
        return self.cache.capacity


class SlotCache(Cache):
    """One `SlotLayer` per attention layer, created on first use; made for `TokenPolicy.hidden`."""

    def __init__(self, layers: int, capacity: int) -> None:
        self.capacity = capacity
        self.extent = 0
        self.slot: Tensor | None = None
        super().__init__(layers=[SlotLayer(self) for _ in range(layers)])

    def prefill(self, extent: int) -> None:
        """The next forward writes slots `0 … extent-1` of every row."""
        self.slot, self.extent = None, extent

    def step(self, slot: Tensor, extent: int) -> None:
        """The next forward writes one token per row at `slot` (int64 [B]) and reads `extent` slots."""
        self.slot, self.extent = slot, min(extent, self.capacity)

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these (int64 [fewer])."""
        for layer in self.layers:
            if layer.is_initialized:
                layer.keys, layer.values = layer.keys[rows], layer.values[rows]


def slot_mask(length: Tensor, extent: int, dtype: torch.dtype) -> Tensor:
    """Additive mask [B, 1, 1, extent] that shows the slots below `length` (int64 [B])."""
    seen = torch.arange(extent, device=length.device) < length[:, None]
    return additive(seen, dtype)[:, None, None, :]


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `seen`, else the most negative number: the one form of mask that every attention kernel reads alike."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
