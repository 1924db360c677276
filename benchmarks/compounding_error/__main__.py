"""Command line of the study."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from . import report
from .cells import Cell, missing, read
from .settings import ARMS, PLACES

console = Console(highlight=False)


def main(
    out: Annotated[Path, typer.Option(help="Folder of results.jsonl, figures and report.html.")] = Path("runs/study"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs per agent and task.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Processes of one thread each.")] = 2,
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks.", show_default=False)] = None,
) -> None:
    """Train every agent on every task at equal cost; write a table, figures and a page.

    Cells that results.jsonl already holds are not run again.

    Examples:

        python -m benchmarks.compounding_error

        python -m benchmarks.compounding_error --task automaton --seeds 5 --out runs/automaton
    """
    for name in task or ():
        if name not in {place.name for place in PLACES}:
            raise typer.BadParameter(f"unknown task {name!r}; known: {', '.join(p.name for p in PLACES)}")
    places = [place for place in PLACES if not task or place.name in task]
    cells = [Cell(arm, place, seed) for seed in range(seeds) for place in places for arm in ARMS]
    results, began = out / "results.jsonl", time.perf_counter()
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
    records = [record for record in read(results) if record["key"] in keys]
    for place in places:
        console.print()
        console.print(_terminal_table(report.table(records, place, report.plus_minus), place.name))
    over, took = "seeds" if seeds > 2 else "sequences", time.perf_counter() - began
    console.print(f"\n{seeds} seeds, 95 % intervals over {over}, {took:.0f} s")
    for path in report.write(records, out):
        console.print(str(path))


def _terminal_table(rows: list[list[str]], title: str) -> Table:
    shown = Table(title=title, box=None, title_justify="left")
    for i, head in enumerate(rows[0]):
        shown.add_column(head, justify="right" if i else "left")
    for cells in rows[1:]:
        shown.add_row(*cells)
    return shown


if __name__ == "__main__":
    typer.run(main)
