"""Figures of a study, from its records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqil.errors import MissingExtraError
from seqil.statistics import Estimate, over_runs

from .records import Record
from .study import Place
from .tables import BETTER, Results, estimate, many, verdict

_FEW_TOKENS = 100
COLOURS = ("#4c566a", "#0b84a5", "#f6a21e", "#c0392b")
INK, GOOD, BAD = "#7d828a", "#1a9e77", "#d9622b"  # readable on white and on black

Draw = Callable[[Any, Sequence[Record], str], None]


def survival(axes: Any, runs: Sequence[Record], colour: str) -> None:
    """One thin line per seed, on a logarithmic axis."""
    for i, r in enumerate(runs):
        curve, error = (np.array(x) for x in r["survival"])
        t = np.arange(1, len(curve) + 1)
        axes.plot(t, np.maximum(curve, 1e-3), color=colour, lw=1.6, label=r["arm"] if i == 0 else None)
        axes.fill_between(
            t, np.clip(curve - 1.96 * error, 1e-3, 1), np.clip(curve + 1.96 * error, 1e-3, 1), color=colour, alpha=0.12
        )
    axes.set(yscale="log", xlabel="tokens", ylabel="P(no error yet)")


def hazard(axes: Any, runs: Sequence[Record], colour: str) -> None:
    """Errors per token in bins of the horizon that at least 100 tokens reached."""
    bins = [over_runs([Estimate.of(r["hazard"][b]) for r in runs]) for b in range(len(runs[0]["hazard"]))]
    shown = [(b, e) for b, e in enumerate(bins) if e.n >= _FEW_TOKENS]
    width = runs[0]["hazard_bin"]
    _points(axes, [(b + 0.5) * width for b, _ in shown], [e for _, e in shown], colour, runs[0]["arm"])
    axes.set(yscale="log", xlabel="tokens", ylabel="errors per token")


def profile(axes: Any, runs: Sequence[Record], colour: str) -> None:
    """P(backspace) by depth of the error, with the line above which an error does not last."""
    if not runs[0]["settings"]["backspace"] or not runs[0]["profile"]:
        return
    depths = [over_runs([Estimate.of(r["profile"][k]) for r in runs]) for k in range(len(runs[0]["profile"]))]
    shown = [(k + 1, e) for k, e in enumerate(depths) if e.n >= _FEW_TOKENS]
    _points(axes, [k for k, _ in shown], [e for _, e in shown], colour, runs[0]["arm"])
    axes.axhline(0.5, color="grey", lw=0.8, ls=":")
    axes.set(ylim=(0, 1), xticks=range(2, 17, 2), xlabel="tokens since the error", ylabel="P(backspace)")


def _points(axes: Any, x: Sequence[float], estimates: Sequence[Estimate], colour: str, label: str) -> None:
    value = np.array([e.value for e in estimates])
    spread = np.abs(np.array([[e.low for e in estimates], [e.high for e in estimates]]) - value)
    axes.errorbar(x, value, spread, color=colour, marker="o", ms=3, lw=1.3, elinewidth=0.8, label=label)


CURVES: dict[str, Draw] = {"survival": survival, "hazard": hazard, "detection profile": profile}


def canvas(**options: Any) -> Any:
    """An empty figure of matplotlib, which is an extra."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("figures need matplotlib; pip install 'seqil[study]'") from None
    return Figure(layout="constrained", **options)


def figure(results: Results, place: Place) -> Any:
    """Curves of a few arms; an interval per row where there are more."""
    return forest(results, place) if many(results.study) else curves(results, place)


def curves(results: Results, place: Place) -> Any:
    """The curves of a task, side by side; the detection profile where errors are judged exactly."""
    runs = results.runs(place)
    exact = any(r["profile"] for found in runs.values() for r in found)
    drawn = {title: draw for title, draw in CURVES.items() if exact or draw is not profile}
    whole = canvas(figsize=(4 * len(drawn), 3.6))
    for axes, (title, draw) in zip(whole.subplots(1, len(drawn)), drawn.items(), strict=True):
        for arm, colour in zip(results.study.rows, COLOURS, strict=False):
            if arm in runs:
                draw(axes, runs[arm], colour)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    handles, labels = whole.axes[0].get_legend_handles_labels()
    whole.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return whole


def forest(results: Results, place: Place) -> Any:
    """Success and hazard of every row, point and interval, on no background; the band is the first row's interval."""
    runs = results.runs(place)
    whole = canvas(figsize=(9.5, 1.2 + 0.27 * len(runs)), facecolor="none")
    left, right = whole.subplots(1, 2, sharey=True)
    _forest_panel(left, runs, "success", "right texts")
    _forest_panel(right, runs, "hazard", "errors per token")
    decoded = {row for arm in results.study.arms for row in arm.rows[1:]}
    left.set_yticks(range(len(runs)), runs)
    left.invert_yaxis()
    for tick, name in zip(left.get_yticklabels(), runs, strict=True):
        tick.set(style="italic" if name in decoded else "normal")
    return whole


def _forest_panel(axes: Any, runs: dict[str, list[Record]], metric: str, label: str) -> None:
    first = estimate(next(iter(runs.values())), metric)
    if first is not None:
        axes.axvspan(first.low, first.high, color=INK, alpha=0.18, lw=0)
        axes.axvline(first.value, color=INK, lw=0.8, ls=":")
    for y, found in enumerate(runs.values()):
        e = estimate(found, metric)
        if e is None:
            continue
        mark = verdict(e, first, metric)
        colour = (GOOD if mark == BETTER else BAD) if mark else INK
        axes.plot([e.low, e.high], [y, y], color=colour, lw=1.6, solid_capstyle="butt")
        axes.plot(e.value, y, "o", color=colour, ms=5)
        axes.plot([r["estimates"][metric]["value"] for r in found], [y] * len(found), "|", color=colour, ms=7, mew=1)
    axes.set_xlabel(label, color=INK, fontsize=9)
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=9, left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.grid(axis="x", color=INK, alpha=0.25, lw=0.6)
