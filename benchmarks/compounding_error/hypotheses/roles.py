"""Which row is which: by what it was trained with, not by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..analysis.correlation import family
from ..analysis.results import Results
from ..running.records import Record
from ..study import Place

Role = Callable[[Record], bool]


def mle(r: Record) -> bool:
    """Maximum likelihood, averaged or not."""
    return family(r) == "MLE"


def averaged(r: Record) -> bool:
    """Maximum likelihood with averaged weights."""
    return mle(r) and r["settings"]["average"] is not None


def masked(r: Record) -> bool:
    """Cloning with a backspace from masked uniform mistakes of one token: a local detector."""
    s = r["settings"]
    return family(r) == "bc" and s["mask_noise"] and s["noise"] == "uniform" and s["burst"] == 1


def burst(r: Record) -> bool:
    """Trained on mistakes of several tokens, which take as many deletions."""
    return bool(r["settings"]["backspace"]) and r["settings"]["burst"] > 1


def first(results: Results, place: Place, role: Role) -> Sequence[Record]:
    """The runs of the first such row, none where there is none."""
    return next((runs for runs in results.plain(place).values() if role(runs[0])), ())


def min_p(results: Results, place: Place) -> Sequence[Record]:
    """Maximum likelihood, sampled with a cut at a share of the likeliest token's chance."""
    runs = results.runs(place)
    cut = (row for row, how in results.study.decodings.items() if any(rule.startswith("min_p") for rule in how.rules))
    return next((runs[row] for row in cut if row in runs and mle(runs[row][0])), ())


def planted(results: Results, row: str) -> float:
    """At what rate a planted detector deletes in a row; 0 without one."""
    how = results.study.decodings.get(row)
    return how.detector if how else 0.0
