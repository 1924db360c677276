"""Time to the first error, with censoring.

A *judge* is a function `(prompt, tokens) -> index of the first error or None`, such as `Task.first_error`. It must be
consistent: a prefix that holds no error of the whole text holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..errors.arguments import check_count, of_arrays, typed_widely
from ..errors.limits import check_memory
from ..mdp.trajectory import Trajectories
from ..statistics.estimates import Estimate, proportion

Judge = Callable[[Sequence[int], Sequence[int]], int | None]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@typed_widely
def first_errors(trajectories: Trajectories, judge: Judge) -> tuple[Ints, Ints]:
    """First error of every final text and tokens at risk.

    Returns:
        Index of the first error, int64 [B], -1 where there is none, and the number of tokens that were written
        before the first error or the end, int64 [B]; `eos` counts only as an error.
    """
    prompts, texts = prompt_lists(trajectories), trajectories.replay().texts()
    eos = trajectories.vocabulary.eos
    first = [judge(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    survived = [
        len(text) - (text[-1:] == [eos]) if error is None else error for error, text in zip(first, texts, strict=True)
    ]
    return np.array([-1 if e is None else e for e in first]), np.array(survived)


@of_arrays
def hazard(first: Ints, survived: Ints, begin: int = 0, end: int | None = None) -> Estimate:
    """Errors per token at risk between two horizons, with Wilson's interval: `first` and `survived` as above.

    Raises:
        InvalidInputError: an error behind what survived, or a `begin` below 0.
    """
    check_risks("hazard", first, survived)
    begin = check_count("hazard", "begin", begin)
    stop = int(survived.max(initial=0)) + 1 if end is None else end
    hits = int(((first >= begin) & (first < stop)).sum())
    at_risk = int(np.clip(survived + (first >= 0), begin, stop).sum()) - begin * len(first)
    return proportion(hits, at_risk, "tokens")


@of_arrays
def survival(first: Ints, survived: Ints) -> tuple[Floats, Floats]:
    """Kaplan-Meier estimate and Greenwood standard error of P(first error > t) at t = 0, 1, …, both float64 [T].

    A text that ended or was cut without an error is censored there.
    """
    at_risk, errors = risk_table(first, survived)
    curve = np.cumprod(1 - _share(errors, at_risk), dtype=np.float64)
    greenwood = np.cumsum(_share(errors, at_risk * (at_risk - errors)))
    return curve, curve * np.sqrt(greenwood)


@of_arrays
def cumulative_hazard(first: Ints, survived: Ints) -> Floats:
    """Nelson-Aalen estimate of the hazard summed over the first t + 1 tokens, t = 0, 1, …: float64 [T]."""
    at_risk, errors = risk_table(first, survived)
    return np.cumsum(_share(errors, at_risk))


@of_arrays
def absorbing_regret(curve: Floats) -> Floats:
    """`J(T) = sum_{t <= T} P(first error <= t)`, the tokens of a text from its first error on: float64 [T].

    Ross and Bagnell's (2010) cost of a learner that never recovers; `T (T + 1) / 2` times a small constant hazard.

    Args:
        curve: `survival`.
    """
    if curve.ndim != 1:
        raise InvalidInputError(f"absorbing_regret: a curve is [T], as of survival, not {[*curve.shape]}")
    return np.cumsum(1 - curve.astype(np.float64))


@of_arrays
def absorbing_regret_error(curve: Floats, error: Floats) -> float:
    """Standard error of `absorbing_regret` at the end of a curve, as far as the texts that ended before leave it.

    That of the area under the Kaplan-Meier curve, by Greenwood's terms: `sum_i A_i^2 d_i / (n_i (n_i - d_i))`, with
    `A_i` the area from the i-th error on (Klein and Moeschberger 2003, section 4.5). Without censored texts it is the
    deviation of the texts' own counts over the root of their number.

    Args:
        curve, error: `survival`, up to the horizon.
    """
    S, deviation = np.asarray(curve, dtype=np.float64), np.asarray(error, dtype=np.float64)
    greenwood = np.divide(deviation, S, out=np.zeros(len(S)), where=S > 0) ** 2
    area = S[::-1].cumsum()[::-1]  # of none once every text has its error
    terms = np.where(S > 0, np.diff(greenwood, prepend=0.0), 0.0)
    return float(np.sqrt(np.clip(area**2 @ terms, 0.0, None)))


@of_arrays
def risk_table(first: Ints, survived: Ints) -> tuple[Ints, Ints]:
    """Texts at risk of a first error at each position t = 0, 1, …, and those that have it there: int64 [T] each."""
    check_risks("risk_table", first, survived)
    cells = int(survived.max(initial=0)) * max(len(first), 1)
    check_memory(16 * cells, f"risk_table: {cells:,} positions at risk", "cut the texts")
    t = np.arange(int(survived.max(initial=0)) + 1)
    at_risk = ((survived[:, None] + (first[:, None] >= 0)) > t).sum(0)
    return at_risk, (first[:, None] == t).sum(0)


def check_risks(where: str, first: Ints, survived: Ints) -> None:
    """Refuse what `first_errors` does not return.

    Raises:
        InvalidInputError: other shapes than two [B], no whole numbers, or an error behind what survived.
    """
    if first.ndim != 1 or first.shape != survived.shape or (first > survived).any() or (survived < 0).any():
        raise InvalidInputError(f"{where}: a first error lies behind what survived; give both as first_errors does")
    if any((x % 1 != 0).any() for x in (first, survived)):
        raise InvalidInputError(f"{where}: first and survived are counts; give whole numbers, as first_errors does")


def _share(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share


@typed_widely
def prompt_lists(trajectories: Trajectories) -> list[list[int]]:
    """Prompts as id lists."""
    lengths = trajectories.prompt_lengths.tolist()
    return [row[:n] for row, n in zip(trajectories.prompts.tolist(), lengths, strict=True)]
