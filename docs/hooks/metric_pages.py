"""A hook of mkdocs: the table of all metrics, made from their entries, on the page that has a place for it."""

from __future__ import annotations

from typing import Any

PLACE, BAR = "<!-- metrics -->", r"\|"


def table() -> str:
    """A row per metric: name, what it is, unit, which way is better, and what it needs."""
    from seqil.metrics.reported import METRICS

    ways = {"lower": "lower ↓", "higher": "higher ↑", None: "neither"}
    rows = [
        f"| `{one.name}` | {one.about.replace('|', BAR)} | {one.unit} | {ways[one.better]} "
        f"| {', '.join(one.needs) or 'nothing'} |"
        for one in METRICS
    ]
    head = ["| metric | what it is | unit | better | needs |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table in its place."""
    return markdown.replace(PLACE, table())
