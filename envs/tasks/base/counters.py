"""Random numbers that are the same on every platform and in every version: splitmix64 of a counter."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def words(*key: Any, shape: tuple[int, ...], start: int = 0) -> Words:
    """64 random bits per cell of `shape`; another `key` (anything with a stable `repr`) gives another stream.

    `start` words of the stream are left out.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    counter = (np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(start)).reshape(shape)
    with np.errstate(over="ignore"):
        x = np.frombuffer(digest[:8], "<u8")[0] + (counter + np.uint64(1)) * _STEP
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn: Words = x ^ (x >> np.uint64(31))
    return drawn


def below(bound: int, *key: Any, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Integers in `0 … bound-1`; their bias is below `bound / 2^64`."""
    return (words(*key, shape=shape) % np.uint64(bound)).astype(np.int64)


def shuffled(n: int, *key: Any) -> NDArray[np.int64]:
    """A permutation of `0 … n-1`."""
    return np.argsort(words(*key, shape=(n,)), kind="stable")


def first_shuffled(k: int, n: int, *key: Any) -> NDArray[np.int64]:
    """The first `k` of `shuffled(n, *key)`, in memory for these."""
    block = max(1 << 20, 4 * k)
    found, best = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    for at in range(0, n, block):
        upto = min(n, at + block)
        best = np.concatenate([best, words(*key, shape=(upto - at,), start=at)])
        found = np.concatenate([found, np.arange(at, upto)])
        first = np.argsort(best, kind="stable")[:k]
        found, best = found[first], best[first]
    return found


def choices(weights: NDArray[np.int64], words: Words) -> NDArray[np.int64]:
    """An index for each row of integer weights [N, K] with probability proportional to them, by one word [N] each."""
    upto = weights.cumsum(1)
    point = (words % upto[:, -1].astype(np.uint64)).astype(np.int64)
    chosen: NDArray[np.int64] = (upto <= point[:, None]).sum(1)
    return chosen
