"""Figures of a study, from its records alone: one per panel with all tasks, and an overview per task."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqil.durable import write_asked
from seqil.errors import MissingExtraError

from ..analysis.contrasts import BETTER, marks, tested_metrics
from ..analysis.correlation import family
from ..analysis.results import Results, estimate, next_run
from ..running.records import Record
from ..study import Place
from .panels import INK, PANELS, Panel, Style, plain_numbers

# Twelve that are told apart by normal eyes and under each of the three colour-blindnesses, found by a search; a row has
# dashes and a marker of its own as well.
COLOURS = (
    *("#8e0eea", "#e57135", "#1e8a9e", "#a8120f", "#eab509", "#4f489b"),
    *("#d941e8", "#977b62", "#773e56", "#4cd4c6", "#9fbff5", "#c3bf8b"),
)
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
GOOD, BAD = "#0072b2", "#d55e00"  # readable on white and on black
_COLUMNS = 3
_SCALE = 1.6  # of figures on the page
_LETTER, _LINE, _MARK = 5.0, 10.0, 6.0  # of a label and of half a mark, in pixels of the figure


def canvas(**options: Any) -> Any:
    """An empty figure of matplotlib, which is an extra."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("figures need matplotlib; pip install 'seqil[study]'") from None
    return Figure(layout="constrained", facecolor="none", **options)


