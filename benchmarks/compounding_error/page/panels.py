"""What a panel shows of one row on one task. A further figure is one more entry of `PANELS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqil.metrics import Floats
from seqil.statistics import Estimate, mean, over_runs

from ..analysis import guesses
from ..analysis.regret import points, slopes
from ..analysis.results import estimate
from ..running.records import Record

INK = "#7d828a"  # readable on white and on black; the page puts the colour of its text in its place
_FEW = 100
_LEAST = 1e-3


@dataclass(frozen=True)
class Style:
    """How a row is drawn: its number in the study, its colour, dashes and marker."""

    row: int
    colour: str
    dashes: Any
    marker: str = "o"


Numbers = Sequence[float] | np.ndarray
Draw = Callable[[Any, Sequence[Record], Style], None]


@dataclass(frozen=True)
class Panel:
    """A figure with one set of axes per task.

    Attributes:
        title: heading on the page.
        note: what one sees, in a sentence or two.
        has: whether the records of a row hold what is drawn.
        draw: draws one row.
        finish: scales and labels of the axes.
        height: of one set of axes, in inches.
        highlights: whether it is of the study's highlights alone, where it has any.
    """

    title: str
    note: str
    has: Callable[[Sequence[Record]], bool]
    draw: Draw
    finish: Callable[[Any], None]
    height: float = 2.9
    highlights: bool = False


def line(axes: Any, x: Numbers, y: Numbers, style: Style, **options: Any) -> None:
    """A line that the page knows by its row; what is not finite is drawn at the rim."""
    axes.plot(x, y, gid=_name(axes, style), **{"color": style.colour, "ls": style.dashes, "lw": 1.5, **options})


def interval_points(axes: Any, x: Sequence[float], estimates: Sequence[Estimate], style: Style, **options: Any) -> None:
    """Points with their intervals; an infinite one is an arrow at the rim."""
    for at, e in zip(x, estimates, strict=True):
        if math.isfinite(e.value) and math.isfinite(e.low):
            axes.plot([at, at], [e.low, e.high], color=style.colour, lw=0.9, gid=_name(axes, style))
        elif math.isinf(e.value):
            rim = axes.get_xaxis_transform()
            axes.plot(at, 0.97, "^", color=style.colour, ms=6, transform=rim, gid=_name(axes, style))
    values = [e.value if math.isfinite(e.value) else math.nan for e in estimates]
    line(axes, x, values, style, **{"marker": style.marker, "ms": 3, **options})


def plain_numbers(axes: Any) -> None:
    """Few ticks, written as people write numbers, on logarithmic axes too; room around a single value."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.margins(x=0.04, y=0.08)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            if not axis.get_minpos() < math.inf:  # nothing is drawn that a logarithm has
                (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("linear")
                continue
            wide = high > 50 * low
            axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=12))
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        elif isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator(5))


def _name(axes: Any, style: Style) -> str:
    return f"row-{style.row}-{len(axes.get_children())}"


def _survival(axes: Any, runs: Sequence[Record], style: Style) -> None:
    for curve, low, high in survival_curves(runs):
        t = np.arange(1, len(curve) + 1)
        line(axes, t, np.maximum(curve, _LEAST), style, lw=1.5)
        band = np.clip(low, _LEAST, 1), np.clip(high, _LEAST, 1)
        axes.fill_between(t, *band, color=style.colour, alpha=0.08, lw=0, gid=_name(axes, style))


def survival_curves(runs: Sequence[Record]) -> list[Floats]:
    """Curve, lower and upper end, [3, T], of each run, by Greenwood's error; from three runs on those of their mean."""
    found = [np.array(r["survival"], dtype=np.float64) for r in runs]
    if len(found) < 3:
        return [curve + error * np.array([[0], [-1.96], [1.96]]) for curve, error in found]
    length = max(curve.shape[1] for curve in found)
    # They end where no text is left.
    same = [np.pad(curve, (0, length - len(curve)), mode="edge") for curve, _ in found]
    means = [mean(at, "seeds") for at in np.stack(same).T]
    return [np.array([[e.value, e.low, e.high] for e in means]).T]


def _hazard(axes: Any, runs: Sequence[Record], style: Style) -> None:
    bins = [
        over_runs([Estimate.of(r["hazard"][b]) for r in runs], "counts")
        for b in range(min(len(r["hazard"]) for r in runs))
    ]
    width = runs[0]["hazard_bin"]
    reached = [min(int(r["hazard"][b]["n"]) for r in runs) for b in range(len(bins))]
    shown = [(b, e) for b, (e, n) in enumerate(zip(bins, reached, strict=True)) if n >= _FEW and e.value > 0]
    interval_points(axes, [(b + 0.5) * width for b, _ in shown], [e for _, e in shown], style)


