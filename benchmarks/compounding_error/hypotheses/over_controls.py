"""A win is one over its control: the claims of an arm against another, by name, on the tasks where both are."""

from __future__ import annotations

from collections.abc import Callable

from seqil.runs import known_metrics

from ..analysis.contrasts import compared
from ..analysis.results import Results
from ..analysis.tables import interval
from ..study import Hypothesis, Place
from .claims import Claim, times


def wins(row: str, control: str, metric: str, why: str) -> Hypothesis:
    """That one row is better than another by a metric, paired by seed.

    Args:
        row: of a study, as tables name it.
        control: likewise.
        metric: that says which is better.
        why: what the control leaves out or puts in, for the statement.
    """
    statement = f"{row} is better than {control} ({why}), by {metric.replace('_', ' ')}."
    return Hypothesis(statement, f"both rows with {metric.replace('_', ' ')}", _better(row, control, metric))


def _better(row: str, control: str, metric: str) -> Callable[[Results, Place], list[Claim]]:
    def claims(results: Results, place: Place) -> list[Claim]:
        runs = results.runs(place)
        found = compared(runs.get(row, ()), runs.get(control, ()), metric)
        if found is None:
            return []
        better, worse = found.above(found.neutral), found.below(found.neutral)
        entry = known_metrics.metric(metric)
        if entry is not None and entry.better == "lower":
            better, worse = worse, better
        numbers = f"{metric.replace('_', ' ')} {times(found) if found.neutral else interval(found.effect)}"
        return [Claim(place.name, numbers, len(found.gaps), better, worse)]

    return claims
