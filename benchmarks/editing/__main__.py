"""Command line of the experiment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.status import Status

from seqil.durable import make_folder, write_asked
from seqil.errors import InvalidInputError
from seqil.errors.command_line import run_command

from . import outcome
from .ways import EDITS, of_seed

console = Console(highlight=False)


def measured(
    seeds: Annotated[int, typer.Option(min=1, help="Of weights, data and draws, from 0 on.")] = 3,
    updates: Annotated[int, typer.Option(min=1, help="Of the editor, 256 texts each; the rival costs as much.")] = 600,
    texts: Annotated[int, typer.Option(min=10, help="Of each way; best of several are a fifth of them.")] = 1000,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of records, table and picture.")] = Path(
        "runs/editing"
    ),
) -> None:
    """Edit texts beyond the data: an editor that learned inside a range, what chooses its edits, and its rival.

    Seeds that the folder has records of are not run again.

    Examples:

        python -m benchmarks.editing

        python -m benchmarks.editing --seeds 1 --updates 50 --texts 100 --out runs/editing-short
    """
    torch.set_num_threads(threads)
    sizes = {"updates": updates, "texts": texts}
    make_folder(out)
    records = outcome.read(out)
    for record in records:
        if record["sizes"] != sizes:
            raise InvalidInputError(f"{out} holds records of {record['sizes']}, not {sizes}; give another --out")
    done = {record["seed"] for record in records}
    for seed in range(seeds):
        if seed in done:
            continue
        with console.status(f"seed {seed}") as status:
            reached = list(of_seed(seed, updates, texts, partial(_show, status, seed)))
        outcome.add(out, seed, sizes, reached)
        console.print(f"seed {seed}: {len(reached)} rows after {max(EDITS)} edits at most", style="dim")
    found = outcome.read(out)
    write_asked(out / "table.md", outcome.table(found))
    write_asked(out / "ways.png", outcome.picture(found))
    console.print(outcome.table(found), markup=False, soft_wrap=True)
    console.print(f"{out / 'table.md'}, {out / 'ways.png'}")


def _show(status: Status, seed: int, what: str) -> None:
    status.update(f"seed {seed}: {what}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; an error is one line on stderr and exit status 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(measured)
    run_command(app, sys.argv[1:] if arguments is None else arguments, "editing", "python -m benchmarks.editing")


if __name__ == "__main__":
    main()
