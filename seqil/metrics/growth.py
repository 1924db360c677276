"""How errors grow with the horizon.

One slope over a range of horizons measures saturation as much as compounding: a chain that leaks into a bad state has
local slope 2 at first and 1 once it is there. Report local slopes, or a fit with a meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInputError
from ..errors.arguments import of_arrays, typed_widely
from ..statistics.estimates import Estimate
from ..theory.exact import leak_recover
from .lifetimes import Floats, Ints, check_risks

_WIDEST = 700  # of a logarithm; the exponential of more is infinite

Scale = Callable[[Floats], Floats]


@of_arrays
def quadratic(horizons: Floats) -> Floats:
    """`sqrt(T (T + 1) / 2)`: against it, errors that accumulate without recovery have slope 2 at any horizon."""
    T = np.asarray(horizons, dtype=np.float64)
    return np.sqrt(T * (T + 1) / 2)


@typed_widely
def local_slopes(horizons: Sequence[float] | Floats, J: Sequence[float] | Floats, scale: Scale = quadratic) -> Floats:
    """Slope of `log J` against `log scale(T)` between neighbouring horizons: float64 [horizons - 1].

    NaN where `J` is zero or infinite at either end.
    """
    x, y = _logs(horizons, J, scale)
    with np.errstate(invalid="ignore"):
        slopes = np.diff(y) / np.diff(x)
    return np.where(np.isfinite(y[1:]) & np.isfinite(y[:-1]), slopes, np.nan)


@typed_widely
def log_log_slope(
    horizons: Sequence[float] | Floats, J: Sequence[float] | Floats, scale: Scale = quadratic
) -> Estimate:
    """Least-squares slope of `log J` against `log scale(T)`, with its t interval of n - 2 degrees of freedom.

    The interval takes the points for independent, which those of one sample of texts are not: for several samples, fit
    each and take the mean over them.
    """
    from scipy import stats

    x, y = _logs(horizons, J, scale)
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr) if len(x) > 2 else math.nan
    return Estimate(float(fit.slope), float(fit.slope - half), float(fit.slope + half), len(x), "horizons")


@of_arrays
def weibull_shape(first: Ints, survived: Ints) -> Estimate:
    """Shape k of a discrete Weibull law of the first error, `S(t) = exp(-(t / scale)^k)`, by maximum likelihood.

    1 is a constant hazard (errors come at random), above 1 the hazard grows with the horizon, below 1 it falls. Texts
    without an error are censored. The interval is Wald's on the logarithm of k.

    Args:
        first: int64 [B], index of the first error, -1 where there is none, as `first_errors` gives.
        survived: int64 [B], tokens before it or before the end.

    Returns:
        NaN if fewer than two different horizons saw an error.
    """
    from scipy.optimize import minimize

    check_risks("weibull_shape", first, survived)
    wrong = first >= 0
    count = int(wrong.sum())
    if len(np.unique(first[wrong])) < 2:
        return Estimate(math.nan, math.nan, math.nan, count, "errors")
    t, texts = np.unique(survived, return_counts=True)
    at, errors = np.unique(survived[wrong], return_counts=True)

    def loss(x: Floats) -> float:
        k, scale = np.exp(x)
        step = ((at + 1) / scale) ** k - (at / scale) ** k
        return float(texts @ (t / scale) ** k - errors @ np.log(-np.expm1(-step)))

    start = np.array([0.0, math.log((texts @ t + count) / count)])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 2000}).x
    half = 1.959963984540054 * math.sqrt(max(np.linalg.inv(_hessian(loss, found))[0, 0], 0.0))
    k = float(np.exp(found[0]))
    high = k * math.exp(half) if half < _WIDEST else math.inf
    return Estimate(k, k * math.exp(-half), high, count, "errors")


@dataclass(frozen=True)
class TwoRates:
    """A chain between a good and a bad state: per token it leaks into the bad one and recovers from it.

    Attributes:
        leak, recover: the rates; `leak / (leak + recover)` is the share of bad tokens in the long run.
        residual: root mean square of `log J - log` fit.
    """

    leak: float
    recover: float
    residual: float


@of_arrays
def two_rates(horizons: Sequence[float] | Floats, J: Sequence[float] | Floats) -> TwoRates:
    """Least-squares fit of `exact.leak_recover` to `log J(T)`, the expected bad tokens up to each horizon.

    Raises:
        InvalidInputError: fewer than two horizons, or values that are not positive and finite.
    """
    from scipy.optimize import least_squares

    T, y = np.asarray(horizons, dtype=np.float64), np.asarray(J, dtype=np.float64)
    if len(T) < 2 or not (np.isfinite(y) & (y > 0)).all():
        raise InvalidInputError("a fit of two rates needs positive, finite values at two horizons or more")

    def residuals(x: Floats) -> Floats:
        return np.log(leak_recover(math.exp(x[0]), x[1], T)) - np.log(y)

    rise = math.log(np.clip(y[0] / quadratic(T[:1])[0] ** 2, 1e-7, 0.9))
    fits = [
        least_squares(
            residuals, [rise, recover], bounds=([-18.0, 0.0], [0.0, 1.0]), x_scale="jac", xtol=1e-14, ftol=1e-14
        )
        for recover in (1e-4, 0.01, 0.3)
    ]
    best = min(fits, key=lambda fit: fit.cost)
    leak, recover = math.exp(best.x[0]), float(best.x[1])
    return TwoRates(leak, recover, float(np.sqrt(np.mean(best.fun**2))))


def _logs(horizons: Sequence[float] | Floats, J: Sequence[float] | Floats, scale: Scale) -> tuple[Floats, Floats]:
    T, y = np.asarray(horizons, dtype=np.float64), np.asarray(J, dtype=np.float64)
    if T.shape != y.shape or T.ndim != 1 or len(T) < 2:
        raise InvalidInputError(f"a slope needs two horizons or more and one value each, got {T.shape} and {y.shape}")
    if len(np.unique(T)) < len(T):
        raise InvalidInputError("a slope is between different horizons, and one of them is given twice")
    with np.errstate(divide="ignore"):
        return np.log(scale(T)), np.log(y)


def _hessian(f: Callable[[Floats], float], x: Floats, step: float = 1e-4) -> Floats:
    e = np.eye(len(x)) * step
    return np.array(
        [[(f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * step**2) for b in e] for a in e]
    )
