"""Tables, figures and one page from the records of a study; nothing else is read."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqil.statistics import Estimate, over_runs

from .cells import Record
from .settings import ARMS, PLACES, Place

METRICS = {
    "automaton": (
        *("hazard", "success", "nll_per_token", "off_policy_step_error", "on_policy_step_error"),
        *("backspace_precision", "backspace_recall"),
    ),
    "pydoc": ("hazard", "nll_per_token", "rep_4"),
}
COMMON = ("actions_per_net_token", "forwards_per_net_token", "unfinished")
_FEW = 100
COLOURS = ("#4c566a", "#0b84a5", "#f6a21e", "#c0392b")

Draw = Callable[[Any, Sequence[Record], str], None]


def interval(e: Estimate) -> str:
    """`0.0090 [0.0082, 0.0099]`."""
    digits = _digits(e)
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"


def plus_minus(e: Estimate) -> str:
    """`0.0090±0.0009`, the wider side."""
    digits = _digits(e)
    return f"{e.value:.{digits}f}±{max(e.high - e.value, e.value - e.low):.{digits}f}"


def _digits(e: Estimate) -> int:
    return 3 if abs(e.value) >= 0.1 or e.value == 0 else 4


def table(records: Sequence[Record], place: Place, show: Callable[[Estimate], str] = interval) -> list[list[str]]:
    """Header and one row per metric; agents are columns."""
    runs = {arm.name: found for arm in ARMS if (found := of(records, place.name, arm.name))}
    metrics = (*METRICS[place.name], *COMMON)
    return [
        ["", *runs],
        *([name.replace("_", " "), *(_cell(found, name, show) for found in runs.values())] for name in metrics),
        ["cost (M)", *(f"{np.mean([r['cost'] for r in found]) / 1e6:.2f}" for found in runs.values())],
        ["training (s)", *(f"{np.mean([r['seconds_training'] for r in found]):.0f}" for found in runs.values())],
    ]


def of(records: Sequence[Record], task: str, arm: str) -> list[Record]:
    """The runs of one arm on one task."""
    return [r for r in records if r["task"] == task and r["arm"] == arm]


def _cell(runs: Sequence[Record], name: str, show: Callable[[Estimate], str]) -> str:
    if any(name not in r["estimates"] for r in runs):
        return "–"
    return show(over_runs([Estimate.of(r["estimates"][name]) for r in runs]))


# -- figures -------------------------------------------------------------------------------------------


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
    shown = [(b, e) for b, e in enumerate(bins) if e.n >= _FEW]
    width = runs[0]["hazard_bin"]
    _points(axes, [(b + 0.5) * width for b, _ in shown], [e for _, e in shown], colour, runs[0]["arm"])
    axes.set(yscale="log", xlabel="tokens", ylabel="errors per token")


def profile(axes: Any, runs: Sequence[Record], colour: str) -> None:
    """P(backspace) by depth of the error, with the line above which an error does not last."""
    if not runs[0]["settings"]["backspace"] or not runs[0]["profile"]:
        return
    depths = [over_runs([Estimate.of(r["profile"][k]) for r in runs]) for k in range(len(runs[0]["profile"]))]
    shown = [(k + 1, e) for k, e in enumerate(depths) if e.n >= _FEW]
    _points(axes, [k for k, _ in shown], [e for _, e in shown], colour, runs[0]["arm"])
    axes.axhline(0.5, color="grey", lw=0.8, ls=":")
    axes.set(ylim=(0, 1), xticks=range(2, 17, 2), xlabel="tokens since the error", ylabel="P(backspace)")


def _points(axes: Any, x: Sequence[float], estimates: Sequence[Estimate], colour: str, label: str) -> None:
    value = np.array([e.value for e in estimates])
    spread = np.abs(np.array([[e.low for e in estimates], [e.high for e in estimates]]) - value)
    axes.errorbar(x, value, spread, color=colour, marker="o", ms=3, lw=1.3, elinewidth=0.8, label=label)


FIGURES: dict[str, Draw] = {"survival": survival, "hazard": hazard, "detection profile": profile}


def figure(records: Sequence[Record], place: Place) -> Any:
    """The figures of a task, side by side; the detection profile where errors are judged exactly."""
    from matplotlib.figure import Figure

    exact = any(r["profile"] for r in records if r["task"] == place.name)
    drawn = {title: draw for title, draw in FIGURES.items() if exact or draw is not profile}
    whole = Figure(figsize=(4 * len(drawn), 3.6), layout="constrained")
    for axes, (title, draw) in zip(whole.subplots(1, len(drawn)), drawn.items(), strict=True):
        for arm, colour in zip(ARMS, COLOURS, strict=True):
            runs = of(records, place.name, arm.name)
            if runs:
                draw(axes, runs, colour)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    handles, labels = whole.axes[0].get_legend_handles_labels()
    whole.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return whole


# -- page ----------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0 } .note { opacity: .75; max-width: 60rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 14px }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom }
td { white-space: nowrap; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left; font-weight: 600 }
figure { margin: 1rem 0; background: #fff; border-radius: 6px; padding: .5rem }
figure svg { max-width: 100%; height: auto }
.text { font: 13px/1.6 ui-monospace, monospace; background: var(--soft); padding: .5rem .7rem; margin: .4rem 0;
        white-space: pre-wrap; border-radius: 4px }
.prompt { opacity: .55 } del { color: #c0392b; background: #c0392b22; text-decoration-thickness: 2px }
"""


