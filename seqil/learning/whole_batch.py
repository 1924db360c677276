"""What a loss divides by belongs to the whole batch, wherever its rows are computed.

Losses are ratios of sums over a batch. Where one is computed in parts (microbatches, one after another; ranks, side by
side) the sums above the line add up by themselves, in value and in gradient. Those below it must be known before the
first part is differentiated: a mean of means is another number where texts are ragged. So losses take them by `total`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

Adding = Callable[[Tensor], Tensor]
"""A number of one part -> its sum over all parts."""

_ADDING: ContextVar[Adding | None] = ContextVar("adding", default=None)


def total(number: Tensor) -> Tensor:
    """The sum of a number over all parts of the batch, without gradient; the number itself where there is one part."""
    adding = _ADDING.get()
    return number if adding is None else adding(number.detach())


def count(values: Tensor) -> Tensor:
    """How many rows the tensors of this shape have in the whole batch: a scalar of their dtype, at least 1."""
    return total(values.new_full((), float(len(values)))).clamp(min=1)


def mean(values: Tensor) -> Tensor:
    """What this part adds to the mean over all numbers of the batch: a scalar; 0 of nothing."""
    return values.sum() / total(values.new_full((), float(values.numel()))).clamp(min=1)


def share(values: Tensor) -> Tensor:
    """Which share of the rows of the whole batch this part has: a scalar of the dtype, 1 where there is one part."""
    return len(values) / count(values)


def centre_and_spread(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of all numbers of the batch, without gradient: two scalars."""
    values = values.detach()
    centre = total(mean(values))
    return centre, total(mean((values - centre).square())).sqrt()


@contextmanager
def adding(how: Adding | None) -> Iterator[None]:
    """Inside, `total` adds in this way."""
    before = _ADDING.set(how)
    try:
        yield
    finally:
        _ADDING.reset(before)


class Counts:
    """The numbers that a loss asks `total` for, in its order: noted part by part, then given out as their sums."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what a loss asks for, and give it its own number back."""
        found: list[Tensor] = []

        def note(number: Tensor) -> Tensor:
            found.append(number)
            return number

        with adding(note), torch.no_grad():
            yield
        self.sums = [a + b for a, b in zip(self.sums, found, strict=True)] if self.sums else found

    def given(self) -> Adding:
        """Give the sums out, in the order of one more call of the loss."""
        left = iter(self.sums)
        return lambda number: next(left)
