"""How errors come along a text: the shape of the first error's law, and two rates of the regret, with their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqil.metrics.growth import TwoRates, two_rates, weibull_shape
from seqil.metrics.lifetimes import Ints
from seqil.statistics import Estimate, over_runs

from ..running.records import Record
from .regret import regret_inside


@dataclass(frozen=True)
class Fit:
    """Of one row within the horizon of its training, a fit per run.

    Attributes:
        shape: of Weibull's law of the first error: 1 is a constant hazard, below 1 it falls along the text.
        leak, recover: rates of a two-state chain whose bad tokens grow as the regret does; None where too few
            horizons saw an error.
        residual: root mean square of the logarithms, over all runs.
    """

    shape: Estimate
    leak: Estimate | None
    recover: Estimate | None
    residual: float


def fit(runs: Sequence[Record]) -> Fit | None:
    """None where the records hold no counts of first errors."""
    if not all(r.get("counts") for r in runs):
        return None
    shape = over_runs([weibull_shape(*first_errors_of(r["counts"])) for r in runs])
    rates = [found for r in runs if (found := _rates(r)) is not None]
    if not rates:
        return Fit(shape, None, None, float("nan"))
    leak, recover = (over_runs([_alone(value) for value in values]) for values in zip(*_pairs(rates), strict=True))
    return Fit(shape, leak, recover, float(np.sqrt(np.mean([found.residual**2 for found in rates]))))


def first_errors_of(counts: dict[str, list[int]]) -> tuple[Ints, Ints]:
    """What `metrics.first_errors` gave of the texts behind a table of risks, sorted; texts without a token are lost."""
    errors, at_risk = (np.array(counts[name], dtype=np.int64) for name in ("errors", "at_risk"))
    cut = at_risk - errors - np.append(at_risk[1:], 0)  # texts that end after that many tokens and one more
    t = np.arange(len(errors))
    first = np.concatenate([np.repeat(t, errors), np.full(int(cut.sum()), -1)])
    return first, np.concatenate([np.repeat(t, errors), np.repeat(t + 1, cut)])


def _rates(record: Record) -> TwoRates | None:
    T, J = regret_inside(record)
    seen = J > 0
    return two_rates(np.array(T)[seen], J[seen]) if seen.sum() > 2 else None


def _pairs(rates: Sequence[TwoRates]) -> list[tuple[float, float]]:
    return [(found.leak, found.recover) for found in rates]


def _alone(value: float) -> Estimate:
    """Of one run, whose own interval is not known."""
    return Estimate(value, float("nan"), float("nan"), 1, "seeds")
