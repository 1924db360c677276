"""`docs/reliability.md`: each promise with its command, its figure, and when and where that was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqil.capacity import read_bytes
from seqil.errors import InvalidInputError

MEASURED = Path(__file__).resolve().with_name("results.json")
_HEAD = """# Reliability

What is promised, and how often it was kept when it was put to the test. `make reliability` measures it and makes this
page; `verify` makes it again from `benchmarks/reliability/results.json`. Harnesses are in `tests/reliability/harness`,
a short form of each is part of `make test`. The command beside a row is the one that gave it, and says its size; the
sizes that `make reliability` has of itself take hours. Of n drawn at random that were all kept up to 3/n may fail, at
95 %, where n is ten or more; faults, losses of power and malformed input are tried one by one and not drawn. The curve
of a run, `metrics.jsonl`, has no sum: damage may cost lines of it, and no bit of the state.

| promise | command | kept | not kept | machine | date |
|---|---|--:|---|---|---|
"""
_FIELDS = {"promise": str, "command": str, "counts": dict, "machine": str, "date": str}


def markdown(measured: Path = MEASURED) -> str:
    """The page.

    Raises:
        InvalidInputError: the file of measurements is not what `make reliability` writes.
    """
    return _HEAD + "".join(map(_row, read(measured)))


def read(measured: Path) -> list[dict[str, Any]]:
    """The rows of a file of measurements.

    Raises:
        InvalidInputError: see `markdown`.
    """
    try:
        rows = json.loads(read_bytes(measured).decode())
        sound = isinstance(rows, list) and all(
            isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in _FIELDS.items())
            for row in rows
        )
    except (OSError, ValueError, RecursionError):
        sound = False
    if not sound:
        raise InvalidInputError(f"{measured} is not what make reliability writes; run it again")
    return list(rows)


def _row(row: Mapping[str, Any]) -> str:
    counts = {kind: int(number) for kind, number in row["counts"].items()}
    kept = counts.pop("fine", 0)
    others = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "none"
    told = f"{kept:,} of {kept + sum(counts.values()):,}"
    return f"| {row['promise']} | `{row['command']}` | {told} | {others} | {row['machine']} | {row['date']} |\n"
