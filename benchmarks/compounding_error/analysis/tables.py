"""Tables of a study, from its records alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from seqil.metrics.entries import Metric
from seqil.statistics import Estimate

from ..running import asked_metrics
from ..running.records import Record
from ..study import Place, Study
from .contrasts import BETTER, FEWEST, WORSE, marks
from .in_a_sentence import answers
from .results import Results, estimate

WIDTH, _WIDE = 100, 200
_NAMES = 40  # of the arms; longer ones are broken

Show = Callable[[Estimate], str]
Table = list[list[str]]


def interval(e: Estimate) -> str:
    """`0.0090 [0.0082, 0.0099]`; the value alone where there is no interval."""
    value, low, high = (_number(x, _digits(e)) for x in (e.value, e.low, e.high))
    return value if math.isnan(e.low) else f"{value} [{low}, {high}]"


def plus_minus(e: Estimate) -> str:
    """`0.0090±0.0009`, the wider side; the value alone where there is no interval."""
    value = _number(e.value, _digits(e))
    if math.isnan(e.low) or math.isinf(e.value):
        return value
    return f"{value}±{_number(max(e.high - e.value, e.value - e.low), _digits(e))}"


def _number(x: float, digits: int) -> str:
    if math.isnan(x):
        return "–"
    return f"{x:z.{digits}f}" if math.isfinite(x) else "∞" if x > 0 else "-∞"


def _digits(e: Estimate) -> int:
    return 3 if abs(e.value) >= 0.1 or e.value == 0 else 4


def many(study: Study) -> bool:
    """Whether its arms are too many to stand side by side."""
    return len(study.rows) > 4


def table(results: Results, place: Place, show: Show = interval) -> Table:
    """Header and rows: arms side by side where they are few, else one below the other."""
    return one_below_the_other(results, place) if many(results.study) else side_by_side(results, place, show)


def side_by_side(results: Results, place: Place, show: Show) -> Table:
    """One row per metric; arms are columns."""
    runs = results.runs(place)
    return [
        ["", *runs],
        *([headed(m), *(_cell(estimate(found, m.name), show) for found in runs.values())] for m in measured(runs)),
        *([title, *map(cost, runs.values())] for title, cost in COSTS.items()),
    ]


def one_below_the_other(results: Results, place: Place) -> Table:
    """One row per arm and decoding, marked where it differs from the first: how good, how dear, and what else."""
    runs, marked = results.runs(place), marks(results, place)

    def cell(row: str, metric: str) -> str:
        return f"{_cell(estimate(runs[row], metric), plus_minus)} {marked.get((row, metric), '')}".strip()

    known = measured(runs)
    narrow = [m for m in known if m.in_place_of not in {other.name for other in known}]
    before, after = ([m for m in narrow if (m.group == "further") == late] for late in (False, True))
    return [
        ["", *map(headed, before), *COSTS, *map(headed, after)],
        *(
            [
                *(name, *(cell(name, metric.name) for metric in before)),
                *(*(cost(found) for cost in COSTS.values()), *(cell(name, metric.name) for metric in after)),
            ]
            for name, found in runs.items()
        ),
    ]


def headed(metric: Metric) -> str:
    """The title of a metric, after an arrow the way that is better."""
    return f"{metric.arrow} {metric.title}".strip()


def glossary(results: Results, place: Place) -> Table:
    """What the numbers of the table are: header and rows."""
    known = measured(results.runs(place))
    return [["", "unit", "what it is"], *([headed(m), m.unit, m.about] for m in known)]


def caption(results: Results) -> str:
    """How to read the marks and intervals, in words."""
    few, most = results.seeds
    over = (
        "seeds (Student's t; of shares on the scale of the angle, which knows their counts)"
        if few >= FEWEST
        else "sequences"
        if most < FEWEST
        else "sequences, seeds pooled, where a row has fewer than three"
    )
    seeds = "1 seed" if most == 1 else f"{few} seeds" if few == most else f"{few} to {most} seeds"
    text = f"{seeds}, 95 % intervals over {over}. An arrow points the way that is better."
    if many(results.study):
        text += (
            f" {BETTER} better and {WORSE} worse than {results.study.rows[0]} at 5 %, two-sided: t tests paired by "
            "seed, of logarithms but for shares, with Holm's correction over the rows of a task for each metric; "
            f"no test with fewer than {FEWEST} seeds in common."
        )
    return text


def about(results: Results, place: Place) -> str:
    """What an error is and how many actions a text may take, in a line."""
    budgets = results.budgets(place)
    few, most = f"{budgets[0]:,}", f"{budgets[-1]:,}"
    return f"An error is {place.error}. A text may take {few if few == most else f'{few} to {most}'} actions."


def opening(results: Results) -> list[str]:
    """Which arm is better, where the study asks nothing else."""
    return [] if results.study.questions.hypotheses else answers(results)


def markdown(results: Results) -> str:
    """All tables, as a file."""
    parts = [f"# {results.study.question}", *opening(results), caption(results)]
    for place in results.places:
        parts += [f"## {place.name}", about(results, place), markdown_table(results, place)]
    return "\n\n".join(parts) + "\n"


def markdown_table(results: Results, place: Place) -> str:
    """One table."""
    head, *rows = table(results, place, plus_minus)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def show(results: Results, console: Console) -> None:
    """All tables, for a terminal."""
    tables = [(place, table(results, place, plus_minus)) for place in results.places]
    if many(results.study):  # a row per arm needs more than a narrow window has: it may break lines
        needed = max((_NAMES + sum(w + 3 for w in _widths(rows)[1:]) for _, rows in tables), default=0)
        console = Console(file=console.file, width=max(console.width, _WIDE, needed), highlight=False)
    for sentence in opening(results):
        console.print(sentence)
    for place, rows in tables:
        shown = Grid(title=place.name, box=None, title_justify="left")
        for i, (head, width) in enumerate(zip(rows[0], _widths(rows), strict=True)):
            fixed = (width if i else min(width, _NAMES)) if many(results.study) else None
            shown.add_column(head, justify="right" if i else "left", width=fixed)
        for cells in rows[1:]:
            shown.add_row(*cells)
        console.print()
        console.print(shown)
        console.print(about(results, place))
    console.print(f"\n{caption(results)}")


def _widths(rows: Table) -> list[int]:
    """Of the columns, so that no number is broken; a head may be, between its words."""
    head, *body = rows
    words = (max(map(len, title.split()), default=0) for title in head)
    return [max(word, *(len(row[i]) for row in body)) if body else word for i, word in enumerate(words)]


def measured(runs: dict[str, list[Record]]) -> list[Metric]:
    """The metrics of tables that any row has; older records lack some."""
    shown = [metric for metric in asked_metrics.metrics() if metric.group]
    return [metric for metric in shown if any(estimate(found, metric.name) for found in runs.values())]


def _cell(e: Estimate | None, show: Show) -> str:
    return "–" if e is None else show(e)


def _mean(of: str, unit: float, digits: int) -> Callable[[Sequence[Record]], str]:
    return lambda runs: f"{np.mean([r[of] for r in runs]) / unit:.{digits}f}"


COSTS = {
    "trained (M)": _mean("training_positions", 1e6, 2),
    "cost (M)": _mean("cost", 1e6, 2),
    "training (s)": _mean("seconds_training", 1, 0),
}