def _regret(axes: Any, runs: Sequence[Record], style: Style) -> None:
    found = [p for p in points(runs) if p.regret.value > 0]
    interval_points(axes, [p.horizon for p in found], [p.regret for p in found], style)
    _rings(axes, [(p.horizon, p.regret.value) for p in found if p.extrapolation], style)


def _slopes(axes: Any, runs: Sequence[Record], style: Style) -> None:
    found = slopes(points(runs))
    line(axes, [x for x, _, _ in found], [y for _, y, _ in found], style, marker="o", ms=3)
    _rings(axes, [(x, y) for x, y, extrapolation in found if extrapolation], style)


def _rings(axes: Any, points: Sequence[tuple[float, float]], style: Style) -> None:
    x, y = [x for x, _ in points], [y for _, y in points]
    axes.plot(x, y, "o", ms=5.5, mfc="none", mec=style.colour, gid=_name(axes, style))


def _cost(axes: Any, runs: Sequence[Record], style: Style) -> None:
    paid, hazard = estimate(runs, "forwards_per_net_token"), estimate(runs, "hazard")
    if paid and hazard:
        interval_points(axes, [paid.value], [hazard], style, ms=6)


def _profile(axes: Any, runs: Sequence[Record], style: Style) -> None:
    depths = [over_runs([Estimate.of(r["profile"][k]) for r in runs], "counts") for k in range(len(runs[0]["profile"]))]
    reached = [min(int(r["profile"][k]["n"]) for r in runs) for k in range(len(depths))]
    shown = [(k + 1, e) for k, (e, n) in enumerate(zip(depths, reached, strict=True)) if n >= _FEW]
    interval_points(axes, [k for k, _ in shown], [e for _, e in shown], style)


def _ever_deleted(axes: Any, runs: Sequence[Record], style: Style) -> None:
    for r in runs:
        predicted, measured = r["ever_deleted"]
        interval_points(axes, [float(predicted)], [Estimate.of(measured)], style)


def _guessed(axes: Any, runs: Sequence[Record], style: Style) -> None:
    pairs = np.array([pair for r in runs if (pair := guesses.predicted(r))])
    line(axes, pairs[:, 0], pairs[:, 1], style, marker=style.marker, ms=6, ls="none")


def _drift(axes: Any, runs: Sequence[Record], style: Style) -> None:
    n = min(min(len(r["entropy"]["own"]), len(r["entropy"]["data"])) for r in runs)
    gaps = [over_runs([_gap(r["entropy"], b) for r in runs]) for b in range(n)]
    width = runs[0]["entropy"]["bin"]
    interval_points(axes, [(b + 0.5) * width for b in range(n)], gaps, style)


def _gap(entropy: dict[str, Any], b: int) -> Estimate:
    own, data = Estimate.of(entropy["own"][b]), Estimate.of(entropy["data"][b])
    half = math.hypot(own.high - own.value, data.high - data.value)
    gap = own.value - data.value
    return Estimate(gap, gap - half, gap + half, own.n, "sequences")


def _likelihood(axes: Any, runs: Sequence[Record], style: Style) -> None:
    x = [float(r["estimates"]["nll_per_token"]["value"]) for r in runs]
    y = [max(float(r["estimates"]["hazard"]["value"]), 0) or math.nan for r in runs]
    line(axes, x, y, style, marker=style.marker, ms=4, ls="none")


def _by_budget(axes: Any, runs: Sequence[Record], style: Style) -> None:
    curves = [r["by_budget"] for r in runs]
    budgets = np.array(curves[0]["budgets"])
    shares = np.array([[right / c["n"] for right in c["right"]] for c in curves])
    enough = np.array([c["ended"] for c in curves]).any(0)  # for a text, or for all draws of the best of several
    for one in shares[:, enough]:
        line(axes, budgets[enough], one, style, ls="none", marker="_", ms=5, alpha=0.6)
    line(axes, budgets[enough], shares.mean(0)[enough], style, marker=style.marker, ms=4.5, drawstyle="steps-post")


def _course(axes: Any, runs: Sequence[Record], style: Style) -> None:
    for r in runs:
        stages = [*r["course"], r]
        at = [(float(s["cost"]) / 1e6, float(s["estimates"]["nll_per_token"]["value"])) for s in stages]
        line(axes, [x for x, _ in at], [y for _, y in at], style, marker=style.marker, ms=3.5)


def _axes(xlabel: str, ylabel: str, **options: Any) -> Callable[[Any], None]:
    return lambda axes: axes.set(xlabel=xlabel, ylabel=ylabel, **options)


