"""Texts beside texts: repetition and diversity of n-grams, exact match."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .lifetimes import Floats


def repetition(texts: Sequence[Sequence[int]], n: int = 4) -> Floats:
    """rep-n (Welleck et al. 2020): share of a text's n-grams that occurred earlier in it, float64 [texts].

    NaN for a text too short to have one.
    """
    return np.array([1 - distinct([text], n) for text in texts])


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """distinct-n (Li et al. 2016): different n-grams over all n-grams of the texts."""
    grams = _grams(texts, n)
    return len(grams) / sum(grams.values()) if grams else math.nan


def ngram_entropy(texts: Sequence[Sequence[int]], n: int) -> float:
    """Entropy of the pooled empirical n-gram law, in nats."""
    counts = np.array(list(_grams(texts, n).values()), dtype=np.float64)
    p = counts / counts.sum() if len(counts) else counts
    return float(-(p * np.log(p)).sum())


def exact_matches(texts: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Whether each text is its reference, token by token: bool [texts]."""
    return np.array([list(text) == list(reference) for text, reference in zip(texts, references, strict=True)])


def _grams(texts: Sequence[Sequence[int]], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))
