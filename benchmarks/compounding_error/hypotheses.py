"""Hypotheses that were written down before the runs, and what the records say of them, whichever way it falls.

A further one is one more entry of `HYPOTHESES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seqil.statistics import Estimate, over_runs

from .correlation import family
from .growth import points, slopes
from .records import Record
from .rows import Results, estimate
from .study import Place

HOLDS, FAILS, MIXED, OPEN = "holds", "fails", "mixed", "open"
WITHIN = 0.1
_FEW = 100


@dataclass(frozen=True)
class Finding:
    """What one task says: whether the hypothesis holds there, and the numbers."""

    place: str
    holds: bool
    numbers: str


@dataclass(frozen=True)
class Verdict:
    """What the records say of a hypothesis: `holds`, `fails`, `mixed` (differs by task) or `open` (nothing yet)."""

    statement: str
    status: str
    findings: list[Finding]
    lacking: str


@dataclass(frozen=True)
class Hypothesis:
    """A statement, what says on one task whether it holds, and what records it needs."""

    statement: str
    test: Callable[[Results, Place], list[Finding]]
    needs: str


def verdicts(results: Results) -> list[Verdict]:
    """All of them, in order."""
    found = []
    for hypothesis in HYPOTHESES:
        findings = [finding for place in results.places for finding in hypothesis.test(results, place)]
        held = {finding.holds for finding in findings}
        status = OPEN if not held else MIXED if len(held) > 1 else HOLDS if held == {True} else FAILS
        found.append(Verdict(hypothesis.statement, status, findings, "" if findings else hypothesis.needs))
    return found


# -- tests ---------------------------------------------------------------------------------------------


def _constant_not_exponent(results: Results, place: Place) -> list[Finding]:
    mle, local = (_first(results, place, kind) for kind in (_is_mle, _is_masked))
    if mle is None or local is None or min(len(points(runs)) for runs in (mle, local)) < 3:
        return []
    ours, theirs = estimate(local, "hazard"), estimate(mle, "hazard")
    steep = [_mean_slope(runs) for runs in (local, mle)]
    if ours is None or theirs is None or not np.isfinite(steep).all():
        return []
    lower, same = ours.high < theirs.low, abs(steep[0] - steep[1]) < WITHIN
    numbers = (
        f"hazard {ours.value:.4f} against {theirs.value:.4f}, mean local slope {steep[0]:.2f} against {steep[1]:.2f}"
    )
    return [Finding(place.name, bool(lower and same), numbers)]


def _mean_slope(runs: Sequence[Record]) -> float:
    """Of the horizons within the training's; NaN where no error was seen at two of them."""
    inside = [y for _, y, beyond in slopes(points(runs)) if not beyond]
    return float(np.mean(inside)) if inside else float("nan")


def _predicted_is_measured(results: Results, place: Place) -> list[Finding]:
    found = []
    for row, runs in _plain(results, place).items():
        known = [r for r in runs if r["settings"]["backspace"] and r.get("ever_deleted")]
        if sum(int(r["ever_deleted"][1]["n"]) for r in known) < _FEW:
            continue
        predicted = float(np.mean([float(r["ever_deleted"][0]) for r in known]))
        measured = over_runs([Estimate.of(r["ever_deleted"][1]) for r in known])
        close = measured.low <= predicted <= measured.high or abs(predicted - measured.value) <= WITHIN * measured.value
        found.append(
            Finding(place.name, bool(close), f"{row}: predicted {predicted:.3f}, measured {measured.value:.3f}")
        )
    return found


def _deep_detection(results: Results, place: Place) -> list[Finding]:
    found = []
    for row, runs in _plain(results, place).items():
        if not all(r["settings"]["backspace"] and r["profile"] for r in runs):
            continue
        deep = [over_runs([Estimate.of(r["profile"][k]) for r in runs]) for k in range(len(runs[0]["profile"]))]
        reached = all(min(int(r["profile"][k]["n"]) for r in runs) >= _FEW for k in range(len(deep)))
        hazard = estimate(runs, "hazard")
        if reached and hazard is not None and min(b.low for b in deep) > 0.5:
            least = min(b.value for b in deep)
            found.append(Finding(place.name, hazard.value < 1e-3, f"{row}: b ≥ {least:.2f}, hazard {hazard.value:.4f}"))
    return found


