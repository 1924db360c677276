"""The sections of the page. A further one is one more entry of `SECTIONS`; a further figure, of `panels.PANELS`."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .contrasts import BETTER, WORSE
from .correlation import likelihood_against_quality
from .hypotheses import verdicts
from .panels import PANELS
from .rows import Results
from .tables import Table, caption, table

Drawings = dict[str, str]
"""Inlined SVG by name of the figure."""


@dataclass(frozen=True)
class Section:
    """One part of the page: its anchor, heading and the function that makes its HTML, empty where there is nothing."""

    anchor: str
    title: str
    body: Callable[[Results, Drawings], str]


def main_tables(results: Results, drawings: Drawings) -> str:
    """A table and an overview per task."""
    parts = [_note(caption(results))]
    for place in results.places:
        parts += [
            f"<h3>{escaped(place.name)}</h3>",
            _note(f"An error is {place.error}."),
            html_table(table(results, place)),
            _figure(drawings, place.name, f"Success and hazard of every row on {place.name}"),
        ]
    return "".join(parts)


def panels(*names: str) -> Callable[[Results, Drawings], str]:
    """Figures with their notes, and with headings where they are several."""

    def body(results: Results, drawings: Drawings) -> str:
        parts = []
        for name in names:
            if name in drawings:
                panel = PANELS[name]
                parts += [f"<h3>{escaped(panel.title)}</h3>"] if len(names) > 1 else []
                parts += [_note(panel.note), _figure(drawings, name, panel.title)]
        return "".join(parts)

    return body


def likelihood(results: Results, drawings: Drawings) -> str:
    """The scatter and the rank correlations."""
    found = [c for place in results.places for c in likelihood_against_quality(results, place)]
    if not found:
        return ""
    rows = [["", "quality", "among", "points", "Spearman ρ", "p", "Kendall τ", "p"]]
    for c in found:
        ranks = (_signed(c.spearman), _share(c.spearman_p), _signed(c.kendall), _share(c.kendall_p))
        rows.append([c.task, c.quality.replace("_", " "), c.among, str(c.n), *ranks])
    note = (
        "Rank correlation of held-out nats per token with how bad the texts are (success counted negatively): positive "
        "where the better likelihood is the better text. “agents” has one point per agent family; below it the runs of "
        "one family. p-values are not corrected for their number."
    )
    return panels("likelihood")(results, drawings) + _note(note) + html_table(rows)


def hypotheses(results: Results, drawings: Drawings) -> str:
    """Statements, verdicts and numbers."""
    items = []
    for verdict in verdicts(results):
        numbers = "".join(
            f"<li>{escaped(f.place)}: {escaped(f.numbers)} ({'holds' if f.holds else 'fails'})</li>"
            for f in verdict.findings
        )
        more = f"<p class=lacking>No record decides it: it takes {escaped(verdict.lacking)}.</p>"
        if verdict.findings:
            count = f"holds in {sum(f.holds for f in verdict.findings)} of {len(verdict.findings)} comparisons"
            more = f"<details><summary>{count}</summary><ul>{numbers}</ul></details>"
        items.append(
            f'<li><span class="badge {verdict.status}">{verdict.status}</span>'
            f"<div><p>{escaped(verdict.statement)}</p>{more}</div></li>"
        )
    return (
        _note("Written down before the runs. A verdict is no better than the number of seeds behind it.")
        + f"<ul class=hypotheses>{''.join(items)}</ul>"
    )


def viewer(results: Results, drawings: Drawings) -> str:
    """The stepper, filled by the script."""
    if not stepped(results):
        return ""
    strips = "".join(
        f'<p class=name>{title} <span></span></p><svg data-of="{name}" preserveAspectRatio=none role=img '
        f'aria-label="{title} at every step"></svg>'
        for name, title in (("backspace", "π(backspace)"), ("value", "V"), ("reward", "implicit reward q − γV′"))
    )
    selects = "".join(
        f'<label>{title}<select id="{name}"></select></label>'
        for name, title in (("task", "Task"), ("agent", "Agent"), ("which", "Text"))
    )
    buttons = "".join(
        f'<button id="{name}" type=button aria-label="{title}">{sign}</button>'
        for name, title, sign in (
            ("begin", "To the start", "⇤"),
            ("back", "One step back", "←"),
            ("forth", "One step on", "→"),
            ("last", "To the end", "⇥"),
        )
    )
    readings = "".join(
        f'<div><dt>{title}</dt><dd id="{name}"></dd></div>'
        for name, title in (
            ("action", "action"),
            ("pop", "π(backspace) before it"),
            ("v", "V before it"),
            ("r", "implicit reward"),
            ("error", "first error"),
        )
    )
    return (
        _note(
            "Sampled texts of the first seed, action by action. Deleted tokens are struck out, tokens from the first "
            "error on are underlined, red ground marks steps at which an error stands. Arrow keys step."
        )
        + f'<div id="viewer" tabindex=0 aria-label="Sampled texts step by step; arrow keys step">'
        f'<div class=controls>{selects}<div class=transport>{buttons}<input id="step" type=range min=0 value=0 '
        f'aria-label="Step"><span class=count id="count" aria-live=polite></span></div></div>'
        f'<div class=text id="text"></div><dl class=reading>{readings}</dl>'
        f'<div class=strips>{strips}</div><p class=note id="end"></p></div>'
    )


def samples(results: Results, drawings: Drawings) -> str:
    """The first texts of every row; deleted ones struck out."""
    parts = [_note("The same prompts for all, first seed; what was deleted is struck out.")]
    for place in results.places:
        texts = "".join(
            f"<h4>{escaped(name)}</h4>" + "".join(_sample(prompt, spans) for prompt, spans in runs[0]["samples"][:3])
            for name, runs in results.runs(place).items()
        )
        parts.append(f"<details><summary>{escaped(place.name)}</summary>{texts}</details>")
    return "".join(parts)


SECTIONS = (
    Section("tables", "Results", main_tables),
    Section("hypotheses", "Hypotheses", hypotheses),
    Section("horizon", "Errors over the horizon", panels("survival", "hazard", "regret", "slopes")),
    Section("backspaces", "What the backspace does", panels("profile", "ever_deleted", "cost")),
    Section("entropy", "Entropy drift", panels("entropy")),
    Section("likelihood", "Likelihood against quality", likelihood),
    Section("steps", "Step by step", viewer),
    Section("samples", "Samples", samples),
)


def stepped(results: Results) -> dict[str, dict[str, list[dict[str, object]]]]:
    """Rollouts of the first seed by task and row, where records hold them."""
    found = {
        place.name: {
            row: runs[0]["trajectories"] for row, runs in results.runs(place).items() if runs[0].get("trajectories")
        }
        for place in results.places
    }
    return {place: rows for place, rows in found.items() if rows}


def html_table(rows: Table) -> str:
    """Header and rows; cells that end in a mark are coloured."""
    head, *body = rows
    first = "".join(f"<th scope=col>{escaped(cell)}</th>" for cell in head)
    return (
        f'<div class=wide tabindex=0 role=region aria-label="table"><table><thead><tr>{first}</tr></thead><tbody>'
        + "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in body)
        + "</tbody></table></div>"
    )


def escaped(text: str) -> str:
    """Text as HTML."""
    return html.escape(text)


def _cell(cell: str) -> str:
    mark = {BETTER: " class=better", WORSE: " class=worse"}.get(cell[-1:], "")
    return f"<td{mark}>{escaped(cell)}</td>"


def _note(text: str) -> str:
    return f"<p class=note>{escaped(text)}</p>"


def _figure(drawings: Drawings, name: str, label: str) -> str:
    drawing = drawings.get(name)
    return "" if drawing is None else f'<figure role=img aria-label="{escaped(label)}">{drawing}</figure>'


def _sample(prompt: str, runs: Sequence[tuple[str, bool]]) -> str:
    written = [f"<del>{escaped(text)}</del>" if deleted else escaped(text) for text, deleted in runs]
    separator = " " if prompt.replace(" ", "").isdigit() else ""
    return f"<div class=sample><span>{escaped(prompt)}</span>{separator}{separator.join(written)}</div>"


def _signed(x: float) -> str:
    return "–" if math.isnan(x) else f"{x:+.2f}"


def _share(p: float) -> str:
    return "–" if math.isnan(p) else "< 0.001" if p < 1e-3 else f"{p:.3f}"
