"""A key-value cache in which a backspace is free: slot index = position, and every row has its own write head.

Appending a token writes its key and value at slot `length`; deleting one only makes `length` smaller. Stale slots
are never read, because a row attends to slots below its own length. The law: logits with the cache equal those of a
fresh forward after any ragged history of pushes and pops.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.cache_utils import Cache, CacheLayerMixin

from ..models.masks import additive


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not followed
    """Keys and values of one attention layer side by side: [lanes, 2, heads, slots, the wider of both]."""

    is_sliding = False

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self.cache = cache

    @torch.inference_mode(False)  # so that they can be written in any mode
    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the slots on the first write. Zeros, because a masked slot still enters as 0 * value."""
        self.widths = key_states.shape[3], value_states.shape[3]
        width, cache = max(self.widths), self.cache
        self.slots = key_states.new_zeros(cache.lanes, 2, key_states.shape[1], cache.capacity, width)
        self.flat = self.slots.view(-1, width)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write where the cache says and return all that the queries may see, [rows, heads, seen slots, head width]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.cache.slot is None:
            for part, states in enumerate((key_states, value_states)):
                self.slots[self.cache.filled, part, :, : states.shape[2], : states.shape[3]] = states
            return key_states, value_states
        wide = (pad(x, (0, max(self.widths) - x.shape[3])) for x in (key_states, value_states))
        keys, values = self.step(torch.stack([*wide], 1))
        keys, values = keys[..., : self.widths[0]], values[..., : self.widths[1]]
        return (keys.contiguous(), values.contiguous()) if self.cache.contiguous else (keys, values)

    def step(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """`update` with the key and the value of one token per lane, [rows, 2, heads, 1, head width]."""
        if not self.is_initialized:
            self.lazy_initialization(pair[:, 0], pair[:, 1])
        self.flat.index_copy_(0, self.cache.index(2 * pair.shape[2]), pair.reshape(-1, pair.shape[4]))
        keys, values = self.slots[: len(pair), :, :, : self.cache.extent].unbind(1)
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of slots that a query sees, and the offset of the first."""
        return self.cache.extent, 0

    def get_seq_length(self) -> int:
        """Slots in use: positions are always passed explicitly, so this is only a bound."""
        return self.cache.extent

    def get_max_length(self) -> int:
        """Number of slots."""
        return self.cache.capacity


class SlotCache(Cache):  # type: ignore[misc]  # transformers is not followed
    """One `SlotLayer` per attention layer, allocated on first use; made for `TokenPolicy.hidden`.

    Args:
        layers: of attention.
        lanes: rows that it has room for.
        capacity: slots of a lane.

    Attributes:
        contiguous: whether a step is handed copies of what it sees, and no views of slots; only few models need them.
    """

    contiguous = False

    def __init__(self, layers: int, lanes: int, capacity: int) -> None:
        self.lanes, self.capacity = lanes, capacity
        self.extent, self.whole = 0, False
        self.filled: slice | Tensor = slice(0, lanes)
        self.slot: Tensor | None = None
        self._index: dict[int, Tensor] = {}
        self._first: dict[int, Tensor] = {}
        self._steps: Tensor | None = None
        super().__init__(layers=[SlotLayer(self) for _ in range(layers)])

    def prefill(self, lanes: slice | Tensor, extent: int) -> None:
        """The next forward writes slots `0 … extent-1` of these lanes and reads nothing that was there."""
        self.slot, self.filled, self.extent = None, lanes, extent

    def step(self, slot: Tensor, extent: int, whole: bool = False) -> None:
        """The next forward writes one token per lane at `slot` (int64 [n], first n lanes) and reads `extent` slots.

        `whole` says that every lane sees all of them, so that no mask is needed.
        """
        self.slot, self.extent, self.whole = slot, min(extent, self.capacity), whole
        self._index.clear()

    def key_positions(self, positions: Tensor) -> Tensor:
        """Positions of what the next forward reads, int64 [n or 1, keys]; its own are `positions`."""
        return positions if self.slot is None else torch.arange(self.extent, device=positions.device)[None]

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
                layer.slots[target, :, :, :extent] = layer.slots[source, :, :, :extent]


class PromptLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not followed
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


class PromptCache(Cache):  # type: ignore[misc]  # transformers is not followed
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

    def key_positions(self, positions: Tensor) -> Tensor:
        """Positions of what the next forward reads, int64 [rows, keys]; its own are `positions`."""
        if self.rows is None:
            return positions
        prompts = torch.arange(self.layers[0].get_seq_length(), device=positions.device)
        return torch.cat([prompts.expand(len(positions), -1), positions], 1)


KeyCache = SlotCache | PromptCache
