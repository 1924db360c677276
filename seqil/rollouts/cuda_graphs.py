"""A step of many small kernels as one CUDA graph: launched by the host at once, not one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no annotation for it
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


class Replay:
    """Calls a step; on CUDA it is captured after its first call with an argument, and replayed from then on.

    A step works in place on tensors that stay where they are. One that asks the host for values (a mixture of experts
    that counts its tokens, say) cannot be captured, and is called as it is.

    Args:
        step: of one argument, which names what is captured.
        device: that it computes on.
    """

    def __init__(self, step: Callable[[int], None], device: torch.device) -> None:
        self.step, self.device = step, device
        self.captured: dict[int, Callable[[], None]] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __call__(self, argument: int) -> None:
        """Take one step."""
        if self.device.type != "cuda":
            self.step(argument)
        elif argument in self.captured:
            self.captured[argument]()
        else:
            with HostReads() as reads:
                self.step(argument)
            self.captured[argument] = partial(self.step, argument) if reads.found else self._capture(argument)

    def _capture(self, argument: int) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            self.step(argument)
        return graph.replay
