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

from .ways import EDITS, TASK, Reached

NAME = "records.json"
_SHADES = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#7f5fb0")
_RIVAL, _RIVALS = "asked", ("#222222", "#555555", "#777777", "#999999", "#bbbbbb")
_UNTRAINED = "not trained, "

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
    replace(folder / NAME, (json.dumps(found, indent=1) + "\n").encode())


def table(records: Records) -> str:
    """Rows of mean scores with intervals over seeds, right texts, and cells that are fed per text."""
    sizes, seeds = records[0]["sizes"], len(records)
    lines = [
        f"`potentials`: data reach a score of {TASK.edge:g}, right is more than {TASK.edge + 2:g}, the highest is "
        f"{TASK.best:.2f}. {sizes['updates']:,} updates of the editor, and what they cost of its rival; "
        f"{sizes['texts']:,} texts of each row (a fifth where the best of several is taken), {seeds} "
        f"seed{'s' * (seeds > 1)}.",
        "",
        "| way | edits, score asked for, or samples | mean score | of the highest | by seed | right | cells fed |",
        "|---|--:|--:|--:|---|--:|--:|",
    ]
    for (way, dial), rows in _by_row(records).items():
        scores = [row.attribute for row in rows]
        mean = estimates.mean(scores, "seeds")
        shown = f"{mean.value:.2f}" if len(rows) == 1 else f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"
        right, cells = (sum(getattr(row, name) for row in rows) / len(rows) for name in ("right", "cells"))
        each = ", ".join(f"{score:.2f}" for score in scores)
        share = mean.value / TASK.best
        lines.append(f"| {way} | {dial:g} | {shown} | {share:.2f} | {each} | {right:.3f} | {cells:,.0f} |")
    return "\n".join(lines) + "\n"


def picture(records: Records) -> bytes:
    """Mean score against the cells that a final token takes, a line for each way to edit, points for its rival."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained", dpi=160)
    axes = figure.add_subplot()
    ways: dict[str, list[tuple[float, float]]] = {}
    for (way, dial), rows in _by_row(records).items():
        if dial:
            cells, score = (sum(getattr(r, name) for r in rows) / len(rows) for name in ("cells", "attribute"))
            ways.setdefault(way, []).append((cells / TASK.max_length, score))
    names = [way.removeprefix(_UNTRAINED) for way in ways]
    shades = dict(zip([n for n in dict.fromkeys(names) if not n.startswith(_RIVAL)], cycle(_SHADES), strict=False))
    rivals = iter(_RIVALS)
    for name, (way, points) in zip(names, ways.items(), strict=True):
        rival, alone = name not in shades, way == "asked for a score"
        style: dict[str, Any] = {"marker": "x" if rival else "o", "color": next(rivals) if rival else shades[name]}
        style["ls"] = "" if alone else ":" if rival else "--" if way != name else "-"
        axes.plot(*zip(*points, strict=True), label=way, ms=5, **style)
    for level, name in ((TASK.edge, "the data's edge"), (TASK.edge + 2, "right"), (TASK.best, "the highest")):
        axes.axhline(level, color="#999999", lw=0.8, ls="--")
        axes.annotate(name, (0.01, level), xycoords=("axes fraction", "data"), ha="left", va="bottom", color="#555555")
    axes.set_xscale("log")
    axes.set_xlabel("cells fed to models per final token")
    axes.set_ylabel("mean standard score of the texts")
    axes.set_title(f"{', '.join(map(str, EDITS[1:]))} edits per text, and texts that are asked for a score")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
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
