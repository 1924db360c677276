"""Inspected runs as one page that loads nothing: light and dark, narrow and wide, and printed."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from .inspection import (
    OF_RUNS,
    Inspected,
    Rows,
    Sampling,
    comparison_table,
    costs_table,
    curves,
    evaluation_table,
    note_on_samples,
    settings_table,
)

# Told apart by the colour-blind (Okabe & Ito 2008), and each with dashes of its own.
_LOOKS = (
    ("#0072b2", ""),
    ("#d55e00", "6 3"),
    ("#009e73", "2 2"),
    ("#cc79a7", "8 3 2 3"),
    ("#e69f00", "12 4"),
    ("#56b4e9", "4 2"),
)
_WIDTH, _HEIGHT, _LEFT = 640, 220, 52

_STYLE = Path(__file__).with_name("inspection.css")


def html_page(title: str, body: str) -> str:
    """A document around its body."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{_e(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><h1>{_e(title)}</h1>{body}</body></html>\n"
    )


def page(runs: Sequence[Inspected], how: Sampling, texts: int) -> str:
    """The sections of the terminal, with curves that are drawn.

    Args:
        runs: one or several.
        how: they were sampled.
        texts: how many are shown of each.
    """
    one = len(runs) == 1
    parts = [
        _section("Settings that are not the default" if one else "Settings that differ", _table(settings_table(runs)))
    ]
    drawn = curves(runs)
    if drawn:
        shown = "".join(_figure(name, of, runs) for name, of in drawn.items())
        parts.append(_section("Curves", f"{_key(runs)}<div class=curves>{shown}</div>"))
    parts.append(_section("Costs", _table(costs_table(runs))))
    parts.append(_section("Evaluation", _note(note_on_samples(how, runs)) + _table(evaluation_table(runs))))
    differences = comparison_table(runs)
    if differences:
        parts.append(_section(f"Compared with {runs[0].name}, text by text", _table(differences) + _note(OF_RUNS)))
    rows = "".join(_texts(runs, row) for row in range(min(texts, len(runs[0].sample.rollouts))))
    parts.append(_section("Texts", _note("What was deleted is struck out.") + rows))
    return html_page(" beside ".join(run.name for run in runs), "".join(parts))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{_e(title)}</h2>{body}</section>"


def _note(text: str) -> str:
    return f"<p class=note>{_e(text)}</p>"


def _table(rows: Rows) -> str:
    head, *body = rows
    if not body:
        return _note("There are none.")
    top = "".join(f"<th scope=col>{_e(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr><th scope=row>{_e(name)}</th>"
        + "".join(f'<td data-of="{_e(who)}">{_e(cell)}</td>' for who, cell in zip(head[1:], cells, strict=True))
        + "</tr>"
        for name, *cells in body
    )
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"
    return f'<div class=wide tabindex=0 role=region aria-label="table">{whole}</div>'


def _key(runs: Sequence[Inspected]) -> str:
    entries = (
        f'<li><svg viewBox="0 0 34 8" aria-hidden=true><line x1=0 x2=34 y1=4 y2=4 {_look(at)} /></svg> '
        f"{_e(run.name)}</li>"
        for at, run in enumerate(runs)
    )
    return f"<ul class=key>{''.join(entries)}</ul>"


def _figure(name: str, of: dict[str, list[tuple[float, float]]], runs: Sequence[Inspected]) -> str:
    """One number over the steps, a line per run; the ends of both axes are written."""
    points = [point for curve in of.values() for point in curve]
    (x0, x1), (y0, y1) = ((min(v), max(v)) for v in zip(*points, strict=True))
    lines = []
    for at, run in enumerate(runs):
        places = " ".join(
            f"{_LEFT + (x - x0) / (x1 - x0 or 1) * (_WIDTH - _LEFT - 8):.1f},"
            f"{10 + (y1 - y) / (y1 - y0 or 1) * (_HEIGHT - 40):.1f}"
            for x, y in of.get(run.name, ())
        )
        lines.append(f'<polyline points="{places}" fill=none {_look(at)} />' if places else "")
    ends = (
        f"<text x={_LEFT - 6} y=16 text-anchor=end>{y1:.3g}</text><text x={_LEFT - 6} y={_HEIGHT - 28} "
        f"text-anchor=end>{y0:.3g}</text><text x={_LEFT} y={_HEIGHT - 8}>step {x0:.0f}</text>"
        f"<text x={_WIDTH - 8} y={_HEIGHT - 8} text-anchor=end>step {x1:.0f}</text>"
    )
    title = name.replace("_", " ")
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="{_e(title)} over the steps">{ends}'
        f"{''.join(lines)}</svg><figcaption>{_e(title)} at every logged step of training</figcaption></figure>"
    )


def _look(at: int) -> str:
    colour, dashes = _LOOKS[at % len(_LOOKS)]
    return f'stroke="{colour}" stroke-width=2' + (f' stroke-dasharray="{dashes}"' if dashes else "")


def _texts(runs: Sequence[Inspected], row: int) -> str:
    prompt, _ = runs[0].text(row)
    entries = "".join(
        f"<dt>{_e(run.name)}</dt><dd class=text>"
        + "".join(f"<del>{_e(text)}</del>" if deleted else _e(text) for text, deleted in run.text(row)[1])
        + "</dd>"
        for run in runs
    )
    return f"<dl><dt>prompt</dt><dd class=text>{_e(prompt)}</dd>{entries}</dl>"


def _e(text: str) -> str:
    return html.escape(text)
