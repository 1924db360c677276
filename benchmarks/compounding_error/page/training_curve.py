"""Success against the cost of training: the same arm at several shares of the budget."""

from __future__ import annotations

from typing import Any

from seqil.statistics import Estimate, over_runs

from ..analysis.results import Results
from ..running.records import Record
from ..study import Place, Section
from .figures import COLOURS, DASHES, MARKERS, canvas, inlined, plain
from .markup import Drawings, captioned, heading, note
from .panels import INK, Style

_APART = ", x "


def curves(results: Results, place: Place) -> dict[str, list[list[Record]]]:
    """By the name without its share: the runs of each share, the cheapest first."""
    found: dict[str, list[list[Record]]] = {}
    for row, runs in results.plain(place).items():
        found.setdefault(row.partition(_APART)[0], []).append(runs)
    return {name: sorted(shares, key=_cost) for name, shares in found.items()}


def drawn(results: Results, place: Place) -> Any:
    """A line per arm, a point per share and its runs one by one."""
    whole = canvas(figsize=(6.5, 3.4))
    axes = whole.subplots()
    for number, (name, shares) in enumerate(curves(results, place).items()):
        _line(axes, name, shares, look(number))
    axes.set(xscale="log", xlabel="cost of training (forward positions)", ylabel="right texts")
    plain(axes)
    axes.legend(frameon=False, fontsize=8)
    return whole


def look(number: int) -> Style:
    """That of a whole curve: its rows have one each."""
    colour = COLOURS[(number - 1) % len(COLOURS)] if number else INK
    return Style(number, colour, DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])


def _line(axes: Any, name: str, shares: list[list[Record]], style: Style) -> None:
    estimates = [over_runs([Estimate.of(r["estimates"]["success"]) for r in runs]) for runs in shares]
    x = [_cost(runs) for runs in shares]
    options = {"color": style.colour, "ls": style.dashes, "marker": style.marker}
    axes.plot(x, [e.value for e in estimates], label=name, ms=5, lw=1.5, **options)
    for at, runs in zip(x, shares, strict=True):
        axes.plot([at] * len(runs), [r["estimates"]["success"]["value"] for r in runs], "_", color=style.colour, ms=7)


def _cost(runs: list[Record]) -> float:
    return sum(float(r["cost"]) for r in runs) / len(runs)


def _section(results: Results, drawings: Drawings) -> str:
    parts = [note("Each point is a model trained to that cost, its schedule laid out for it; ticks are the seeds.")]
    for place in results.places:
        drawing = inlined(f"training-{place.name}", drawn(results, place))
        parts += [heading(place.name), captioned(drawing, "Success against cost of training, seeds as ticks")]
    return "".join(parts)


TRAINING = Section("training", "Success against cost of training", _section)