def _average_is_as_good(results: Results, place: Place) -> list[Finding]:
    if not all("off_policy_step_error" in r["estimates"] for runs in results.runs(place).values() for r in runs):
        return []  # without an exact teacher nothing is known to be realizable
    averaged = _first(results, place, _is_averaged)
    ours = None if averaged is None else estimate(averaged, "hazard")
    rivals = {
        row: hazard
        for row, runs in _plain(results, place).items()
        if not _is_mle(runs[0]) and (hazard := estimate(runs, "hazard")) is not None
    }
    if ours is None or not rivals:
        return []
    best = min(rivals, key=lambda row: rivals[row].value)
    close = ours.value <= (1 + WITHIN) * rivals[best].value
    return [Finding(place.name, bool(close), f"hazard {ours.value:.4f}, the best ({best}) {rivals[best].value:.4f}")]


def _deep_backspace_succeeds(results: Results, place: Place) -> list[Finding]:
    if place.settings["task"] != "star":
        return []
    mle, deep = _first(results, place, _is_mle), _first(results, place, _is_burst)
    if mle is None or deep is None:
        return []
    ours, theirs = estimate(deep, "success"), estimate(mle, "success")
    if ours is None or theirs is None:
        return []
    return [
        Finding(
            place.name,
            ours.low > theirs.high and ours.value > 0.5,
            f"success {ours.value:.3f} against {theirs.value:.3f}",
        )
    ]


def _min_p_is_as_good(results: Results, place: Place) -> list[Finding]:
    local = _first(results, place, _is_masked)
    cut = next((runs for row, runs in results.runs(place).items() if row.startswith("MLE, min-p")), None)
    if local is None or cut is None:
        return []
    ours, theirs = estimate(cut, "hazard"), estimate(local, "hazard")
    if ours is None or theirs is None:
        return []
    close = ours.value <= (1 + WITHIN) * theirs.value
    return [
        Finding(place.name, bool(close), f"hazard {ours.value:.4f} with min-p, {theirs.value:.4f} with a backspace")
    ]


# -- which row is which: by what it was trained with, not by its name -------------------------------------


def _is_mle(r: Record) -> bool:
    return family(r) == "MLE"


def _is_averaged(r: Record) -> bool:
    return family(r) == "MLE" and r["settings"]["average"] is not None


def _is_masked(r: Record) -> bool:
    s = r["settings"]
    return family(r) == "bc" and s["mask_noise"] and s["noise"] == "uniform" and s["burst"] == 1


def _is_burst(r: Record) -> bool:
    return bool(r["settings"]["backspace"]) and r["settings"]["burst"] > 1


def _plain(results: Results, place: Place) -> dict[str, list[Record]]:
    """Rows that are not a decoding of another one."""
    names = {arm.name for arm in results.study.arms}
    return {row: runs for row, runs in results.runs(place).items() if row in names}


def _first(results: Results, place: Place, of: Callable[[Record], bool]) -> Sequence[Record] | None:
    return next((runs for runs in _plain(results, place).values() if of(runs[0])), None)


HYPOTHESES = (
    Hypothesis(
        "A local detector lowers the hazard and leaves the exponent alone.",
        _constant_not_exponent,
        "MLE and cloning with a backspace and masked noise",
    ),
    Hypothesis(
        "The detection profile predicts the share of errors that are ever deleted.",
        _predicted_is_measured,
        f"an agent with a backspace on a task with an exact judge, and {_FEW} errors of it",
    ),
    Hypothesis(
        "Where deletion stays likelier than not down to depth 16, the hazard vanishes.",
        _deep_detection,
        "an agent whose profile is seen to stay above ½ down to depth 16",
    ),
    Hypothesis(
        "MLE with averaged weights is within 10 % of the best imitation agent on realizable tasks.",
        _average_is_as_good,
        "MLE with averaged weights beside imitation agents",
    ),
    Hypothesis(
        "On star graphs a deep backspace turns failure into success.",
        _deep_backspace_succeeds,
        "the task star and an agent trained on bursts of mistakes",
    ),
    Hypothesis(
        "At equal cost of training, min-p is within 10 % of a one-token backspace.",
        _min_p_is_as_good,
        "MLE sampled with min-p beside cloning with a backspace",
    ),
    Hypothesis(
        "Masked noise under-produces rare tokens, by the predicted amount.",
        lambda results, place: [],
        "a count of written tokens by the teacher's probability, which no study makes yet",
    ),
)
