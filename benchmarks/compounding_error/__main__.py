"""Command line of the studies."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from seqil.errors import InvalidInputError, SeqilError

from . import report, tables
from .cells import Cell, Record, cells_of, missing, read
from .settings import STUDIES
from .study import Arm, Place, Study

console = Console(highlight=False)
wide = Console(highlight=False, width=200)  # a row per arm needs more than a narrow window has: it may break lines
Named = TypeVar("Named", Arm, Place, Study)


def main(
    study: Annotated[str, typer.Option(metavar="|".join(STUDIES), help="Which study.")] = "first",
    out: Annotated[
        Path | None, typer.Option(help="Folder of results.jsonl and what is made of it.", show_default="runs/STUDY")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs per arm and task.", show_default="the study's: 2 or 3")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks.", show_default=False)] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Only these arms.", show_default=False)] = None,
    budget: Annotated[float, typer.Option(help="Share of the budget, for a quick look.")] = 1.0,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: write tables and figures of what is there.")
    ] = False,
) -> None:
    """Train every arm on every task at equal cost; write tables, figures and a page.

    Cells that results.jsonl already holds are not run again.

    Examples:

        python -m benchmarks.compounding_error

        python -m benchmarks.compounding_error --task automaton --seeds 5 --out runs/automaton

        python -m benchmarks.compounding_error --study agents --budget 0.02 --seeds 1 --out runs/look
    """
    if not budget > 0:
        raise InvalidInputError(f"--budget {budget:g} must be positive")
    (named,) = _only("study", [study], list(STUDIES.values()))
    chosen = _chosen(named, task, arm, seeds).scaled(budget)
    folder, began = out or Path("runs") / study, time.perf_counter()
    records = (
        read(folder / "results.jsonl") if report_only else _run(cells_of(chosen), folder / "results.jsonl", workers)
    )
    results = tables.Results(chosen, records)
    if not results.records:
        raise InvalidInputError(f"{folder / 'results.jsonl'} holds nothing of this study; leave out --report-only")
    for place in results.places:
        console.print()
        shown = _terminal_table(tables.table(results, place, tables.plus_minus), place.name)
        (wide if tables.many(chosen) else console).print(shown)
    over, took = "seeds" if chosen.seeds > 2 else "sequences", time.perf_counter() - began
    console.print(f"\n{chosen.seeds} seeds, 95 % intervals over {over}, {took:.0f} s")
    for path in report.write(results, folder):
        console.print(str(path))


def _chosen(study: Study, task: list[str] | None, arm: list[str] | None, seeds: int | None) -> Study:
    return replace(
        study,
        places=_only("task", task, study.places),
        arms=_only("arm", arm, study.arms),
        seeds=seeds or study.seeds,
    )


def _only(option: str, names: list[str] | None, known: Sequence[Named]) -> tuple[Named, ...]:
    for name in names or ():
        if name not in {one.name for one in known}:
            raise InvalidInputError(f"unknown {option} {name!r}; known: {'; '.join(one.name for one in known)}")
    return tuple(one for one in known if not names or one.name in names)


def _run(cells: list[Cell], results: Path, workers: int) -> list[Record]:
    """What `results` lacks; returns the records of all cells."""
    keys = {cell.key for cell in cells}
    done = sum(record["key"] in keys for record in read(results))
    with Progress(console=console) as progress:
        bar = progress.add_task("runs", total=len(cells), completed=done)
        for record in missing(cells, results, workers):
            what = f"{record['task']}, {record['arm']}, seed {record['seed']}"
            progress.console.print(
                f"{what}: {record['steps']} steps, hazard {record['estimates']['hazard']['value']:.4f}, "
                f"{record['seconds_training']:.0f} + {record['seconds_evaluation']:.0f} s"
            )
            progress.advance(bar)
    return [record for record in read(results) if record["key"] in keys]


def _terminal_table(rows: list[list[str]], title: str) -> Table:
    shown = Table(title=title, box=None, title_justify="left")
    for i, head in enumerate(rows[0]):
        shown.add_column(head, justify="right" if i else "left")
    for cells in rows[1:]:
        shown.add_row(*cells)
    return shown


if __name__ == "__main__":
    try:
        typer.run(main)
    except (SeqilError, OSError) as error:
        print(f"compounding_error: {error}", file=sys.stderr)
        sys.exit(2)
