"""Rank correlation of few points: exact p-values and intervals by resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np

_ENUMERATED = 8
_DRAWS = 2_000
_DUST = 1e-12


def spearman(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[float, float, float, float]:
    """Spearman's coefficient, its 95 % interval and the two-sided p-value of independence, NaN against a constant.

    Up to eight points p is exact, the share of all pairings with a coefficient as large; beyond it is that of 2,000
    random pairings and the one at hand. The interval is the percentiles of pairs resampled with replacement, those
    without spread left out. Infinite values rank last.
    """
    from scipy import stats

    a, b = (stats.rankdata(v) for v in (x, y))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan, math.nan, math.nan
    n, generator = len(a), np.random.default_rng(0)
    centred = b - b.mean()
    every = np.array(list(permutations(centred))) if n <= _ENUMERATED else None
    paired = generator.permuted(np.tile(centred, (_DRAWS, 1)), axis=1) if every is None else every
    scale = math.sqrt(float(((a - a.mean()) ** 2).sum() * (centred**2).sum()))
    value = float((a - a.mean()) @ centred) / scale
    as_large = int((np.abs(paired @ (a - a.mean())) / scale >= abs(value) - _DUST).sum())
    p = as_large / len(paired) if every is not None else (as_large + 1) / (len(paired) + 1)
    low, high = _interval(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), generator)
    return value, low, high, p


def _interval(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> tuple[float, float]:
    from scipy import stats

    rows = generator.integers(0, len(x), (_DRAWS, len(x)))
    a, b = (stats.rankdata(v[rows], axis=1) for v in (x, y))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    found = (a * b).sum(1)[scale > 0] / scale[scale > 0]
    low, high = (float(q) for q in np.quantile(found, [0.025, 0.975]))
    return low, high
