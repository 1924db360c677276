"""Intervals. No number is reported without one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..errors import InvalidInputError
from ..errors.arguments import check_fields, of_arrays, on_one_line


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the point estimate.
        low, high: ends of the interval; NaN where one value gives none.
        n: how many units it rests on.
        unit: what they are: `seeds`, `sequences`, `tokens` …
    """

    value: float
    low: float
    high: float
    n: int
    unit: str

    def __post_init__(self) -> None:
        check_fields(self)
        if self.low > self.high or self.n < 0:
            raise InvalidInputError(
                f"Estimate: [{self.low}, {self.high}] of n={self.n} is no interval; give low <= high and n >= 0"
            )

    def __str__(self) -> str:
        value, low, high = (f"{x:.4g}".replace("inf", "∞") for x in (self.value, self.low, self.high))
        one = self.unit.removesuffix("es" if self.unit.endswith("xes") else "s")
        rests_on = f"{self.n} {one if self.n == 1 else self.unit}"
        return f"{value} ({rests_on})" if math.isnan(self.low) else f"{value} [{low}, {high}] ({rests_on})"

    def to_json(self) -> dict[str, Any]:
        """Plain values. JSON has no word for those that are not finite: `runs.strict_json` writes them."""
        return dict(vars(self))

    @classmethod
    def of(cls, row: dict[str, Any]) -> Estimate:
        """From its JSON form; what is not finite may be a float, `{"float": "inf"}` or, as it once was, `"inf"`.

        Raises:
            InvalidInputError: it is none.
        """
        try:
            value, low, high = (
                float(x["float"] if isinstance(x := row[k], dict) else x) for k in ("value", "low", "high")
            )
            return cls(value, low, high, n=int(row["n"]), unit=str(row["unit"]))
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"{row!r:.60} is not an Estimate in its JSON form ({error!r:.60})") from None


def numbers(where: str, values: Any) -> np.ndarray:
    """Float64 of the shape of the values.

    Raises:
        InvalidInputError: something that is no number, such as a word or None.
    """
    try:
        found = np.asarray(values)
        if found.dtype.kind == "O" and not any(one is None or isinstance(one, str | bytes) for one in found.flat):
            found = found.astype(np.float64)
    except (TypeError, ValueError, RuntimeError):
        found = np.asarray("")
    if found.dtype.kind not in "biuf":
        raise InvalidInputError(f"{where}: {on_one_line(values, 60)} are no numbers; give [0.5, 1.0], say")
    return found.astype(np.float64)


def _some(where: str, values: Any) -> np.ndarray:
    """The same, one or more in a row."""
    found = numbers(where, values)
    if found.ndim != 1 or not len(found):
        raise InvalidInputError(f"{where}: values have shape {[*found.shape]}; give a list of at least one")
    return found


@of_arrays
def mean(values: Sequence[float] | np.ndarray, unit: str) -> Estimate:
    """Mean with Student's t interval over independent units; infinite if a value is, without interval if n = 1.

    Raises:
        InvalidInputError: no list of at least one number.
    """
    from scipy import stats

    x = numbers("mean", values)
    if x.ndim != 1 or not len(x):
        raise InvalidInputError(f"an estimate needs a list of at least one value, got shape {x.shape}")
    value = float(x.mean())
    if len(x) < 2 or not np.isfinite(x).all():
        return Estimate(value, math.nan, math.nan, len(x), unit)
    half = float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Estimate(value, value - half, value + half, len(x), unit)


@of_arrays
def geometric_mean(values: Sequence[float] | np.ndarray, unit: str) -> Estimate:
    """Geometric mean of positive values, with Student's t interval of the logarithm: for ratios, and for skew.

    Without interval if a value is zero or infinite.
    """
    x = numbers("geometric_mean", values)
    if (x < 0).any():
        raise InvalidInputError(f"geometric_mean: {x[x < 0][0]:g} is negative, which has no logarithm; leave it out")
    with np.errstate(divide="ignore"):
        e = mean(np.log(x), unit)
    value, low, high = (float(np.exp(x)) for x in (e.value, e.low, e.high))
    return Estimate(value, low, high, e.n, unit)


def proportion(hits: int, n: int, unit: str) -> Estimate:
    """Share with Wilson's interval, which holds for rare events too; NaN if there were no trials."""
    try:
        counts = bool(0 <= hits <= n < math.inf) and not hits % 1 and not n % 1
    except (TypeError, ValueError, RuntimeError):
        counts = False
    if not counts:
        of = f"{on_one_line(hits, 40)} of {on_one_line(n, 40)} {on_one_line(unit, 40).strip(chr(39))}"
        raise InvalidInputError(f"proportion: {of} is no share")
    hits, n = int(hits), int(n)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, unit)
    z2, p = 1.959963984540054**2, hits / n
    centre, spread = p + z2 / (2 * n), math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    low, high = (centre - spread) / (1 + z2 / n), (centre + spread) / (1 + z2 / n)
    return Estimate(p, max(0.0, low) if hits else 0.0, min(1.0, high) if hits < n else 1.0, n, unit)