def styles(results: Results) -> dict[str, Style]:
    """A look for every row: a colour per agent family, dashes within it; the first row in the colour of the text.

    A highlight of the study has a colour of its own.
    """
    found: dict[str, Style] = {}
    names = {row: one.name for one in results.study.highlights for row in one.rows}
    families: dict[str, int] = {}
    runs = {name: run[0] for place in results.places for name, run in results.runs(place).items()}
    few = len(runs) <= len(COLOURS)
    for row in results.study.rows:
        if row not in runs:
            continue
        kind = names.get(row, row if few else family(runs[row]))
        if row == results.study.rows[0]:
            families[kind] = 0
            found[row] = Style(0, INK, "-")
            continue
        nth = families[kind] = 0 if row in names else families.get(kind, -1) + 1
        kinds = [k for k in families if k not in (results.study.rows[0], "MLE")]
        k = kinds.index(kind) if kind in kinds else 0
        colour = INK if kind == "MLE" else COLOURS[k % len(COLOURS)]
        look = nth + k + 1  # the first row has the first dash and marker
        dashes, marker = DASHES[look % len(DASHES)], MARKERS[(look + look // len(DASHES)) % len(MARKERS)]
        found[row] = Style(results.study.rows.index(row), colour, dashes, marker)
    return found


def shown(results: Results, panel: Panel, place: Place) -> dict[str, list[Record]]:
    """The rows that a panel shows of a task: the study's highlights, if it is of those alone, else all that have it."""
    names = [row for one in results.study.highlights for row in one.rows] if panel.highlights else []
    runs = results.runs(place)
    return {row: found for row, found in runs.items() if (not names or row in names) and panel.has(found)}


def figure(results: Results, panel: Panel) -> Any | None:
    """One panel for every task that has what it shows; None where no task has."""
    places = [place for place in results.places if shown(results, panel, place)]
    if not places:
        return None
    looks, columns = styles(results), min(_COLUMNS, len(places))
    lines = -(-len(places) // columns)
    whole = canvas(figsize=(1.2 + 3.4 * columns, panel.height * lines))
    grid = whole.subplots(lines, columns, squeeze=False)
    for axes, place in zip(grid.flat, places, strict=False):
        for row, runs in shown(results, panel, place).items():
            panel.draw(axes, runs, looks[row])
        axes.set_title(place.name, fontsize=10, color=INK, loc="left")
        panel.finish(axes)
        plain(axes)
    for axes in grid.flat[len(places) :]:
        axes.set_axis_off()
    return whole


def overview(results: Results, place: Place) -> Any:
    """Point and interval of every row for the first two tested metrics; the band is the first row's interval."""
    runs, marked = results.runs(place), marks(results, place)
    shown = [m for m in tested_metrics() if any(estimate(found, m.name) for found in runs.values())][:2]
    whole = canvas(figsize=(9.5, 1.2 + 0.27 * len(runs)))
    panels = list(whole.subplots(1, len(shown), sharey=True, squeeze=False)[0])
    for axes, metric in zip(panels, shown, strict=True):
        _interval_per_row(axes, runs, metric.name, f"{metric.title} ({metric.unit})", marked)
    decoded = {row for arm in results.study.arms for row in arm.rows[1:]}
    panels[0].set_yticks(range(len(runs)), runs)
    panels[0].invert_yaxis()
    for tick, name in zip(panels[0].get_yticklabels(), runs, strict=True):
        tick.set(style="italic" if name in decoded else "normal")
    return whole


def _interval_per_row(
    axes: Any, runs: dict[str, list[Record]], metric: str, label: str, marked: dict[tuple[str, str], str]
) -> None:
    first = estimate(next(iter(runs.values())), metric)
    if first is not None:
        axes.axvspan(first.low, first.high, color=INK, alpha=0.18, lw=0)
        axes.axvline(first.value, color=INK, lw=0.8, ls=":")
    for y, (row, found) in enumerate(runs.items()):
        e = estimate(found, metric)
        if e is None:
            continue
        mark = marked.get((row, metric), "")
        colour = (GOOD if mark == BETTER else BAD) if mark else INK
        values = [float(r["estimates"][metric]["value"]) for r in found]
        axes.plot([e.low, e.high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
        axes.plot(e.value, y, "o", color=colour, ms=5)
        if mark:
            axes.annotate(mark, (e.value, y), (0, 4), textcoords="offset points", color=colour, ha="center", fontsize=8)
        axes.plot(next_run(values), [y, y], color=colour, lw=0.7, alpha=0.6, ls=":")
        axes.plot(values, [y] * len(found), "|", color=colour, ms=7, mew=1)
        if e.value == float("inf"):
            axes.annotate("∞ →", (1, y), xycoords=("axes fraction", "data"), color=colour, ha="right", va="center")
    axes.set_xlabel(label)
    plain(axes)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")


def label(axes: Any, points: Sequence[tuple[str, float, float]], others: Sequence[tuple[float, float]] = ()) -> None:
    """Names beside points, lower where they would lie on each other, or on the marks of points and of `others`."""
    marks = axes.transData.transform([(x, y) for _, x, y in points] + [*others])
    taken = [(left - _MARK, left + _MARK, height) for left, height in marks]
    for name, x, y in sorted(points, key=lambda point: (-point[2], point[1])):
        left, height = axes.transData.transform((x, y))
        begin, end, low = left + _MARK, left + _MARK + _LETTER * len(name), height
        while near := [b for a, e, b in taken if a < end and begin < e and abs(b - low) < _LINE]:
            low = min(near) - _LINE
        taken.append((begin, end, low))
        points_lower = (low - height) * 72 / axes.figure.dpi
        axes.annotate(name, (x, y), (6, points_lower - 2), textcoords="offset points", color=INK, fontsize=6)


def plain(axes: Any) -> None:
    """Ink, ticks and grid that suit white and black paper."""
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, which="both", labelsize=8.5)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(INK)
    axes.grid(color=INK, alpha=0.22, lw=0.6)
    plain_numbers(axes)


def drawn(results: Results) -> dict[str, Any]:
    """All figures by file name."""
    found = {place.name: overview(results, place) for place in results.places}
    found |= {name: figure(results, panel) for name, panel in PANELS.items()}
    return {name: whole for name, whole in found.items() if whole is not None}


def write(figures: dict[str, Any], results: Results, folder: Path) -> list[Path]:
    """Each as PNG and SVG with a legend, the same bytes for the same records."""
    looks, written = styles(results), []
    for name, whole in figures.items():
        written += [folder / f"{name}.png", folder / f"{name}.svg"]
        if name in PANELS:
            _legend(whole, _named(results, PANELS[name], looks))
        picture = io.BytesIO()
        whole.savefig(picture, dpi=130)
        write_asked(written[-2], picture.getvalue())
        write_asked(written[-1], svg(name, whole))
    return written


def _named(results: Results, panel: Panel, looks: dict[str, Style]) -> dict[str, Style]:
    """The looks of what a panel shows, by the names of the highlights where it is of those."""
    rows = {row for place in results.places for row in shown(results, panel, place)}
    names = {row: one.name for one in results.study.highlights for row in one.rows} if panel.highlights else {}
    return {names.get(row, row): look for row, look in looks.items() if row in rows}


def _legend(whole: Any, looks: dict[str, Style]) -> None:
    """All rows below the figure, which grows by as much."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=s.colour, ls=s.dashes, lw=1.6, marker=s.marker, ms=3.5, label=row)
        for row, s in looks.items()
    ]
    columns = max(1, round(whole.get_figwidth() / 3.2))
    whole.set_figheight(whole.get_figheight() + 0.2 * -(-len(handles) // columns))
    options = {"loc": "outside lower center", "frameon": False, "fontsize": 8, "labelcolor": INK}
    whole.legend(handles=handles, ncols=columns, **options)


def svg(name: str, whole: Any) -> str:
    """As SVG with text as text."""
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        whole.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def inlined(name: str, whole: Any) -> str:
    """For a page: as wide as its column, ink in the colour of the text, rows marked by `data-row`, no other ids."""
    text = svg(name, whole)
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    head, rest = text.split(">", 1)
    width = _SCALE * float(re.search(r' width="([0-9.]+)pt"', head)[1])  # type: ignore[index]
    head = re.sub(r' (?:width|height)="[^"]*"', "", head) + f' style="max-width:{width:.0f}pt"'
    rest = re.sub(r'id="row-(\d+)-[^"]*"', r'data-row="\1"', rest)
    rest = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", rest)
    return f"{head}>{rest}"
