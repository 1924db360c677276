"""The page of a study, and its files."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from pathlib import Path

from .figures import figure
from .tables import BETTER, WORSE, Results, Table, caption, many, markdown, table

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0 } .note { opacity: .75; max-width: 60rem }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 14px }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: bottom }
td { white-space: nowrap; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left; font-weight: 600 }
figure { margin: 1rem 0; background: #fff; border-radius: 6px; padding: .5rem }
figure svg { max-width: 100%; height: auto } figure.clear { background: none }
.better { color: #1a9e77 } .worse { color: #d9622b }
.text { font: 13px/1.6 ui-monospace, monospace; background: var(--soft); padding: .5rem .7rem; margin: .4rem 0;
        white-space: pre-wrap; border-radius: 4px }
.prompt { opacity: .55 } del { color: #c0392b; background: #c0392b22; text-decoration-thickness: 2px }
"""


def page(results: Results) -> str:
    """One self-contained HTML page."""
    seeds = sorted({r["seed"] for r in results.records})
    version = results.records[0]["versions"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Compounding errors</title><style>{_STYLE}</style>",
        f"<h1>{results.study.question}</h1>",
        f"<p class=note>{len(seeds)} seeds. With fewer than three seeds the 95 % intervals are over sequences, the "
        "seeds pooled: they do not cover the variation between seeds. All agents of a task are trained at equal cost, "
        "in forward positions, a trained position counted three times; noise and rollouts are counted. Sampled at "
        f"temperature 1. seqil {version['seqil']}, torch {version['torch']}, "
        f"transformers {version['transformers']}.</p>",
    ]
    if many(results.study):
        parts.append(f"<p class=note>{caption(results)}</p>")
    for place in results.places:
        svg = io.StringIO()
        figure(results, place).savefig(svg, format="svg")
        drawing = svg.getvalue()
        parts += [
            f"<h2>{place.name}</h2><p class=note>An error is {place.error}.</p>",
            f"<div class=wide>{_html_table(table(results, place))}</div>",
            f"<figure{' class=clear' if many(results.study) else ''}>{drawing[drawing.index('<svg') :]}</figure>",
            "<h3>Samples, same prompts, first seed; deleted text is struck out</h3>",
        ]
        for name, runs in results.runs(place).items():
            parts.append(f"<h4>{html.escape(name)}</h4>")
            parts += [_html_sample(prompt, spans) for prompt, spans in runs[0]["samples"][:3]]
    return "\n".join(parts) + "</html>\n"


def _html_table(rows: Table) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(_html_cell(cell, tag) for cell in cells) + "</tr>"

    return "<table>" + line(rows[0], "th") + "".join(line(row, "td") for row in rows[1:]) + "</table>"


def _html_cell(cell: str, tag: str) -> str:
    mark = {BETTER: " class=better", WORSE: " class=worse"}.get(cell[-1:], "")
    return f"<{tag}{mark}>{html.escape(cell)}</{tag}>"


def _html_sample(prompt: str, runs: Sequence[tuple[str, bool]]) -> str:
    written = [f"<del>{html.escape(text)}</del>" if deleted else html.escape(text) for text, deleted in runs]
    separator = " " if prompt.replace(" ", "").isdigit() else ""
    return f"<div class=text><span class=prompt>{html.escape(prompt)}</span>{separator}{separator.join(written)}</div>"


def write(results: Results, folder: Path) -> list[Path]:
    """The page, the tables as Markdown, and each figure as PNG and SVG."""
    written = [folder / "report.html", folder / "table.md"]
    written[0].write_text(page(results), encoding="utf-8")
    written[1].write_text(markdown(results), encoding="utf-8")
    for place in results.places:
        drawn = figure(results, place)
        for suffix in ("png", "svg"):
            written.append(folder / f"{place.name}.{suffix}")
            drawn.savefig(written[-1], dpi=130)
    return written
