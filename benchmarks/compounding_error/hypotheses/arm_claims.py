"""Hypotheses about one arm and another, paired by seed."""

from __future__ import annotations

import numpy as np

from seqil.metrics.growth import local_slopes
from seqil.runs.plugins import construct
from seqil.statistics.comparison import Comparison, paired_difference

from ..analysis.contrasts import compared, paired
from ..analysis.regret import regret_inside
from ..analysis.results import Results, estimate
from ..analysis.tables import interval
from ..running.records import Record
from ..study import Place
from . import roles
from .claims import MARGIN, Claim, both, either, times


def constant_not_exponent(results: Results, place: Place) -> list[Claim]:
    """Masked cloning with MLE: a hazard lower by the margin, and a mean local slope that is the same within it."""
    ours, theirs = (roles.first(results, place, role) for role in (roles.masked, roles.mle))
    hazard = compared(ours, theirs, "hazard")
    gaps = [gap for a, b in paired(ours, theirs) if not np.isnan(gap := _steeper(a, b))]
    if hazard is None or not gaps:
        return []
    slope = paired_difference(gaps, np.zeros(len(gaps)))
    return [
        Claim(
            place.name,
            f"hazard {times(hazard)} of MLE's, local slopes differ by {interval(slope.effect)}",
            len(slope.gaps),
            both(hazard.below(1 - MARGIN), slope.within(-MARGIN, MARGIN)),
            either(hazard.above(1 - MARGIN), slope.beyond(-MARGIN, MARGIN)),
        )
    ]


def _steeper(ours: Record, theirs: Record) -> float:
    """Mean local slope within the training's horizon, less the other's, where both have one; else NaN."""
    T, J = regret_inside(ours)
    _, K = regret_inside(theirs)
    gaps = local_slopes(T, J) - local_slopes(T, K) if len(T) > 1 and len(J) == len(K) else np.array([np.nan])
    known = gaps[np.isfinite(gaps)]
    return float(known.mean()) if len(known) else float("nan")


def average_is_as_good(results: Results, place: Place) -> list[Claim]:
    """MLE with averaged weights against every imitation agent: a hazard at most 10 % higher."""
    if not place.realizable:
        return []
    return [
        _not_higher(place, f"hazard {times(hazard)} of that of {row}", hazard)
        for row, hazard in _averaged_to_imitation(results, place).items()
    ]


def gap_opens(results: Results, place: Place) -> list[Claim]:
    """Where the student cannot be right: MLE with averaged weights more than 10 % above the best imitation agent."""
    hazards = {} if place.realizable else _averaged_to_imitation(results, place)
    if not hazards:
        return []
    best = max(hazards, key=lambda row: hazards[row].effect.value)
    return [
        Claim(
            place.name,
            f"hazard {times(hazards[best])} of that of {best}, which has the lowest of {len(hazards)} agents "
            "(the interval is not corrected for that choice)",
            min(len(hazard.gaps) for hazard in hazards.values()),
            either(*(hazard.above(1 + MARGIN) for hazard in hazards.values())),
            both(*(hazard.below(1 + MARGIN) for hazard in hazards.values())),
        )
    ]


def _averaged_to_imitation(results: Results, place: Place) -> dict[str, Comparison]:
    """By row; nothing without an exact teacher, where nobody knows what a student can express."""
    if not all("off_policy_step_error" in r["estimates"] for runs in results.runs(place).values() for r in runs):
        return {}
    ours = roles.first(results, place, roles.averaged)
    rivals = {row: runs for row, runs in results.plain(place).items() if not roles.mle(runs[0])}
    found = {row: compared(ours, runs, "hazard") for row, runs in rivals.items()}
    return {row: hazard for row, hazard in found.items() if hazard is not None}


def min_p_is_as_good(results: Results, place: Place) -> list[Claim]:
    """MLE sampled with min-p against masked cloning: a hazard at most 10 % higher."""
    hazard = compared(roles.min_p(results, place), roles.first(results, place, roles.masked), "hazard")
    return [] if hazard is None else [_not_higher(place, f"hazard {times(hazard)} of that with a backspace", hazard)]


def _not_higher(place: Place, numbers: str, hazard: Comparison) -> Claim:
    return Claim(place.name, numbers, len(hazard.gaps), hazard.below(1 + MARGIN), hazard.above(1 + MARGIN))


def deep_backspace_succeeds(results: Results, place: Place) -> list[Claim]:
    """Agents trained on bursts of mistakes on `star`: above MLE's success by the margin, and above a guess of the arm.

    It fails where less than the margin is gained: that turns no failure into success.
    """
    if place.settings["task"] != "star":
        return []
    guess, mle = 1 / construct("tasks", "star", **place.settings.get("task_options", {})).arms, roles.mle
    found = []
    for row, runs in results.plain(place).items():
        gain = compared(runs, roles.first(results, place, mle), "success") if roles.burst(runs[0]) else None
        reached = estimate(runs, "success")
        if gain is None or reached is None:
            continue
        values = [float(r["estimates"]["success"]["value"]) for r in runs]
        beyond = paired_difference(values, np.full(len(values), guess)).above(0)
        numbers = f"{row}: success {interval(reached)}, {interval(gain.effect)} above MLE, a guess has {guess:.3f}"
        found.append(Claim(place.name, numbers, len(gain.gaps), both(gain.above(MARGIN), beyond), gain.below(MARGIN)))
    return found