def _halves(axes: Any) -> None:
    axes.axhline(0.5, color=INK, lw=1, ls=":")
    axes.set(ylim=(-0.02, 1.02), xticks=range(2, 17, 2), xlabel="tokens since the error", ylabel="P(backspace)")


def _diagonal(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=":")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="predicted by S / (1 + S)", ylabel="measured")


def _guess_axes(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=":")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="predicted right texts", ylabel="measured")


def _slope_axes(axes: Any) -> None:
    axes.axhline(1, color=INK, lw=1, ls=":")
    axes.set(xscale="log", xlabel="tokens per text", ylabel="local slope")


def _zero(axes: Any) -> None:
    axes.axhline(0, color=INK, lw=1, ls=":")
    axes.set(xlabel="tokens", ylabel="entropy, own − data (nats)")


def _has(name: str) -> Callable[[Sequence[Record]], bool]:
    return lambda runs: all(r.get(name) for r in runs)


def _judged(runs: Sequence[Record]) -> bool:
    return all("hazard" in r["estimates"] for r in runs)


def _long(runs: Sequence[Record]) -> bool:
    """Whether there are horizons enough to speak of growth."""
    return len(points(runs)) > 2


def _deletes(runs: Sequence[Record]) -> bool:
    return bool(runs[0]["settings"]["backspace"]) and _has("profile")(runs)


PANELS = {
    "survival": Panel(
        "Survival",
        "Share of texts without an error so far (Kaplan–Meier): a line per seed, from three seeds on of their mean.",
        _has("survival"),
        _survival,
        _axes("tokens", "P(no error yet)", yscale="log"),
    ),
    "hazard": Panel(
        "Hazard",
        "First errors per token at risk, in bins of the horizon that at least 100 tokens reached.",
        _long,
        _hazard,
        _axes("tokens", "errors per token", yscale="log"),
    ),
    "regret": Panel(
        "Regret",
        "Expected tokens from the first error on. Rings are extrapolation: texts longer than those of the training.",
        _long,
        _regret,
        _axes("tokens per text", "tokens after an error", xscale="log", yscale="log"),
    ),
    "slopes": Panel(
        "Local slopes of the regret",
        "Of log J against log √(T(T+1)/2): 1 is linear growth, 2 quadratic. Saturation lowers a slope just as recovery "
        "does, so read it beside the regret.",
        _long,
        _slopes,
        _slope_axes,
    ),
    "cost": Panel(
        "Cost against hazard",
        "What a net token costs to sample, in forward positions (a deletion costs none), and how often it goes wrong.",
        _judged,
        _cost,
        _axes("forward positions per net token", "errors per token", yscale="log"),
    ),
    "by_budget": Panel(
        "Success against actions spent",
        "Right texts after so many actions per text, deletions counted, once a text, or all draws of the best of k, "
        "have room. Measured at the markers, drawn between them as it was; ticks are the seeds.",
        lambda runs: all(any(r["by_budget"]["ended"]) if r.get("by_budget") else False for r in runs),
        _by_budget,
        _axes("actions per text", "right texts", xscale="log", ylim=(-0.02, 1.02)),
        height=3.4,
        highlights=True,
    ),
    "course": Panel(
        "Training curves",
        "Held-out nats per token at the stages of the training that were measured, and at its end: a line per seed. "
        "Look for curves that still fall where the budget ends.",
        _has("course"),
        _course,
        _axes("cost (M forward positions)", "held-out nats per token"),
    ),
    "profile": Panel(
        "Detection profile",
        "Chance of a deletion by the number of tokens since the error. Where a curve stays below ½, some errors last.",
        _deletes,
        _profile,
        _halves,
    ),
    "ever_deleted": Panel(
        "Errors ever deleted: predicted and measured",
        "Predicted from the detection profile by the gambler's ruin, against the share that was deleted.",
        lambda runs: _deletes(runs) and _has("ever_deleted")(runs),
        _ever_deleted,
        _diagonal,
    ),
    "guesses": Panel(
        "Guess and check: predicted and measured",
        "Right texts as the share of right first drafts and the share of errors that are deleted predict them, under "
        "the memory; a point per seed. What does not forget is taken to write nothing twice.",
        lambda runs: all(map(guesses.predicted, runs)),
        _guessed,
        _guess_axes,
    ),
    "entropy": Panel(
        "Entropy drift",
        "Entropy of the next token after the agent's own text, less that after the data, at the same position.",
        _has("entropy"),
        _drift,
        _zero,
    ),
    "likelihood": Panel(
        "Likelihood against quality",
        "Held-out nats per token and errors per token of every run: is the better likelihood the better text?",
        lambda runs: _judged(runs) and all("nll_per_token" in r["estimates"] for r in runs),
        _likelihood,
        _axes("held-out nats per token", "errors per token", yscale="log"),
    ),
}