@of_arrays
def ratio(numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray, unit: str) -> Estimate:
    """Ratio of two sums over the same units, with the interval of its linearisation (Cochran 1977, section 6.4)."""
    a, b = numbers("ratio", numerators), numbers("ratio", denominators)
    if a.shape != b.shape:
        raise InvalidInputError(f"ratio: {a.shape} numerators and {b.shape} denominators; give one of both per unit")
    if not b.sum():
        return Estimate(math.nan, math.nan, math.nan, len(b), unit)
    value = float(a.sum() / b.sum())
    around = mean((a - value * b) / b.mean(), unit)
    return Estimate(value, value + around.low, value + around.high, len(b), unit)


@of_arrays
def quotient(
    numerators: Sequence[float] | np.ndarray, denominators: Sequence[float] | np.ndarray, unit: str
) -> Estimate:
    """Quotient of the means of two independent samples of positive numbers, with the delta method on its logarithm."""
    a, b = mean(numerators, unit), mean(denominators, unit)
    value = a.value / b.value if b.value else math.inf
    if not (0 < value < math.inf):
        return Estimate(value, math.nan, math.nan, a.n, unit)
    half = math.hypot((a.high - a.value) / a.value, (b.high - b.value) / b.value)
    return Estimate(value, value * math.exp(-half), value * math.exp(half), a.n, unit)


@of_arrays
def difference(a: Estimate, b: Estimate) -> Estimate:
    """`a - b` of two independent estimates; the interval is the root of the squares of theirs, side by side."""
    value = a.value - b.value
    below, above = math.hypot(a.value - a.low, b.high - b.value), math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(value, value - below, value + above, min(a.n, b.n), a.unit)


@of_arrays
def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN, a test that was not made, stays NaN and costs nothing."""
    outside = [p for p in p_values if p < 0 or p > 1]
    if outside:
        raise InvalidInputError(f"holm: p={outside[0]} must lie in [0, 1], or be NaN")
    made = [i for i in np.argsort(p_values) if not math.isnan(p_values[i])]
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(made):
        largest = max(largest, min(1.0, (len(made) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


@of_arrays
def probability_of_improvement(ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray) -> float:
    """P(a run of ours is above one of theirs), ties counted half (Agarwal et al. 2021); NaN if a value is."""
    where = "probability_of_improvement"
    x, y = (_some(where, side.reshape(-1)) for side in (numbers(where, ours), numbers(where, theirs)))
    x = x[:, None]
    if np.isnan(x).any() or np.isnan(y).any():
        return math.nan
    return float(((x > y) + (x == y) / 2).mean())


@of_arrays
def interquartile_mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of the middle half (Agarwal et al. 2021)."""
    from scipy import stats

    return float(stats.trim_mean(_some("interquartile_mean", values), 0.25))


Scale = Literal["counts", "share"] | None
"""What values are: counts over their `n`, other numbers from 0 to 1, or any numbers."""


@of_arrays
def over_runs(estimates: Sequence[Estimate], scale: Scale = None) -> Estimate:
    """One estimate from several runs with different seeds.

    From three runs on: the mean of the runs' values with Student's t interval over seeds. With fewer, the interval is
    over sequences, the runs pooled as independent samples; its unit says so. Runs without a value are left out.

    Args:
        estimates: of the runs.
        scale: of counts and of shares the interval over seeds is that of the angle `asin(sqrt(p))`, which stays within
            [0, 1]. It is no shorter than that of the counts alone, whose angles have the variance
            `1 / (4 n + 2)` (Anscombe 1948), so that seeds that all have 0 of n, or n of n, have an interval too.
    """
    known = [e for e in estimates if not math.isnan(e.value)]
    if not known:
        return Estimate(math.nan, math.nan, math.nan, 0, "seeds")
    if len(known) >= 3:
        return mean([e.value for e in known], "seeds") if scale is None else _by_angles(known, scale)
    value = sum(e.value for e in known) / len(known)
    below = math.sqrt(sum((e.value - e.low) ** 2 for e in known)) / len(known)
    above = math.sqrt(sum((e.high - e.value) ** 2 for e in known)) / len(known)
    return Estimate(value, value - below, value + above, sum(e.n for e in known), known[0].unit)


def _by_angles(known: Sequence[Estimate], scale: Scale) -> Estimate:
    from scipy import stats

    p, n = np.array([e.value for e in known]), np.array([e.n for e in known], dtype=np.float64)
    S, value = len(known), float(p.mean())
    if not np.isfinite(p).all():
        return Estimate(value, math.nan, math.nan, S, "seeds")
    if scale == "counts":  # an angle of counts, which 0 of n does not make certain
        angles = np.arcsin(np.sqrt(np.clip((p * n + 0.375) / (n + 0.75), 0, 1)))
        least = float((1 / (4 * n + 2)).mean())
    else:
        angles, least = np.arcsin(np.sqrt(np.clip(p, 0, 1))), 0.0
    between = float(stats.t.ppf(0.975, S - 1) * angles.std(ddof=1))
    half = max(between, float(stats.norm.ppf(0.975)) * math.sqrt(least)) / math.sqrt(S)
    low, high = (math.sin(min(max(x, 0.0), math.pi / 2)) ** 2 for x in (angles.mean() - half, angles.mean() + half))
    return Estimate(value, min(low, value), max(high, value), S, "seeds")
