"""Where a number of a text comes from, `0.50<!-- study/task/row/metric -->`.

It is the mean over the runs of the row, rounded as it stands there. `success@20` is the share of texts that were right
after 20 actions, and `3.1<!-- A over B -->` one such number divided by another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from seqil import Settings
from seqil.errors import InvalidInputError

from ..analysis.results import Results, estimate
from ..analysis.spending import split, within
from ..running.cells import budget_of
from ..running.records import Record
from ..study import Place

Load = Callable[[str], Results]

_PATH = r"[\w-]+/[\w-]+/[^/>]+?/\w+(?:@\d+)?"
NUMBER = re.compile(rf"(?<![\w.,−])(-?\d+(?:\.(\d+))?)(<!-- ({_PATH})(?: over ({_PATH}))? -->)")


@dataclass(frozen=True)
class Found:
    """The runs of a row, and the metric that a text names."""

    runs: list[Record]
    place: Place
    metric: str

    @property
    def value(self) -> float:
        """Mean over the runs."""
        known = estimate(self.runs, self.metric)
        return float("nan") if known is None else known.value

    @property
    def budget(self) -> int | None:
        """Actions per text, where the policy deletes."""
        first = self.runs[0]
        if not first["settings"]["backspace"]:
            return None
        return int(first.get("max_actions") or budget_of(self.place, Settings.of(first["settings"]))[0])


def found(path: str, load: Load) -> Found | None:
    """What `study/task/row/metric` names; None where there is no record of it."""
    parts = path.split("/")
    if len(parts) != 4:
        return None
    study, task, row, asked = parts
    results, (metric, budget) = load(study), split(asked)
    place = next((place for place in results.places if place.name == task), None)
    runs = results.runs(place).get(row, []) if place else []
    runs = within(runs, budget) if budget else runs
    return Found(runs, place, metric) if place and runs and estimate(runs, metric) else None


def paths(text: str) -> list[str]:
    """Those that the marked numbers of a text name."""
    return [path for match in NUMBER.finditer(text) for path in match.group(4, 5) if path]


def renewed(load: Load, match: re.Match[str]) -> str:
    """A marked number as the records have it.

    Raises:
        InvalidInputError: there is no record of it.
    """
    value, *below = (_value(path, load) for path in match.group(4, 5) if path)
    for other in below:
        value /= other
    return f"{value:.{len(match[2] or '')}f}{match[3]}"


def _value(path: str, load: Load) -> float:
    known = found(path, load)
    if known is None:
        study, _, rest = path.partition("/")
        raise InvalidInputError(f"the records of {study} say nothing of {rest}")
    return known.value
