"""What a terminal shows while a study runs, and what is known of one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from seqil.errors import counted
from seqil.runs import known_metrics
from seqil.statistics import Estimate

from .cells import Cell
from .engines import Engine
from .records import Record, being_written, read
from .runner import duration, finished, kept, missing, seconds_left, settled, strangers

_NAMED = 3


def run(
    cells: list[Cell], results: Path, workers: int, engine: Engine, console: Console, *, again: bool = False
) -> None:
    """Run what `results` lacks; a line per finished cell, a bar, and the time left.

    With `again` also what was measured with other metrics, and has to be trained again for these.
    """
    records = read(results)
    done = finished(cells, records) if again else settled(cells, records, kept(results))
    _say_measured_otherwise(cells, records, results, console, again=again)
    columns = (
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(cells), completed=len(done), left=_left(cells, done, workers))
        for record in missing(cells, results, workers, engine, again=again):
            done[record["key"]] = record
            left = _left(cells, done, workers)
            progress.console.print(f"{_line(record)}, {left}", soft_wrap=True)
            progress.update(bar, advance=1, left=left)


def status(cells: list[Cell], results: Path, workers: int, console: Console) -> None:
    """Finished and missing cells by task, whether a process is at work, and the time that is left."""
    records = read(results)
    done, now = settled(cells, records, kept(results)), finished(cells, records)
    console.print(str(results), soft_wrap=True)
    shown = Table(box=None)
    for head in ("task", "done", "with other metrics", "of", "missing"):
        shown.add_column(head, justify="left" if head in ("task", "missing") else "right")
    for place in dict.fromkeys(cell.place.name for cell in cells):
        here = [cell for cell in cells if cell.place.name == place]
        lacking = [f"{cell.arm.name} {cell.seed}" for cell in here if cell.key not in done]
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        older = len([cell for cell in here if cell.key in done.keys() - now.keys()])
        numbers = (len(here) - len(lacking), older, len(here))
        shown.add_row(place, *map(str, numbers), "; ".join(lacking[:_NAMED]) + more)
    console.print(shown)
    others = strangers(cells, [r for r in records if r["key"] not in {one["key"] for one in done.values()}])
    if others:
        console.print(f"{names(others)}: of another budget, other settings or data; `run` makes them again")
    _say_measured_otherwise(cells, records, results, console)
    at_work = "a process is writing" if being_written(results) else "no process is writing"
    left = f"{_left(cells, done, workers)} for {counted(workers, 'worker')}"
    console.print(f"{len(done)} of {counted(len(cells), 'run')}, {at_work}, {left}")


def _say_measured_otherwise(
    cells: list[Cell], records: Sequence[Record], results: Path, console: Console, *, again: bool = False
) -> None:
    """Which records other metrics, or other rules, have been measured in: what becomes of them, and what they lack."""
    done, now = settled(cells, records, kept(results)), finished(cells, records)
    stay = [record for key, record in done.items() if key not in now]
    waiting = [cell for cell in cells if cell.key not in done and (kept(results) / cell.trained).is_dir()]
    if waiting:
        named = _first(list(map(str, waiting)))
        console.print(f"{named}: {counted(len(waiting), 'run')}, measured from the weights and texts that were kept")
    if stay:
        then = "to be trained again, for nothing was kept" if again else "left as before; `run --again` trains afresh"
        console.print(f"{names(stay)}: measured with other metrics{_lacking(stay)}; {counted(len(stay), 'run')} {then}")


def _lacking(records: Sequence[Record]) -> str:
    """The metrics of tables that none of them has."""
    known = {name for record in records for name in record["estimates"]}
    lacking = [metric.name for metric in known_metrics.metrics() if metric.group and metric.name not in known]
    return f" (none has {', '.join(lacking)})" if lacking else ""


def names(records: Sequence[Record]) -> str:
    """The first few, and how many more."""
    return _first([f"{r['task']}, {r['arm']}, seed {r['seed']}" for r in records])


def _first(said: list[str]) -> str:
    first = "; ".join(said[:_NAMED])
    return f"{first} and {len(said) - _NAMED} more" if len(said) > _NAMED else first


def _left(cells: list[Cell], done: dict[str, Record], workers: int) -> str:
    return f"time left: {duration(seconds_left(cells, done, workers))}"


def _line(record: Record) -> str:
    hazard = record["estimates"].get("hazard")
    result = "" if hazard is None else f", hazard {Estimate.of(hazard).value:.4f}"
    return (
        f"{record['task']}, {record['arm']}, seed {record['seed']}: {record['steps']} steps{result}, "
        f"{record['seconds_training']:.0f} + {record['seconds_evaluation']:.0f} s"
    )
