"""Pieces of HTML that the sections of the page are made of."""

from __future__ import annotations

import html
import math

from ..analysis.contrasts import BETTER, WORSE
from ..analysis.tables import Table

Drawings = dict[str, str]
"""Inlined SVG by name of the figure."""


def escaped(text: str) -> str:
    """Text as HTML."""
    return html.escape(text)


def note(text: str) -> str:
    """A paragraph of explanation."""
    return f"<p class=note>{escaped(text)}</p>"


def heading(text: str) -> str:
    """Of a part of a section."""
    return f"<h3>{escaped(text)}</h3>"


def figure(drawings: Drawings, name: str, label: str) -> str:
    """A drawing, or nothing where there is none of this name."""
    drawing = drawings.get(name)
    return "" if drawing is None else captioned(drawing, label)


def captioned(drawing: str, caption: str) -> str:
    """SVG with its caption below; on a narrow screen it slides sideways, and says so."""
    return (
        f'<figure><div class=drawing tabindex=0 role=img aria-label="{escaped(caption)}">{drawing}</div>'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def folded(summary: str, body: str) -> str:
    """HTML that opens at a press."""
    return f"<details><summary>{escaped(summary)}</summary>{body}</details>"


def table(rows: Table) -> str:
    """Header and rows, which a press on a heading sorts; cells that end in a mark are coloured."""
    head, *body = rows
    first = "".join(f"<th scope=col>{escaped(cell)}</th>" for cell in head)
    return (
        f'<div class=wide tabindex=0 role=region aria-label="table"><table><thead><tr>{first}</tr></thead><tbody>'
        + "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in body)
        + "</tbody></table></div>"
    )


def signed(x: float) -> str:
    """Two digits with a sign."""
    return "–" if math.isnan(x) else f"{x:+.2f}"


def p_value(p: float) -> str:
    """Three digits."""
    return "–" if math.isnan(p) else "< 0.001" if p < 1e-3 else f"{p:.3f}"


def _cell(cell: str) -> str:
    mark = {BETTER: " class=better", WORSE: " class=worse"}.get(cell[-1:], "")
    return f"<td{mark}>{escaped(cell)}</td>"
