"""What a metric is: one entry, which tables, marks of tests, pages and the command line read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InvalidInputError
from ..statistics.comparison import Comparison, difference_of, ratio_of
from ..statistics.estimates import Estimate, Scale
from .samples import Sample

Compare = Callable[[Sequence[Estimate], Sequence[Estimate]], Comparison]
"""Two arms, one estimate per seed each, in the same order."""


def by_difference(ours: Sequence[Estimate], theirs: Sequence[Estimate]) -> Comparison:
    """Ours less theirs: of shares."""
    return difference_of([e.value for e in ours], [e.value for e in theirs])


def by_ratio(ours: Sequence[Estimate], theirs: Sequence[Estimate]) -> Comparison:
    """Ours over theirs: of positive values without bound."""
    return ratio_of([e.value for e in ours], [e.value for e in theirs])


@dataclass(frozen=True)
class Metric:
    """A number of a sample, and all that anybody has to know to show it.

    Attributes:
        name: in records and, with blanks, in tables.
        about: what it is, in a line.
        compute: from a `Sample` to its value, None where the sample cannot tell.
        unit: of the value.
        needs: what the task or the policy must have: `judge`, `exact judge`, `teacher`, `success`, `deletions`.
        better: which way, or None.
        compared: how two arms are, for tests and marks; None: they are not.
        group: where it stands in tables: `quality` first, then `sampling`, then `further`; empty: nowhere.
        in_place_of: another metric; in tables of many rows this one is shown only where that one is not known.
        scale: `counts` where value times n is a count, `share` of other numbers from 0 to 1; for intervals over runs.
        heading: in tables, where the name says too little.
    """

    name: str
    about: str
    compute: Callable[[Sample], Estimate | None]
    unit: str
    needs: tuple[str, ...] = ()
    better: Literal["lower", "higher"] | None = None
    compared: Compare | None = None
    group: Literal["quality", "sampling", "further", ""] = "further"
    in_place_of: str | None = None
    scale: Scale = None
    heading: str = ""

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher", None):
            raise InvalidInputError(f"metric {self.name!r}: better={self.better!r}; give 'lower', 'higher' or None")

    def of(self, sample: Sample) -> Estimate | None:
        """Its value, with an interval that stays where a share can be."""
        found = self.compute(sample)
        if found is None or self.scale is None:
            return found
        high = min(found.high, 1.0)
        return replace(found, low=min(max(found.low, 0.0), high), high=high)

    @property
    def title(self) -> str:
        """For headings."""
        return self.heading or self.name.replace("_", " ")

    @property
    def arrow(self) -> str:
        """Which way is better, as a sign."""
        return {"lower": "↓", "higher": "↑", None: ""}[self.better]
