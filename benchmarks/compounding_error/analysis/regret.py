"""How the error grows with the horizon: absorbing regret and its local slopes, from the records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seqil.metrics.growth import local_slopes
from seqil.metrics.lifetimes import absorbing_regret, absorbing_regret_error
from seqil.statistics import Estimate, over_runs

from ..running.records import Record

_INSIDE = (4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Point:
    """Regret at one horizon.

    Attributes:
        horizon: tokens per text.
        regret: expected tokens from the first error on, `sum over t < T of 1 - S(t)`.
        extrapolation: whether the training texts were shorter.
    """

    horizon: int
    regret: Estimate
    extrapolation: bool


def points(runs: Sequence[Record]) -> list[Point]:
    """Regret by horizon: at those where the model was sampled, or else up to each length within the training's."""
    if not runs[0].get("survival"):
        return []
    trained = horizon_of(runs[0])
    if any("horizons" not in r for r in runs):
        return [Point(T, _over([(r["survival"], r) for r in runs], T), False) for T in _inside(runs[0])]
    found = [Point(trained, _over([(r["survival"], r) for r in runs], trained), False)]
    for i, one in enumerate(runs[0]["horizons"]):
        sampled = [(r["horizons"][i]["survival"], r["horizons"][i]) for r in runs]
        found.append(Point(one["horizon"], _over(sampled, one["horizon"]), one["extrapolation"]))
    return sorted(found, key=lambda point: point.horizon)


def regret_inside(record: Record) -> tuple[list[int], np.ndarray]:
    """Horizons up to the training's, and the regret of one run at each; none where no error is defined."""
    if not record.get("survival"):
        return [], np.zeros(0)
    T = _inside(record)
    regret = absorbing_regret(_up_to(T[-1], record["survival"][0]))
    return T, regret[np.array(T) - 1]


def slopes(found: Sequence[Point]) -> list[tuple[float, float, bool]]:
    """Between neighbours: (geometric mean of the horizons, slope, whether it reaches into extrapolation).

    The slope is that of `log J` against `log sqrt(T (T + 1) / 2)`: 1 for `J ~ T`, 2 for `J ~ T^2`; a regret that
    saturates falls below 1, however it began.
    """
    if len(found) < 2:
        return []
    steep = local_slopes([p.horizon for p in found], [p.regret.value for p in found])
    return [
        (math.sqrt(a.horizon * b.horizon), float(slope), b.extrapolation)
        for (a, b), slope in zip(pairwise(found), steep, strict=True)
        if math.isfinite(slope)
    ]


def horizon_of(record: Record) -> int:
    """Tokens per text of the training; of older records the last position that any text reached."""
    return int(record.get("horizon") or max(len(record["survival"][0]) - 1, 1))


def _inside(record: Record) -> list[int]:
    trained = horizon_of(record)
    return [*(T for T in _INSIDE if trained > T), trained]


def _over(sampled: Sequence[tuple[list[list[float]], Record]], T: int) -> Estimate:
    """Of few runs the interval is over sequences, by Kaplan and Meier's curve and Greenwood's error."""
    values = []
    for curves, record in sampled:
        curve, error = (_up_to(T, curve) for curve in curves)
        J, half = float(absorbing_regret(curve)[-1]), 1.96 * absorbing_regret_error(curve, error)
        values.append(Estimate(J, J - half, J + half, _texts(record), "sequences"))
    return over_runs(values)


def _up_to(T: int, curve: Sequence[float]) -> np.ndarray:
    """Texts that ended without an error stay without one."""
    x = np.asarray(curve, dtype=np.float64)[:T]
    return np.pad(x, (0, T - len(x)), mode="edge")


def _texts(record: Record) -> int:
    return int(record["estimates"]["unfinished"]["n"])
