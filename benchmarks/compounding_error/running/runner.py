"""Running what is missing: nothing twice, nothing lost, and how long it still takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seqil.errors import SeqilError, counted
from seqil.runs.checkpoint import versions
from seqil.runs.resumption import warn

from .cells import Cell
from .engines import Engine, local
from .records import Record, appending, read


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def finished(cells: Sequence[Cell], records: Sequence[Record]) -> dict[str, Record]:
    """The latest record of every cell that has one, by the key of the cell."""
    by_key = {record["key"]: record for record in named_as_now(cells, records)}
    return {cell.key: by_key[cell.key] for cell in cells if cell.key in by_key}


def named_as_now(cells: Sequence[Cell], records: Sequence[Record]) -> list[Record]:
    """The records under the names that a study gives their cells now: arms may have had others when they were run."""
    names = {cell.key: {"task": cell.place.name, "arm": cell.arm.name} for cell in cells}
    return [{**record, **names.get(record["key"], {})} for record in records]


def strangers(cells: Sequence[Cell], records: Sequence[Record]) -> list[Record]:
    """Records that bear the name of a cell and are not of it: of another budget, other settings or data.

    Where a model was trained is their own business, and how it was measured `measured_otherwise` says.
    """
    return [record for cell, record in _named(cells, records) if _what(record["key"]) != _what(cell.key)]


def measured_otherwise(cells: Sequence[Cell], records: Sequence[Record]) -> list[Record]:
    """Records of what a cell asks for, with other metrics or rules than there are now."""
    return [
        record
        for cell, record in _named(cells, records)
        if record["key"] != cell.key and _what(record["key"]) == _what(cell.key)
    ]


def settled(cells: Sequence[Cell], records: Sequence[Record], folder: Path) -> dict[str, Record]:
    """What a run has not to make: the finished ones, and those that only a training would let measure again.

    The latter were trained and asked as their cell says, with other metrics than there are now, and nothing is kept.

    Returns:
        Records by the key of the cell.
    """
    done = finished(cells, records)
    older = {(r["task"], r["arm"], r["seed"]): r for r in measured_otherwise(cells, records)}
    for cell in cells:
        record = older.get((cell.place.name, cell.arm.name, cell.seed))
        if record and cell.key not in done and not (folder / cell.trained).is_dir():
            done[cell.key] = record
    return done


def kept(results: Path) -> Path:
    """Folder of the weights and texts behind these records."""
    return results.parent / "kept"


def _named(cells: Sequence[Cell], records: Sequence[Record]) -> Iterator[tuple[Cell, Record]]:
    named = {(cell.place.name, cell.arm.name, cell.seed): cell for cell in cells}
    for record in records:
        cell = named.get((record["task"], record["arm"], record["seed"]))
        if cell is not None:
            yield replace(cell, device=record["settings"].get("device", cell.device)), record


def _what(key: str) -> str:
    """What was trained and asked for."""
    return key.rpartition("-")[0]


def missing(
    cells: Sequence[Cell], results: Path, workers: int, engine: Engine = local, *, again: bool = False
) -> Iterator[Record]:
    """Run the cells that `results` lacks, and append each record as it comes.

    Args:
        cells: of the study.
        results: file of its records.
        workers: processes.
        engine: who runs them.
        again: train again what was measured with other metrics and of which nothing was kept, too.

    Raises:
        InvalidInputError: another process writes there.
        SeqilError: at the end, if runs failed; one line names them.
    """
    failed: dict[str, list[str]] = {}
    with appending(results) as append:
        records = read(results)
        done = finished(cells, records) if again else settled(cells, records, kept(results))
        for cell, outcome in engine(_left(cells, done, kept(results)), workers):
            if not isinstance(outcome, SeqilError) and _made_by(outcome) != (cell.key, versions()):
                outcome = SeqilError("it ran with other versions or data than here; install the same on every node")
            if isinstance(outcome, SeqilError):
                if str(outcome) not in failed:
                    warn(f"{cell} failed: {outcome}")  # others may run for hours before the end says so
                failed.setdefault(str(outcome), []).append(str(cell))
                continue
            append(outcome)
            yield outcome
    if failed:
        reasons = (f"{_first_of(names)}: {reason}" for reason, names in failed.items())
        number = sum(map(len, failed.values()))
        raise SeqilError(f"{counted(number, 'run')} failed ({'; '.join(reasons)}); the others are kept, see `report`")


def _left(cells: Sequence[Cell], done: dict[str, Record], folder: Path) -> list[Cell]:
    return [replace(cell, kept=folder) for cell in cells if cell.key not in done]


def _made_by(record: Record) -> tuple[str, dict[str, str]]:
    return record["key"], record["versions"]


def _first_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}, and {len(names) - 1} more"


def seconds_left(cells: Sequence[Cell], done: dict[str, Record], workers: int) -> float | None:
    """What the missing cells will take, from finished ones: of the same arm and task, else of the task, else any."""
    if not done:
        return None
    seconds: dict[tuple[str, ...], list[float]] = {}
    for record in done.values():
        for like in _likes(record["task"], record["arm"]):
            seconds.setdefault(like, []).append(record["seconds_training"] + record["seconds_evaluation"])

    def expected(cell: Cell) -> float:
        known = next(seconds[like] for like in _likes(cell.place.name, cell.arm.name) if like in seconds)
        return sum(known) / len(known)

    return sum(expected(cell) for cell in cells if cell.key not in done) / workers


def _likes(task: str, arm: str) -> tuple[tuple[str, ...], ...]:
    return (task, arm), (task,), ()


def duration(seconds: float | None) -> str:
    """`1 h 04 min`, `3 min`, `20 s`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
