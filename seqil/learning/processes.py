"""Processes that train one policy together, by `torch.distributed`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from ..errors import InvalidInputError, LostRankError

_BUCKET = 2**24  # numbers that are sent at once


class Ranks:
    """All processes of the default process group; every method is called by all of them, in one order.

    Attributes:
        rank: which one this is.
        size: how many there are.

    Raises:
        InvalidInputError: there is no process group.
    """

    def __init__(self) -> None:
        if not dist.is_initialized():
            raise InvalidInputError(
                "there is no process group; start under torchrun and call torch.distributed.init_process_group first"
            )
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    @property
    def rows(self) -> slice:
        """Which of the rows that all have are this one's: every `size`-th."""
        return slice(self.rank, None, self.size)

    def sum(self, number: Tensor) -> Tensor:
        """The sum over ranks, elementwise, without gradient."""
        return self._reduced(number, dist.ReduceOp.SUM)

    def max(self, number: Tensor) -> Tensor:
        """The largest over ranks, elementwise, without gradient."""
        return self._reduced(number, dist.ReduceOp.MAX)

    def wait(self) -> None:
        """Go on when all have come here."""
        self.sum(torch.zeros(1))

    def gathered(self, own: TensorDictBase, n: int) -> TensorDict:
        """The `n` rows of all from those of each; keys, dtypes and widths are the same everywhere."""
        whole = {}
        for key in sorted(map(str, own.keys())):
            value = own[key]
            kind = torch.uint8 if value.dtype == torch.bool else value.dtype
            rows = torch.zeros(n, *value.shape[1:], dtype=kind, device=value.device)
            rows[self.rows] = value.to(kind)
            whole[key] = self.sum(rows).to(value.dtype)
        return TensorDict(whole, batch_size=[n])

    def agreed(self, number: float, generator: torch.Generator) -> float:
        """The sum of a number over ranks, once their generators have proved to be in one state.

        Raises:
            LostRankError: they are not, so the ranks work at different things.
        """
        digest = hashlib.sha256(generator.get_state().numpy().tobytes()).digest()
        mine = int.from_bytes(digest[:4])  # their sum is exact in float64
        found, sums = self.sum(torch.tensor([number, mine], dtype=torch.float64)).tolist()
        if sums != self.size * mine:
            raise LostRankError("the ranks have gone apart; start all with the same settings, files and versions")
        return float(found)

    def make_equal(self, module: nn.Module) -> None:
        """Give all the parameters and buffers of rank 0."""
        for tensor in (*module.parameters(), *module.buffers()):
            _done(dist.broadcast, tensor.data, 0)

    @torch.no_grad()
    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give all the sum of their gradients; one that nobody has stays None."""
        trained = [p for p in parameters if p.requires_grad]
        if not trained:
            return
        there = self.sum(torch.tensor([p.grad is not None for p in trained], device=trained[0].device).to(torch.int32))
        bucket: list[nn.Parameter] = []
        for parameter, somewhere in zip(trained, there.tolist(), strict=True):
            if not somewhere:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            full = sum(p.numel() for p in bucket) + parameter.numel() > _BUCKET
            if bucket and (full or bucket[0].dtype != parameter.dtype):
                self._add(bucket)
                bucket = []
            bucket.append(parameter)
        if bucket:
            self._add(bucket)

    def _add(self, parameters: list[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        sums = self.sum(torch.cat([g.flatten() for g in gradients])).split([g.numel() for g in gradients])
        for gradient, values in zip(gradients, sums, strict=True):
            gradient.copy_(values.view_as(gradient))

    def _reduced(self, number: Tensor, how: Any) -> Tensor:
        found = number.detach().clone()
        _done(dist.all_reduce, found, how)
        return found


def _done(collective: Callable[..., Any], *arguments: Any) -> None:
    try:
        collective(*arguments)
    except RuntimeError as error:  # gloo and nccl each have words of their own for it
        raise LostRankError("another rank has ended; go on from the last checkpoint with --resume") from error
