"""`seqil evaluate` and `seqil inspect`: one run in numbers; runs side by side, in the terminal and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors.command_line import parse_path
from ..options import Best, MaxActions, Rules, Run, Seed, Writing, app, parse_pairs, there

if TYPE_CHECKING:
    from rich.console import Console

    from .inspection import Inspected, Rows, Sampling

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_NARROW = 34  # of a column with a number and its interval


@app.command(
    epilog="Examples:\n\n"
    "  seqil evaluate runs/first -n 1000 --json result.json\n\n"
    "  seqil evaluate runs/first --metric my_metric.py:no_token_twice --explain"
)
def evaluate(
    run: Run,
    n: Annotated[
        int | None,
        typer.Option("-n", "--number", min=2, max=100_000, help="Number of samples: 500, or all there are."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split that is measured: train, valid or test.")] = "test",
    temperature: Annotated[
        float, typer.Option(min=0, help="Temperature of the softmax; 0 takes the most probable action.")
    ] = 1.0,
    rule: Rules = None,
    writing: Writing = None,
    max_actions: MaxActions = None,
    seed: Seed = 0,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the numbers to this file too.", metavar="PATH", parser=parse_path),
    ] = None,
    best: Best = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="A metric of your own beside those of `seqil list metrics`. May be given several times.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say in a sentence what every number is.")] = False,
) -> None:
    """Measure a run: errors, backspaces and cost, with intervals."""
    from .. import commands

    commands.quiet()
    own, how = metric or (), parse_pairs(writing, "--writing")
    commands.evaluate(run, n, split, temperature, rule or (), seed, json_file, best, max_actions, own, explain, how)


@app.command(
    epilog="Examples:\n\n"
    "  seqil inspect runs/first\n\n"
    "  seqil inspect runs/first runs/mle -n 500 --rule min_p=0.05\n\n"
    "  seqil inspect runs/first runs/mle --page comparison.html"
)
def inspect(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs of one task; the others are compared with the first.",
            parser=parse_path,
            callback=there,
        ),
    ],
    n: Annotated[
        int, typer.Option("-n", "--number", min=2, max=100_000, help="Number of texts that each writes.")
    ] = 200,
    texts: Annotated[int, typer.Option(min=0, max=1000, help="Number of texts that are shown.")] = 3,
    split: Annotated[str, typer.Option(help="Where prompts come from: train, valid or test.")] = "test",
    temperature: Annotated[
        float, typer.Option(min=0, help="Temperature of the softmax; 0 takes the most probable action.")
    ] = 1.0,
    rule: Rules = None,
    writing: Writing = None,
    max_actions: MaxActions = None,
    seed: Seed = 0,
    best: Best = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write the same as one HTML page.", metavar="PATH", parser=parse_path, show_default=False),
    ] = None,
) -> None:
    """Show one run, or several side by side: settings, curves, costs, numbers with intervals, and texts."""
    from ...durable import write_asked
    from ...errors import check_known
    from ...mdp.task import SPLITS
    from .. import commands, showing
    from . import inspection, inspection_page

    commands.quiet()
    check_known("split", split, SPLITS)
    showing.check_target("--page", page, ".html", ".htm")
    manner = parse_pairs(writing, "--writing")
    how = inspection.Sampling(n, split, temperature, rule or (), max_actions, seed, best, manner)
    found = inspection.inspected(runs, how)
    _show(commands.console, found, how, texts)
    if page is not None:
        write_asked(page, inspection_page.page(found, how, max(texts, 1)))
        commands.console.print(f"{page} holds the same as a page", soft_wrap=True)


def _show(console: Console, runs: list[Inspected], how: Sampling, texts: int) -> None:
    from . import inspection

    title = "Settings that are not the default" if len(runs) == 1 else "Settings that differ"
    _table(console, title, inspection.settings_table(runs))
    several = "; losses of different agents, or before and after a warm-up, are not comparable" * (len(runs) > 1)
    console.print(f"\nCurves, from the first logged step to the last{several}")
    for name, of in inspection.curves(runs).items():
        for run, points in of.items():
            console.print(f"  {name.replace('_', ' ')}, {run}: {sparkline([y for _, y in points])}", soft_wrap=True)
    _table(console, "Costs", inspection.costs_table(runs))
    _table(console, "Evaluation, with 95 % intervals", inspection.evaluation_table(runs))
    console.print(inspection.note_on_samples(how, runs), soft_wrap=True)
    differences = inspection.comparison_table(runs)
    if differences:
        _table(console, f"Compared with {runs[0].name}, text by text", differences)
        console.print(inspection.OF_RUNS, soft_wrap=True)
    _texts(console, runs, min(texts, len(runs[0].sample.rollouts)))


def _table(console: Console, title: str, rows: Rows) -> None:
    """Side by side where the window is wide enough, else one below the other."""
    from rich.table import Table

    head, *body = rows
    console.print(f"\n{title}")
    if not body:
        console.print("  there are none")
        return
    if console.width < _NARROW * (len(head) - 1):
        for name, *cells in body:
            console.print(f"  {name}")
            for who, cell in zip(head[1:], cells, strict=True):
                console.print(f"    {who}: {cell}", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in head:
        table.add_column(column, overflow="fold")
    for cells in body:
        table.add_row(*cells)
    console.print(table)


def _texts(console: Console, runs: list[Inspected], n: int) -> None:
    """The first texts of all runs, below their prompt."""
    from ...errors import visible
    from ...mdp.rendering import legible, marked
    from .. import showing

    form = showing.shown_as(None, console)
    if n:
        console.print("\nTexts" + ("" if form == "ansi" else "; what stands between [- and -] was deleted"))
    for row in range(n):
        console.print(f"  after: {visible(runs[0].text(row)[0])}", soft_wrap=True)
        for run in runs:
            pieces = legible(run.text(row)[1])
            if form == "ansi":
                showing.print_styled(console, f"    {run.name}: ", pieces)
            else:
                console.print(f"    {run.name}: {marked(pieces)}", soft_wrap=True)


def sparkline(values: list[float]) -> str:
    """The first value, a bar for each of some equal parts, the last value."""
    parts = min(_WIDTH, len(values))
    means = [_mean(values[i * len(values) // parts : (i + 1) * len(values) // parts]) for i in range(parts)]
    low, high = min(means), max(means)
    bars = "".join(_BARS[round((y - low) / (high - low) * (len(_BARS) - 1)) if high > low else 0] for y in means)
    return f"{values[0]:.4g} {bars} {values[-1]:.4g}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
