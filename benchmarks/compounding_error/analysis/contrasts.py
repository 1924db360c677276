"""Rows against rows, seed by seed: runs of one seed share data, prompts and random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqil.metrics.entries import Metric
from seqil.statistics import Estimate, holm, interquartile_mean, probability_of_improvement
from seqil.statistics.comparison import Comparison

from ..running import asked_metrics
from ..running.records import Record
from ..study import Place
from .results import Results

BETTER, WORSE = "✓", "✗"
FEWEST = 3
"""Seeds of a test."""


@dataclass(frozen=True)
class Contrast:
    """What a row is to the first one of its study, by one metric.

    Attributes:
        row, metric: of what.
        comparison: paired by seed, as the metric says.
        p: two-sided, by Holm's method for all rows of the task.
        improvement: chance that a run of the row is better than one of the first.
        middle: interquartile mean of the row over seeds.
        theirs: that of the first row.
    """

    row: str
    metric: Metric
    comparison: Comparison
    p: float
    improvement: float
    middle: float
    theirs: float

    @property
    def mark(self) -> str:
        """`BETTER`, `WORSE` or nothing, at 5 %."""
        if not self.comparison.differs(p=self.p):
            return ""
        return BETTER if self.comparison.better(self.metric.better == "lower", p=self.p) else WORSE


def paired(ours: Sequence[Record], theirs: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Runs of the same seed."""
    seeds = {r["seed"]: r for r in theirs}
    return [(r, seeds[r["seed"]]) for r in ours if r["seed"] in seeds]


def compared(ours: Sequence[Record], theirs: Sequence[Record], metric: str) -> Comparison | None:
    """One row with another by a metric that says how; None where no seed has it in both."""
    entry = asked_metrics.metric(metric)
    pairs = [pair for pair in paired(ours, theirs) if all(metric in r["estimates"] for r in pair)]
    if not pairs or entry is None or entry.compared is None:
        return None
    a, b = ([Estimate.of(r["estimates"][metric]) for r in arm] for arm in zip(*pairs, strict=True))
    return entry.compared(a, b)


def tested_metrics() -> list[Metric]:
    """Those that say which way is better and how two arms are compared."""
    return [metric for metric in asked_metrics.metrics() if metric.better and metric.compared]


def with_the_first(results: Results, place: Place) -> list[Contrast]:
    """Every row with the first one, by every metric that says which is better, where both have seeds enough."""
    runs = results.runs(place)
    first = runs.pop(results.study.rows[0], [])
    found = []
    for metric in tested_metrics():
        known = {row: comparison for row, own in runs.items() if (comparison := compared(own, first, metric.name))}
        tested = {row: comparison for row, comparison in known.items() if len(comparison.gaps) >= FEWEST}
        adjusted = holm([comparison.p for comparison in tested.values()])
        theirs = _values(first, metric.name)
        for (row, comparison), p in zip(tested.items(), adjusted, strict=True):
            ours = _values(runs[row], metric.name)
            sides = (theirs, ours) if metric.better == "lower" else (ours, theirs)
            middles = interquartile_mean(ours), interquartile_mean(theirs)
            found.append(Contrast(row, metric, comparison, p, probability_of_improvement(*sides), *middles))
    return found


def marks(results: Results, place: Place) -> dict[tuple[str, str], str]:
    """Of rows and metrics."""
    return {(contrast.row, contrast.metric.name): contrast.mark for contrast in with_the_first(results, place)}


def _values(runs: Sequence[Record], metric: str) -> list[float]:
    return [float(r["estimates"][metric]["value"]) for r in runs if metric in r["estimates"]]
