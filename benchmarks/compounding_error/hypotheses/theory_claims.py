"""Hypotheses about what was predicted and what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from seqil.runs.plugins import construct
from seqil.statistics import Estimate, over_runs, proportion
from seqil.statistics.comparison import paired_difference, paired_ratio

from ..analysis.predicted import Rarity
from ..analysis.regret import horizon_of
from ..analysis.results import Results, estimate
from ..analysis.tables import interval
from ..running.records import Record
from ..study import Place
from . import roles
from .claims import MARGIN, Claim, both, either, times

FEW = 100
_DEEP, _NO_HAZARD = 0.5, 1e-3


def predicted_is_measured(results: Results, place: Place) -> list[Claim]:
    """The share of errors ever deleted: predicted by the profile within 10 % of what was counted, run by run.

    Both are counts of the same texts, and where texts are far longer than the profile is deep they balance whatever the
    policy does: a check of the book-keeping. Texts that end soon after an error can deviate.
    """
    found = []
    for row, runs in results.plain(place).items():
        ever = [r["ever_deleted"] for r in runs if r["settings"]["backspace"] and r.get("ever_deleted")]
        counted = [(float(predicted), e) for predicted, row in ever if (e := Estimate.of(row)).n]
        if sum(e.n for _, e in counted) < FEW:
            continue
        predicted, measured = [p for p, _ in counted], over_runs([e for _, e in counted], "counts")
        gap = paired_difference(predicted, [e.value for _, e in counted])
        edge = MARGIN * measured.value
        numbers = (
            f"{row}: predicted {np.mean(predicted):.3f}, measured {interval(measured)}, less {interval(gap.effect)}"
        )
        found.append(Claim(place.name, numbers, len(gap.gaps), gap.within(-edge, edge), gap.beyond(-edge, edge)))
    return found


def deep_detection(results: Results, place: Place) -> list[Claim]:
    """Rows whose profile stays above 1/2 down to its end: is there a hazard left?

    A learned profile counts with steps enough at each depth, a planted one is known. The last errors of a text have no
    time to be deleted; those younger than the profile is deep are left out. So rare errors are tested as one count of
    all seeds: no error at all is the best that there can be, and has no spread.
    """
    found = []
    for row, runs in results.runs(place).items():
        if not all(r["settings"]["backspace"] and r["profile"] and horizon_of(r) > len(r["profile"]) for r in runs):
            continue
        planted = roles.planted(results, row)
        b = f"planted b = {planted:g}" if planted > _DEEP else _learned(runs)
        if not b:
            continue
        errors, at_risk = (sum(counts) for counts in zip(*map(_old_errors, runs), strict=True))
        if not at_risk:
            continue
        left = proportion(errors, at_risk, "tokens")
        numbers = f"{row}: {b}, hazard {left.value:.1e} [{left.low:.1e}, {left.high:.1e}] but for the youngest errors"
        below, above = (
            float(stats.binomtest(errors, at_risk, _NO_HAZARD, side).pvalue) for side in ("less", "greater")
        )
        found.append(Claim(place.name, numbers, len(runs), below, above))
    return found


def _learned(runs: Sequence[Record]) -> str:
    """The least of a profile that is seen to stay above 1/2, in words; nothing of any other."""
    depths = [[Estimate.of(r["profile"][k]) for r in runs] for k in range(len(runs[0]["profile"]))]
    if any(e.n < FEW for depth in depths for e in depth):
        return ""
    least = min((over_runs(depth, "counts") for depth in depths), key=lambda b: b.low)
    return f"b ≥ {least.value:.2f}" if least.low > _DEEP else ""


def _old_errors(r: Record) -> tuple[int, int]:
    """First errors and tokens at risk, but for as many positions at the horizon as the profile is deep."""
    errors, at_risk = (sum(r["counts"][name][: horizon_of(r) - len(r["profile"])]) for name in ("errors", "at_risk"))
    return errors, at_risk


def rare_tokens_are_lost(results: Results, place: Place) -> list[Claim]:
    """Masked cloning on `ngram`: fewer rare tokens than the teacher's, and as few as its optimum would write."""
    if place.settings["task"] != "ngram":
        return []
    task = construct("tasks", "ngram", **place.settings.get("task_options", {}))
    law = Rarity(task.law.numpy(), task.max_length)
    plain = estimate(roles.first(results, place, roles.mle), "rare_tokens")
    found = []
    for row, runs in results.plain(place).items():
        share = estimate(runs, "rare_tokens")
        if not roles.masked(runs[0]) or share is None:
            continue
        values = [float(r["estimates"]["rare_tokens"]["value"]) for r in runs]
        predicted = law.cloned(runs[0]["settings"]["noise_rate"])
        lost = paired_difference(values, np.full(len(values), law.teacher))
        met = paired_ratio(values, np.full(len(values), predicted))
        numbers = (
            f"{row}: {interval(share)} of the tokens are rare, the teacher's {law.teacher:.4f}, predicted "
            f"{predicted:.4f} ({times(met)})"
            + (f", MLE {interval(plain)}" if plain and not math.isnan(plain.value) else "")
        )
        close, off = met.within(1 - MARGIN, 1 + MARGIN), met.beyond(1 - MARGIN, 1 + MARGIN)
        found.append(Claim(place.name, numbers, len(values), both(lost.below(0), close), either(lost.above(0), off)))
    return found
