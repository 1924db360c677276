"""Command line of the studies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from seqil.errors import InvalidInputError, check_known, counted
from seqil.errors.command_line import parse_path, run_command
from seqil.errors.guarded_folders import refuse_guarded
from seqil.errors.indices import device_of
from seqil.runs import results_file
from seqil.runs.stopping import Interrupted, end_at_once, interrupting

from . import verification
from .analysis import tables
from .analysis.contrasts import FEWEST
from .analysis.results import Results
from .page import report
from .running import progress
from .running.cells import cells_of
from .running.engines import ENGINES
from .running.records import read
from .running.runner import cores, kept, named_as_now, settled, strangers
from .studies import PRESETS
from .studies.base import loading
from .studies.base.possible import lacking, refuse_impossible, refuse_twins
from .studies.quick import QUICK
from .study import Arm, Place, Study

app = typer.Typer(
    help="How the error of an agent grows with the horizon, at equal cost of training.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, width=None if sys.stdout.isatty() else tables.WIDTH)
CORES, DEVICES = cores(), ("cpu", "cuda")
_MOST_BUDGET = 1000
Named = TypeVar("Named", Arm, Place)

Preset = Annotated[
    str | None, typer.Option(metavar="|".join(loading.installed(PRESETS)), help="Which study.", show_default=QUICK.name)
]
Own = Annotated[
    Path | None,
    typer.Option(
        "--study",
        help="A study of one's own: my_study.py or my_study.toml.",
        metavar="PATH",
        parser=parse_path,
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of results.jsonl and what is made of it.",
        metavar="PATH",
        parser=parse_path,
        show_default="runs/NAME",
    ),
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Runs per arm and task.", show_default="the preset's")]
Tasks = Annotated[list[str] | None, typer.Option("--task", help="Only these tasks.", show_default=False)]
Arms = Annotated[list[str] | None, typer.Option("--arm", help="Only these arms.", show_default=False)]
Budget = Annotated[float, typer.Option(help="Share of the budget, for a quick look.")]
Texts = Annotated[
    list[Path] | None,
    typer.Option(
        help="Texts whose numbers are checked; of a folder, all pages below it.",
        metavar="PATH",
        parser=parse_path,
        show_default="README, docs and guides",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes of one thread each.", show_default="all cores")]
Device = Annotated[str, typer.Option(metavar="|".join(DEVICES), help="Where models are trained.")]


@app.command(
    epilog="Examples:\n\n"
    "  python -m benchmarks.compounding_error run\n\n"
    "  python -m benchmarks.compounding_error run --preset cpu --task automaton\n\n"
    "  python -m benchmarks.compounding_error run --study examples/own_study.py\n\n"
    "  python -m benchmarks.compounding_error run --preset agents --budget 0.02 --seeds 1 --out runs/look"
)
def run(
    preset: Preset = None,
    own: Own = None,
    out: Out = None,
    seeds: Seeds = None,
    workers: Workers = CORES,
    task: Tasks = None,
    arm: Arms = None,
    budget: Budget = 1.0,
    engine: Annotated[str, typer.Option(metavar="|".join(ENGINES), help="Who runs the cells.")] = "local",
    device: Device = "cpu",
    again: Annotated[
        bool, typer.Option("--again", help="Train again what was measured with other metrics and was not kept.")
    ] = False,
) -> None:
    """Train every arm on every task, go on where an earlier run ended; write tables, figures and the page."""
    check_known("engine", engine, ENGINES)
    study = _possible(_chosen(_study(preset, own), task, arm, seeds, budget))
    cells, file = cells_of(study, _device(device)), _file(study, out)
    refuse_twins(cells)
    refuse_impossible(cells)
    if study.seeds < FEWEST and len(study.arms) > 1:
        console.print(
            f"{counted(study.seeds, 'seed')}: a test between arms takes {FEWEST}, so nothing will be told apart"
        )
    try:
        with interrupting():
            progress.run(cells, file, workers, ENGINES[engine], console, again=again)
    except Interrupted as asked:
        print("compounding_error: interrupted; run again to go on", file=sys.stderr)
        end_at_once(asked.number)
    results = Results(study, list(settled(cells, read(file), kept(file)).values()))
    tables.show(results, console)
    _write(results, file.parent)


@app.command()
def status(
    preset: Preset = None,
    own: Own = None,
    out: Out = None,
    seeds: Seeds = None,
    workers: Workers = CORES,
    task: Tasks = None,
    arm: Arms = None,
    budget: Budget = 1.0,
    device: Device = "cpu",
) -> None:
    """Say what is there, what is missing, and how long it will take."""
    study = _possible(_chosen(_study(preset, own), task, arm, seeds, budget))
    cells = cells_of(study, _device(device))
    refuse_impossible(cells)
    progress.status(cells, _file(study, out), workers, console)


@app.command()
def table(
    preset: Preset = None,
    own: Own = None,
    out: Out = None,
    seeds: Seeds = None,
    task: Tasks = None,
    arm: Arms = None,
) -> None:
    """Print the tables of what is there."""
    study = _study(preset, own)
    tables.show(_results(study, _file(study, out), task, arm, seeds), console)


@app.command(name="report")
def write_report(
    preset: Preset = None,
    own: Own = None,
    out: Out = None,
    seeds: Seeds = None,
    task: Tasks = None,
    arm: Arms = None,
) -> None:
    """Write tables, figures and the page of what is there."""
    study = _study(preset, own)
    file = _file(study, out)
    _write(_results(study, file, task, arm, seeds), file.parent)


@app.command()
def verify(
    readme: Texts = None,
    results: Annotated[
        Path, typer.Option(help="Folders of committed records.", metavar="PATH", parser=parse_path)
    ] = verification.RESULTS,
    write: Annotated[bool, typer.Option("--write", help="Put the numbers of the records into the text.")] = False,
    own: Own = None,
    out: Out = None,
) -> None:
    """Make every number of README and docs, and every committed table, again from the records; fail on any drift.

    With --study the table of that study alone, in its folder of records.
    """
    if own:
        study = loading.from_file(own)
        lines = verification.verify_table(study, _file(study, out), write)
    else:
        lines = verification.verify(readme or verification.TEXTS, results, write)
    for line in lines:
        console.print(line)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error is one line on stderr and exit status 2."""
    asked = sys.argv[1:] if arguments is None else arguments
    run_command(app, asked or ["--help"], "compounding_error", "python -m benchmarks.compounding_error")


