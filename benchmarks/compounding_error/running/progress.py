"""What a terminal shows while a study runs, and what is known of one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from seqil.statistics import Estimate

from .cells import Cell
from .engines import Engine
from .records import Record, being_written, read
from .runner import duration, finished, kept, measured_otherwise, missing, seconds_left, strangers

_NAMED = 3


def run(cells: list[Cell], results: Path, workers: int, engine: Engine, console: Console) -> None:
    """Run what `results` lacks; a line per finished cell, a bar, and the time left."""
    records = read(results)
    done = finished(cells, records)
    _say_again(cells, records, results, console)
    columns = (
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(cells), completed=len(done), left=_left(cells, done, workers))
        for record in missing(cells, results, workers, engine):
            done[record["key"]] = record
            left = _left(cells, done, workers)
            progress.console.print(f"{_line(record)}, {left}")
            progress.update(bar, advance=1, left=left)


def status(cells: list[Cell], results: Path, workers: int, console: Console) -> None:
    """Finished and missing cells by task, whether a process is at work, and the time that is left."""
    records = read(results)
    done = finished(cells, records)
    console.print(str(results), soft_wrap=True)
    shown = Table(box=None)
    for head in ("task", "done", "of", "missing"):
        shown.add_column(head, justify="right" if head in ("done", "of") else "left")
    for place in dict.fromkeys(cell.place.name for cell in cells):
        here = [cell for cell in cells if cell.place.name == place]
        lacking = [f"{cell.arm.name} {cell.seed}" for cell in here if cell.key not in done]
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        shown.add_row(place, str(len(here) - len(lacking)), str(len(here)), "; ".join(lacking[:_NAMED]) + more)
    console.print(shown)
    others = strangers(cells, [r for r in records if r["key"] not in {one["key"] for one in done.values()}])
    if others:
        console.print(f"{names(others)}: of another budget, other settings or data; `run` makes them again")
    _say_again(cells, records, results, console)
    at_work = "a process is writing" if being_written(results) else "no process is writing"
    console.print(f"{len(done)} of {len(cells)} runs, {at_work}, {_left(cells, done, workers)} for {workers} workers")


def _say_again(cells: list[Cell], records: Sequence[Record], results: Path, console: Console) -> None:
    """Which records give way because other metrics, or other rules, are measured now."""
    done = finished(cells, records)
    here = {record["key"].partition("-")[0]: record for record in measured_otherwise(cells, records)}
    waiting = {cell.trained: here[cell.trained] for cell in cells if cell.key not in done and cell.trained in here}
    there = [key for key in waiting if (kept(results) / key).is_dir()]
    if waiting:
        lost = len(waiting) - len(there)
        trained = f"; {lost} are trained again, for nothing of them was kept" if lost else ""
        console.print(
            f"{names(list(waiting.values()))}: measured with other metrics or rules; of these {len(waiting)} runs "
            f"{len(there)} are measured again from the weights and texts that were kept{trained}"
        )


def names(records: Sequence[Record]) -> str:
    """The first few, and how many more."""
    first = "; ".join(f"{r['task']}, {r['arm']}, seed {r['seed']}" for r in records[:_NAMED])
    return f"{first} and {len(records) - _NAMED} more" if len(records) > _NAMED else first


def _left(cells: list[Cell], done: dict[str, Record], workers: int) -> str:
    return f"time left: {duration(seconds_left(cells, done, workers))}"


def _line(record: Record) -> str:
    hazard = record["estimates"].get("hazard")
    result = "" if hazard is None else f", hazard {Estimate.of(hazard).value:.4f}"
    return (
        f"{record['task']}, {record['arm']}, seed {record['seed']}: {record['steps']} steps{result}, "
        f"{record['seconds_training']:.0f} + {record['seconds_evaluation']:.0f} s"
    )
