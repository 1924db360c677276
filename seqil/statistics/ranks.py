"""Rank correlation of few points: exact p-values and intervals by resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]
Floats = NDArray[np.float64]
_ENUMERATED = 9
_DRAWS = 2_000
_DUST = 1e-12


def spearman(x: Values, y: Values) -> tuple[float, float, float, float]:
    """Spearman's coefficient, its 95 % interval and the two-sided p-value of independence, NaN against a constant.

    Up to nine points p is exact, the share of all pairings with a coefficient as large; beyond it is that of 2,000
    random pairings and the one at hand. The interval is the percentiles of pairs resampled with replacement, those
    without spread left out. Infinite values rank last.
    """
    from scipy import stats

    a, b = (stats.rankdata(v) for v in (x, y))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan, math.nan, math.nan
    n, generator = len(a), np.random.default_rng(0)
    centred = b - b.mean()
    exact = n <= _ENUMERATED
    paired = centred[_pairings(n)] if exact else generator.permuted(np.tile(centred, (_DRAWS, 1)), axis=1)
    scale = math.sqrt(float(((a - a.mean()) ** 2).sum() * (centred**2).sum()))
    value = float((a - a.mean()) @ centred) / scale
    as_large = int((np.abs(paired @ (a - a.mean())) / scale >= abs(value) - _DUST).sum())
    p = as_large / len(paired) if exact else (as_large + 1) / (len(paired) + 1)
    return value, *_interval(x, y, _centred_ranks, generator), p


def kendall(x: Values, y: Values) -> tuple[float, float, float, float]:
    """Kendall's tau-b, its 95 % interval as `spearman` has it, and SciPy's two-sided p-value; NaN against a constant.

    Infinite values rank last.
    """
    from scipy import stats

    a, b = (stats.rankdata(v) for v in (x, y))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan, math.nan, math.nan, math.nan
    found = stats.kendalltau(a, b)
    return float(found.statistic), *_interval(a, b, _signs, np.random.default_rng(0)), float(found.pvalue)


@lru_cache(maxsize=1)
def _pairings(n: int) -> NDArray[np.int8]:
    return np.array(list(permutations(range(n))), dtype=np.int8)


def _interval(
    x: Values, y: Values, features: Callable[[Floats], Floats], generator: np.random.Generator
) -> tuple[float, float]:
    """Percentiles of the cosine of what two vectors of values are made into, over resampled pairs."""
    rows = generator.integers(0, len(x), (_DRAWS, len(x)))
    a, b = (features(np.asarray(v, dtype=np.float64)[rows]) for v in (x, y))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    found = (a * b).sum(1)[scale > 0] / scale[scale > 0]
    low, high = (float(q) for q in np.quantile(found, [0.025, 0.975]))
    return low, high


def _centred_ranks(values: Floats) -> Floats:
    from scipy import stats

    ranks: Floats = stats.rankdata(values, axis=1)
    centred: Floats = ranks - ranks.mean(1, keepdims=True)
    return centred


def _signs(ranks: Floats) -> Floats:
    """Which of every two is larger."""
    left, right = np.triu_indices(ranks.shape[1], 1)
    signs: Floats = np.sign(ranks[:, left] - ranks[:, right])
    return signs
