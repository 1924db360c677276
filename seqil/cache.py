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
    """Keys and values of one attention layer: [lanes, heads, slots, head width]."""

    is_sliding = False

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self.cache = cache

    @torch.inference_mode(False)  # so that they can be written in any mode
    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the slots on the first write. Zeros, because a masked slot still enters as 0 * value."""
        lanes, capacity = self.cache.lanes, self.cache.capacity
        self.keys, self.values = (
            states.new_zeros(lanes, states.shape[1], capacity, states.shape[3]) for states in (key_states, value_states)
        )
        self.flat = [slots.view(-1, slots.shape[3]) for slots in (self.keys, self.values)]
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write where the cache says and return all that the queries may see, [rows, heads, seen slots, head width]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cache = self.cache
        if cache.slot is None:
            lanes, extent = cache.filled, key_states.shape[2]
            self.keys[lanes, :, :extent], self.values[lanes, :, :extent] = key_states, value_states
            return key_states, value_states
        rows, heads = key_states.shape[:2]
        index = cache.index(heads)
        self.flat[0].index_copy_(0, index, key_states.reshape(rows * heads, -1))
        self.flat[1].index_copy_(0, index, value_states.reshape(rows * heads, -1))
        return self.keys[:rows, :, : cache.extent], self.values[:rows, :, : cache.extent]

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
    """One `SlotLayer` per attention layer, allocated on first use; made for `TokenPolicy.hidden`.

    Args:
        layers: of attention.
        lanes: rows that it has room for.
        capacity: slots of a lane.
    """

    def __init__(self, layers: int, lanes: int, capacity: int) -> None:
        self.lanes, self.capacity = lanes, capacity
        self.extent = 0
        self.filled: slice | Tensor = slice(0, lanes)
        self.slot: Tensor | None = None
        self._index: dict[int, Tensor] = {}
        self._first: dict[int, Tensor] = {}
        self._steps: Tensor | None = None
        super().__init__(layers=[SlotLayer(self) for _ in range(layers)])

    def prefill(self, lanes: slice | Tensor, extent: int) -> None:
        """The next forward writes slots `0 … extent-1` of these lanes and reads nothing that was there."""
        self.slot, self.filled, self.extent = None, lanes, extent

    def step(self, slot: Tensor, extent: int) -> None:
        """The next forward writes one token per lane at `slot` (int64 [n], first n lanes) and reads `extent` slots."""
        self.slot, self.extent = slot, min(extent, self.capacity)
        self._index.clear()

    def index(self, heads: int) -> Tensor:
        """Where a step writes, in [lanes * heads * slots]: int64 [n * heads], computed once for all layers."""
        assert self.slot is not None, "only a step has one slot per lane"
        if heads not in self._first:
            total = self.lanes * heads * self.capacity
            self._first[heads] = torch.arange(0, total, self.capacity, device=self.slot.device).view(-1, heads)
        if heads not in self._index:
            self._index[heads] = (self._first[heads][: len(self.slot)] + self.slot[:, None]).view(-1)
        return self._index[heads]

    def mask(self, length: Tensor, dtype: torch.dtype) -> Tensor:
        """Additive mask [n, 1, 1, extent] of a step that shows the slots below `length` (int64 [n])."""
        if self._steps is None:
            seen = torch.arange(2 * self.capacity, device=length.device) < self.capacity
            self._steps = additive(seen, dtype)
        windows = self._steps.unfold(0, self.extent, 1)
        return windows.index_select(0, self.capacity - length).view(-1, 1, 1, self.extent)

    def move(self, source: Tensor, target: Tensor, extent: int) -> None:
        """Copy the first `extent` slots of some lanes (int64 [k]) over those of others."""
        for layer in self.layers:
            if layer.is_initialized:
                for slots in (layer.keys, layer.values):
                    slots[target, :, :extent] = slots[source, :, :extent]


class PromptLayer(CacheLayerMixin):
    """Keys and values of prompts in one attention layer, [prompts, heads, cells, head width], with their graph."""

    is_sliding = False

    def __init__(self, cache: PromptCache) -> None:
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Keep those of the first forward."""
        self.keys, self.values = key_states, value_states
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """What the queries may see: of the first forward itself, of the next one the row's prompt and itself."""
        rows = self.cache.rows
        if rows is None:
            self.lazy_initialization(key_states, value_states)
            return key_states, value_states
        pairs = ((self.keys, key_states), (self.values, value_states))
        keys, values = (torch.cat([prompts.index_select(0, rows), states], 2) for prompts, states in pairs)
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of cells that a query sees, and the offset of the first."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Cells of the prompts: positions are always passed explicitly, so this is only a bound."""
        return self.keys.shape[2] if self.is_initialized else 0

    def get_max_length(self) -> int:
        """Without a limit."""
        return -1


class PromptCache(Cache):
    """Two forwards through `TokenPolicy.hidden`: of prompts, then of rows that begin with them. Gradients pass.

    Args:
        layers: of attention.
    """

    def __init__(self, layers: int) -> None:
        self.rows: Tensor | None = None
        super().__init__(layers=[PromptLayer(self) for _ in range(layers)])

    def read(self, prompts: Tensor) -> None:
        """The next forward is of rows behind these prompts, int64 [rows]."""
        self.rows = prompts


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `seen`, else the most negative number: the one form of mask that every attention kernel reads alike."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
