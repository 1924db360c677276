"""A win is one over its control: the claims of an arm against another, by name, on the tasks where both are."""

from __future__ import annotations

from collections.abc import Callable

from ..analysis.contrasts import compared
from ..analysis.results import Results
from ..analysis.tables import interval
from ..running import asked_metrics
from ..study import Hypothesis, Place
from .claims import MARGIN, Claim, times


def wins(row: str, control: str, metric: str, why: str, at: tuple[str, ...] = ()) -> Hypothesis:
    """That one row is better than another by a metric, paired by seed.

    Args:
        row: of a study, as tables name it.
        control: likewise.
        metric: that says which is better.
        why: what the control leaves out or puts in, for the statement.
        at: the places that it is about; empty: all that have both rows.
    """
    where = f"On {' and '.join(at)}, " if at else ""
    statement = f"{where}{row} is better than {control} ({why}), by {metric.replace('_', ' ')}."
    return Hypothesis(statement, f"both rows with {metric.replace('_', ' ')}", _compared(row, control, metric, at))


def is_no_better(row: str, control: str, metric: str, why: str, at: tuple[str, ...]) -> Hypothesis:
    """That one row is not better than another by the margin or more: a null hypothesis that records can confirm.

    Args:
        row, control, metric: as of `wins`.
        why: what makes one expect it, for the statement.
        at: the places that it is about.
    """
    name = metric.replace("_", " ")
    statement = f"On {' and '.join(at)}, {row} is no better than {control} ({why}), by {name}."
    return Hypothesis(statement, f"both rows with {name}", _compared(row, control, metric, at, MARGIN, not_better=True))


def _compared(
    row: str, control: str, metric: str, at: tuple[str, ...], margin: float = 0.0, not_better: bool = False
) -> Callable[[Results, Place], list[Claim]]:
    """Claims that a row is better than its control by more than a margin, or that it is not."""

    def claims(results: Results, place: Place) -> list[Claim]:
        runs = results.runs(place)
        found = compared(runs.get(row, ()), runs.get(control, ()), metric)
        if found is None or (at and place.name not in at):
            return []
        entry = asked_metrics.metric(metric)
        lower = entry is not None and entry.better == "lower"
        bound = found.neutral + (-margin if lower else margin)
        sides = found.above(bound), found.below(bound)
        numbers = f"{metric.replace('_', ' ')} {times(found) if found.neutral else interval(found.effect)}"
        holds, fails = sides[::-1] if lower != not_better else sides
        return [Claim(place.name, numbers, len(found.gaps), holds, fails)]

    return claims
