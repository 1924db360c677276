"""Records, table and picture of the experiment."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import cycle
from pathlib import Path
from typing import Any

from seqil.capacity import read_bytes
from seqil.durable import replace
from seqil.errors import CheckpointError
from seqil.statistics import estimates

from .ways import TASK, Reached

NAME = "records.json"
_SHADES = tuple(f"C{n}" for n in range(10))
_RIVAL, _UNTRAINED = "asked", "not trained, "
_SHOWN = "right", "cells", "calls"

Records = list[dict[str, Any]]


def read(folder: Path) -> Records:
    """What `add` has written: a record per seed, none where there is no file.

    Raises:
        CheckpointError: the file holds something else.
    """
    path = folder / NAME
    if not path.exists():
        return []
    try:
        found: Records = json.loads(read_bytes(path))
        for record in found:
            int(record["seed"]), {**record["sizes"]}, [Reached(**row) for row in record["reached"]]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path} holds no records of this experiment ({error}); move it away") from None
    return found


def add(folder: Path, seed: int, sizes: dict[str, int], reached: Sequence[Reached]) -> None:
    """One record more; the file is replaced as a whole."""
    found = [*read(folder), {"seed": seed, "sizes": sizes, "reached": [asdict(row) for row in reached]}]
    found.sort(key=lambda record: record["seed"])
    replace(folder / NAME, (json.dumps(found, indent=1) + "\n").encode())


def table(records: Records) -> str:
    """Rows of mean scores with intervals over seeds, right texts, and cells that are fed per text."""
    sizes, seeds = records[0]["sizes"], len(records)
    lines = [
        f"`potentials`: data reach a score of {TASK.edge:g}, right is more than {TASK.edge + 2:g}, the highest is "
        f"{TASK.best:.2f}. {sizes['updates']:,} updates of the editor, and what they cost of its rival in cells; "
        f"{sizes['texts']:,} texts of each row (a fifth where the best of several is taken, one where it is the "
        f"likeliest that is asked for), {seeds} seed{'s' * (seeds > 1)}. Cells and calls of the exact attribute are "
        "those of sampling, per text.",
        "",
        "| way | edits, or score asked for | mean score | by seed | right | cells fed | attribute called |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for (way, dial), rows in _by_row(records).items():
        scores = [row.attribute for row in rows]
        mean = estimates.mean(scores, "seeds")
        shown = f"{mean.value:.2f}" if len(rows) == 1 else f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"
        right, cells, calls = (sum(getattr(row, name) for row in rows) / len(rows) for name in _SHOWN)
        each = ", ".join(f"{score:.2f}" for score in scores)
        lines.append(f"| {way} | {dial:g} | {shown} | {each} | {right:.3f} | {cells:,.0f} | {calls:,.0f} |")
    return "\n".join(lines) + "\n"


def picture(records: Records) -> bytes:
    """Mean score against the cells that a text takes, and against calls of the exact attribute."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(12, 5.6), layout="constrained", dpi=130)
    rows = _by_row(records)
    names = dict.fromkeys(way.removeprefix(_UNTRAINED) for way, _ in rows)
    looks = dict(zip(names, cycle(_SHADES), strict=False))
    paid_in = {"cells": "cells fed per text", "calls": "calls of the exact attribute per text"}
    for axes, (paid, label) in zip(figure.subplots(1, 2, sharey=True), paid_in.items(), strict=True):
        ways: dict[str, list[tuple[float, float]]] = {}
        for (way, _), of_seeds in rows.items():
            spent, score = (sum(getattr(row, name) for row in of_seeds) / len(of_seeds) for name in (paid, "attribute"))
            if spent:
                ways.setdefault(way, []).append((spent, score))
        for way, points in ways.items():
            shade, asked = looks[way.removeprefix(_UNTRAINED)], way.startswith(_RIVAL)
            line = "" if asked else "--" if way.startswith(_UNTRAINED) else "-"
            axes.plot(*zip(*points, strict=True), "x" if asked else "o", ls=line, color=shade, label=way, ms=5)
        for level, name in ((TASK.edge, "the data's edge"), (TASK.edge + 2, "right"), (TASK.best, "the highest")):
            axes.axhline(level, color="#999999", lw=0.8, ls="--")
            axes.annotate(name, (0.01, level), xycoords=("axes fraction", "data"), va="bottom", color="#555555")
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_minor_formatter(NullFormatter())
    figure.axes[0].set_ylabel("mean standard score of the texts")
    known = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(known.values(), known.keys(), loc="outside right upper", fontsize=8, frameon=False)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def _by_row(records: Records) -> dict[tuple[str, float], list[Reached]]:
    found: dict[tuple[str, float], list[Reached]] = {}
    for record in records:
        for row in record["reached"]:
            one = Reached(**{field.name: row[field.name] for field in fields(Reached)})
            found.setdefault((one.way, one.dial), []).append(one)
    return found
