"""The same texts, cut off after fewer actions: what a budget decides."""

from __future__ import annotations

from collections.abc import Sequence

from seqil.statistics import proportion

from ..running.records import Record

NAME = "success"


def split(metric: str) -> tuple[str, int | None]:
    """`success@20` as the name and the budget of actions; a metric without one has none."""
    name, _, budget = metric.partition("@")
    return name, int(budget) if budget else None


def within(runs: Sequence[Record], budget: int) -> list[Record]:
    """Runs whose success is that after so many actions, of which nothing else is known; none where one lacks it."""
    curves = [r.get("by_budget") or {"budgets": []} for r in runs]
    if any(budget not in curve["budgets"] for curve in curves):
        return []
    return [_cut(r, budget, curve["budgets"].index(budget)) for r, curve in zip(runs, curves, strict=True)]


def _cut(r: Record, budget: int, at: int) -> Record:
    share = proportion(r["by_budget"]["right"][at], r["by_budget"]["n"], "sequences")
    return {**r, "max_actions": budget, "estimates": {NAME: share.to_json()}}
