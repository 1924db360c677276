"""A step of many small kernels as one CUDA graph: launched by the host at once, not one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from .host_reads import HostReads


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
