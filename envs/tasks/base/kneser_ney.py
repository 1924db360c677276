"""Interpolated Kneser-Ney: the law of an n-gram model, from counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sampled import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KneserNey:
    """The law of the next token after each context that occurs, as a table.

    With h the last k - 1 tokens and h' all of them but the oldest,

        P_k(x | h) = [ max(c_k(hx) - D_k, 0) + D_k N_k(h) P_k-1(x | h') ] / c_k(h),    P_0 uniform,

    and P_k(x | h) = P_k-1(x | h') where h does not occur. At the highest order c counts occurrences, below it the
    different tokens that precede; c(h) sums c(hx) over x, and N(h) counts the different x. D_k = n1 / (n1 + 2 n2) from
    the numbers of k-grams with c = 1 and c = 2, and 0 where there are none; if D_1 > 0, the support is full.
    (Kneser & Ney 1995; interpolated: Chen & Goodman 1999, section 3.)

    Counts are integers, and each float64 operation is one of IEEE 754, so the table is the same on every platform.

    Attributes:
        size: tokens, 0 … size - 1.
        contexts: for each length 0 … order - 1 the contexts that occur, read as numbers of base `size`, ascending.
        law: float64 [contexts, size], the rows of all contexts, the shorter ones first.
    """

    size: int
    contexts: tuple[Ints, ...]
    law: Floats

    @classmethod
    def fit(cls, documents: Sequence[Ints], size: int, order: int) -> KneserNey:
        """Count the n-grams within documents, each an int64 [length] of ids below `size`."""
        contexts: list[Ints] = []
        laws = [np.full((1, size), 1 / size)]
        for grams, counts in _counts(documents, size, order):
            after, row = np.unique(grams // size, return_inverse=True)
            total, kinds = np.bincount(row, weights=counts), np.bincount(row)
            ones, twos = int((counts == 1).sum()), int((counts == 2).sum())
            discount = ones / max(ones + 2 * twos, 1)
            below = np.searchsorted(contexts[-1], after % size ** (len(contexts) - 1)) if contexts else after
            law = laws[-1][below] * (discount * kinds / total)[:, None]
            law[row, grams % size] += np.maximum(counts - discount, 0) / total[row]
            contexts.append(after)
            laws.append(law)
        return cls(size, tuple(contexts), np.concatenate(laws[1:]))

    def rows(self, contexts: Ints) -> Ints:
        """Row of `law` of the longest end that occurs of each context: int64 [B] for int64 [B, order - 1]."""
        found = np.zeros(len(contexts), dtype=np.int64)
        before = key = np.zeros_like(found)
        for back, known in enumerate(self.contexts[1:]):
            key = key + contexts[:, -1 - back] * self.size**back
            at = np.searchsorted(known, key).clip(max=len(known) - 1)
            before = before + len(self.contexts[back])
            found = np.where(known[at] == key, before + at, found)
        return found


def _counts(documents: Sequence[Ints], size: int, order: int) -> list[tuple[Ints, Ints]]:
    """For each order 1 … `order` its different n-grams, as numbers of base `size`, and their c."""
    powers = size ** np.arange(order)[::-1]
    windows = [np.lib.stride_tricks.sliding_window_view(ids, order) @ powers for ids in documents if len(ids) >= order]
    found = [np.unique(np.concatenate(windows), return_counts=True)]
    while len(found) < order:
        found.append(np.unique(found[-1][0] % size ** (order - len(found)), return_counts=True))
    return found[::-1]