def page(records: Sequence[Record]) -> str:
    """One self-contained HTML page."""
    seeds = sorted({r["seed"] for r in records})
    version = records[0]["versions"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Compounding errors</title><style>{_STYLE}</style>",
        "<h1>How does the error grow with the horizon?</h1>",
        f"<p class=note>{len(seeds)} seeds. With fewer than three seeds the 95 % intervals are over sequences, the "
        "seeds pooled: they do not cover the variation between seeds. All agents of a task are trained at equal cost, "
        "in forward positions, a trained position counted three times; noise and rollouts are counted. Sampled at "
        f"temperature 1. seqil {version['seqil']}, torch {version['torch']}, "
        f"transformers {version['transformers']}.</p>",
    ]
    for place in PLACES:
        if not any(r["task"] == place.name for r in records):
            continue
        svg = io.StringIO()
        figure(records, place).savefig(svg, format="svg")
        drawing = svg.getvalue()
        parts += [
            f"<h2>{place.name}</h2><p class=note>An error is {place.error}.</p>",
            f"<div class=wide>{_html_table(table(records, place))}</div>",
            f"<figure>{drawing[drawing.index('<svg') :]}</figure>",
            "<h3>Samples, same prompts, first seed; deleted text is struck out</h3>",
        ]
        for arm in ARMS:
            for r in of(records, place.name, arm.name)[:1]:
                parts.append(f"<h4>{html.escape(arm.name)}</h4>")
                parts += [_html_sample(prompt, runs) for prompt, runs in r["samples"][:3]]
    return "\n".join(parts) + "</html>\n"


def _html_table(rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(rows[0], "th") + "".join(line(row, "td") for row in rows[1:]) + "</table>"


def _html_sample(prompt: str, runs: Sequence[tuple[str, bool]]) -> str:
    written = [f"<del>{html.escape(text)}</del>" if deleted else html.escape(text) for text, deleted in runs]
    separator = " " if prompt.replace(" ", "").isdigit() else ""
    return f"<div class=text><span class=prompt>{html.escape(prompt)}</span>{separator}{separator.join(written)}</div>"


def write(records: Sequence[Record], folder: Path) -> list[Path]:
    """The page, and each figure as PNG and SVG."""
    written = [folder / "report.html"]
    written[0].write_text(page(records), encoding="utf-8")
    for place in PLACES:
        if any(r["task"] == place.name for r in records):
            drawn = figure(records, place)
            for suffix in ("png", "svg"):
                written.append(folder / f"{place.name}.{suffix}")
                drawn.savefig(written[-1], dpi=130)
    return written