def _study(preset: str | None, own: Path | None) -> Study:
    if preset and own:
        raise InvalidInputError(f"--preset {preset} and --study {own} name two studies; give one")
    return loading.from_file(own) if own else loading.by_name(preset or QUICK.name, PRESETS)


def _chosen(
    study: Study, task: list[str] | None, arm: list[str] | None, seeds: int | None, budget: float = 1.0
) -> Study:
    if not 0 < budget <= _MOST_BUDGET:
        raise InvalidInputError(f"--budget {budget:g} must be positive and at most {_MOST_BUDGET}")
    places, arms = _only("task", task, study.places), _only("arm", arm, study.arms)
    return replace(study, places=places, arms=arms, seeds=seeds or study.seeds).scaled(budget)


def _possible(study: Study) -> Study:
    """It, if all that it needs is here."""
    for line in lacking(study):
        raise InvalidInputError(line)
    return study


def _only(option: str, names: list[str] | None, known: Sequence[Named]) -> tuple[Named, ...]:
    for name in names or ():
        check_known(option, name, [one.name for one in known], "; ")
    return tuple(one for one in known if not names or one.name in names)


def _device(name: str) -> str:
    check_known("device", name, DEVICES)
    device_of("--device", name)
    return name


def _file(study: Study, out: Path | None) -> Path:
    folder = out or Path("runs") / study.name
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"--out {folder} is a file; name a folder")
    refuse_guarded("--out", folder, folder=True)
    file = folder / results_file.NAME
    faults = results_file.read(file).faults
    if faults:
        print(f"compounding_error: {results_file.summary(faults)}", file=sys.stderr)
    return file


def _results(whole: Study, file: Path, task: list[str] | None, arm: list[str] | None, seeds: int | None) -> Results:
    study = _chosen(whole, task, arm, seeds)
    records = read(file)
    doubts = lacking(study)
    if doubts:
        print(f"compounding_error: {doubts[0]}; until then runs of other data are not told apart", file=sys.stderr)
    records = records if doubts else named_as_now(cells_of(study), records)
    others = [] if doubts else strangers(cells_of(study), records)
    results = Results(study, [*others, *(record for record in records if record not in others)])
    if not results.records:
        raise InvalidInputError(
            f"{file} holds nothing of what was asked for (study {study.name}); start with `run`, or name another --out"
        )
    shown = [record for record in results.records if record in others]
    if shown:
        print(
            f"compounding_error: {len(shown)} of {len(results.records)} runs are of another budget, other settings "
            f"or data than the study has now: {progress.names(shown)}",
            file=sys.stderr,
        )
    return results


def _write(results: Results, folder: Path) -> None:
    for path in report.write(results, folder):
        console.print(str(path))


if __name__ == "__main__":
    main()
