"""Random numbers that are the same on every platform and in every version: splitmix64 of a counter."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


def words(*key: Any, shape: tuple[int, ...]) -> Words:
    """64 random bits per cell of `shape`; another `key` (anything with a stable `repr`) gives another stream."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    counter = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
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


def choices(weights: NDArray[np.int64], words: Words) -> NDArray[np.int64]:
    """An index for each row of integer weights [N, K] with probability proportional to them, by one word [N] each."""
    upto = weights.cumsum(1)
    point = (words % upto[:, -1].astype(np.uint64)).astype(np.int64)
    chosen: NDArray[np.int64] = (upto <= point[:, None]).sum(1)
    return chosen
