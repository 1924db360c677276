"""What keeps work from being captured in a CUDA graph: values and shapes that the host has to ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}  # a shape only by a mask
_COPIES = {_aten._to_copy, _aten.copy_}
_UNTAGGED = {_aten.is_nonzero}
_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class HostReads(TorchDispatchMode):
    """Notes every operator, run inside, that waits for the device: `item`, `nonzero`, indexing by a mask, a copy from
    one device to another, and all that torch marks as of data-dependent output or shape. (`tolist` and `numpy` are such
    copies on a GPU; on a CPU they go unnoticed.)

    Attributes:
        found: their names, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator."""
        out = func(*args, **(kwargs or {}))
        if _asks(func, args, out):
            self.found.append(str(func))
        return out


def _asks(func: Any, args: tuple[Any, ...], out: Any) -> bool:
    kind = func.overloadpacket
    if kind in _INDEXING:
        return any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1])
    if kind in _COPIES:
        return len({t.device for t in pytree.tree_leaves((args, out)) if isinstance(t, Tensor)}) > 1
    return kind in _UNTAGGED or not _TAGS.isdisjoint(func.tags)
