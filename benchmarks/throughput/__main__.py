"""Command line of the benchmarks."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from seqil.errors import InvalidInputError, check_known, first_line
from seqil.errors.command_line import run_command

from .subjects.measure import CPU, machine

TRAINING = ("updates", "trainer", "memories", "side_by_side", "loss_memory")
SECTIONS = ("environments", "generation", "refilling", "sampling", "scaling", *TRAINING, "startup")
SLOW = ("generation_124m",)
ON_CUDA = ("generation", "generation_124m", "sampling", "updates")
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def measured(
    section: Annotated[
        list[str] | None,
        typer.Argument(help=f"Any of {', '.join(SECTIONS)}; all of these by default. Or {', '.join(SLOW)}."),
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Of each side, in turns.")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
    device: Annotated[str, typer.Option(help=f"cpu, or cuda: {', '.join(ON_CUDA)}.")] = "cpu",
    json_file: Annotated[
        Path | None, typer.Option("--json", dir_okay=False, help="Write the numbers here too.")
    ] = None,
) -> None:
    """Measure ours beside what one would use instead; a ratio above 1 means that ours is better.

    Examples:

        python -m benchmarks.throughput

        python -m benchmarks.throughput generation --repetitions 15 --json generation.json

        python -m benchmarks.throughput --device cuda
    """
    where = _device(device)
    known = SECTIONS + SLOW if where.type == CPU.type else ON_CUDA
    for name in section or ():
        check_known(f"section on {device}", name, known)
    if json_file is not None and not json_file.parent.is_dir():
        raise InvalidInputError(f"--json {json_file}: there is no folder {json_file.parent}; make it first")
    torch.set_num_threads(threads)
    console.print(machine(where))
    rows = []
    for name in section or (SECTIONS if where.type == CPU.type else ON_CUDA):
        table = Table(box=None)
        for head in (name, "ours", "peer", "unit", "ratio", "spread"):
            table.add_column(head, justify="left" if head == name else "right")
        with console.status(name):
            folder = "sections.training" if name in TRAINING else "sections"
            measure = importlib.import_module(f".{folder}.{name}", __package__).measure
            for r in measure(repetitions, where) if name in ON_CUDA else measure(repetitions):
                rows.append(asdict(r))
                spread = f"{r.low:.2f}-{r.high:.2f}"
                table.add_row(r.name, f"{r.ours:,.4g}", f"{r.peer:,.4g}", r.unit, f"{r.ratio:.2f}", spread)
        console.print(table)
        if json_file is not None:  # after each section: what was measured is not lost with what follows
            text = json.dumps({"machine": machine(where), "rows": rows}, indent=1) + "\n"
            json_file.write_text(text, encoding="utf-8")


def _device(name: str) -> torch.device:
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"device {name!r} is not to be had: {first_line(error)}; use cpu") from None
    if device.type not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {name!r} is not measured; known: cpu, cuda")
    return device


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure; an error is one line on stderr and exit status 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(measured)
    asked = sys.argv[1:] if arguments is None else arguments
    run_command(app, asked, "throughput", "python -m benchmarks.throughput")


if __name__ == "__main__":
    main()
