"""Time to the first error, with censoring.

A *judge* is a function `(prompt, tokens) -> index of the first error or None`, such as `Task.first_error`. It must be
consistent: a prefix that holds no error of the whole text holds none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..errors.arguments import check_count
from ..mdp.trajectory import Trajectories
from ..statistics.estimates import Estimate, proportion

Judge = Callable[[Sequence[int], Sequence[int]], int | None]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def hazard(first: Ints, survived: Ints, begin: int = 0, end: int | None = None) -> Estimate:
    """Errors per token at risk between two horizons, with Wilson's interval: `first` and `survived` as above.

    Raises:
        InvalidInputError: an error behind what survived, or a `begin` below 0.
    """
    first, survived = np.asarray(first), np.asarray(survived)
    if first.shape != survived.shape or (first > survived).any():
        raise InvalidInputError("hazard: a first error lies behind what survived; give both as first_errors does")
    begin = check_count("hazard", "begin", begin)
    stop = int(survived.max(initial=0)) + 1 if end is None else end
    hits = int(((first >= begin) & (first < stop)).sum())
    at_risk = int(np.clip(survived + (first >= 0), begin, stop).sum()) - begin * len(first)
    return proportion(hits, at_risk, "tokens")


def survival(first: Ints, survived: Ints) -> tuple[Floats, Floats]:
    """Kaplan-Meier estimate and Greenwood standard error of P(first error > t) at t = 0, 1, …, both float64 [T].

    A text that ended or was cut without an error is censored there.
    """
    at_risk, errors = risk_table(first, survived)
    curve = np.cumprod(1 - _share(errors, at_risk), dtype=np.float64)
    greenwood = np.cumsum(_share(errors, at_risk * (at_risk - errors)))
    return curve, curve * np.sqrt(greenwood)


def cumulative_hazard(first: Ints, survived: Ints) -> Floats:
    """Nelson-Aalen estimate of the hazard summed over the first t + 1 tokens, t = 0, 1, …: float64 [T]."""
    at_risk, errors = risk_table(first, survived)
    return np.cumsum(_share(errors, at_risk))


def absorbing_regret(curve: Floats) -> Floats:
    """`J(T) = sum_{t <= T} P(first error <= t)`, the tokens of a text from its first error on: float64 [T].

    Ross and Bagnell's (2010) cost of a learner that never recovers; `T (T + 1) / 2` times a small constant hazard.

    Args:
        curve: `survival`.
    """
    return np.cumsum(1 - np.asarray(curve, dtype=np.float64))


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


def risk_table(first: Ints, survived: Ints) -> tuple[Ints, Ints]:
    """Texts at risk of a first error at each position t = 0, 1, …, and those that have it there: int64 [T] each."""
    t = np.arange(int(survived.max(initial=0)) + 1)
    at_risk = ((survived[:, None] + (first[:, None] >= 0)) > t).sum(0)
    return at_risk, (first[:, None] == t).sum(0)


def _share(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
    return share


def prompt_lists(trajectories: Trajectories) -> list[list[int]]:
    """Prompts as id lists."""
    lengths = trajectories.prompt_lengths.tolist()
    return [row[:n] for row, n in zip(trajectories.prompts.tolist(), lengths, strict=True)]
