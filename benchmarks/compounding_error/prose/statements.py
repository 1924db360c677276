"""Is what a text claims what the records show? Every claim has its figure, its control and its budget of actions.

`docs/claims.toml` beside the text lists them; a text refers to one by `<!-- claim:id -->`:

    [[claim]]
    id = "late"
    says = "On `chain` an expert that says when to delete helps."
    figure = "cpu/chain/DAgger/success"   # study/task/row/metric, as in a marked number
    control = "cpu/chain/MLE/success"
    is = "higher"                         # than the control, paired by seed; or lower, not higher, not lower, undecided
    margin = 0.05                         # of `not higher` and `not lower`: what would count as a difference
    ablation = "…"                        # of a claim that names a cause: what must not have the effect either

`higher` and `lower` are tests at 5 % by Holm's method over all such claims of the file. `not higher` is a test too, of
non-inferiority: a gap as large as the margin, a difference or a factor as the metric is compared, is ruled out at 5 %.
It is not adjusted for the number of such claims; the head of the table names those that hold when it is.
What the records leave open is `undecided`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.statistics import holm
from seqil.statistics.comparison import Comparison

from ..analysis.contrasts import FEWEST, compared
from ..analysis.results import estimate
from ..analysis.spending import split
from ..analysis.tables import interval
from ..running import asked_metrics
from . import directions, quotations, wording
from .pages import is_table, line_of, paragraphs, sentences
from .quotations import Found, Load

MARK = re.compile(r"<!-- claim:([\w-]+) -->")
_TASK = re.compile(r"`([\w-]+)`")
_SHOWN, _BOUNDED = ("higher", "lower"), ("not higher", "not lower")
_DIRECTIONS = (*_SHOWN, *_BOUNDED, "undecided")
_FIELDS = frozenset(("id", "says", "figure", "control", "is"))
_LEVEL = 0.05


@dataclass(frozen=True)
class Statement:
    """A claim and the records that it stands on, each as `study/task/row/metric`."""

    id: str
    says: str
    figure: str
    control: str
    direction: str
    ablation: str = ""
    margin: float = 0.0

    @property
    def controls(self) -> dict[str, str]:
        """What it is compared with, and what that is to it."""
        return {path: what for path, what in ((self.control, "control"), (self.ablation, "ablation")) if path}

    @property
    def place(self) -> str:
        """The task as the study calls it."""
        return self.figure.split("/")[1]

    @property
    def verdict(self) -> directions.Verdict:
        """Which way it goes."""
        (ours, metric), theirs = self.figure.split("/")[2:], self.control.split("/")[2]
        entry = asked_metrics.metric(split(metric)[0])
        return directions.Verdict(ours, theirs, self.direction, entry is not None and entry.better == "lower")

    @property
    def against(self) -> str:
        """What is said of the figure, in words."""
        if self.direction == "undecided":
            return "undecided against"
        margin = f" by {self.margin:g}" if self.margin else ""
        return f"{self.direction}{margin} than"


def listed(file: Path) -> list[Statement]:
    """The claims of a file.

    Raises:
        InvalidInputError: it is no TOML, or a claim lacks its figure, control or direction.
    """
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8")).get("claim", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{file} is no TOML: {error}") from None
    return [_statement(file, row) for row in rows]


def _statement(file: Path, row: dict[str, Any]) -> Statement:
    name, margin = row.get("id", "?"), row.get("margin", 0.0)
    if fault := _fault_of(row):
        raise InvalidInputError(f"{file}: the claim {name!r} {fault}")
    return Statement(name, row["says"], row["figure"], row["control"], row["is"], row.get("ablation", ""), margin)


def _fault_of(row: dict[str, Any]) -> str | None:
    for field in sorted(_FIELDS):
        if not row.get(field):
            return f"lacks its {field}"
    for field in sorted(row.keys() - _FIELDS - {"ablation", "margin"}):
        return f"has no field {field!r}"
    direction, margin = row["is"], row.get("margin")
    if direction not in _DIRECTIONS:
        return f"is {direction!r}; say one of {', '.join(_DIRECTIONS)}"
    if direction in _BOUNDED and (isinstance(margin, bool) or not isinstance(margin, int | float) or margin <= 0):
        return f"is {direction!r} by how much? Give it a margin above 0"
    if direction not in _BOUNDED and margin is not None:
        return f"is {direction!r}, of which a margin says nothing; leave it out"
    return None


def faults(statements: list[Statement], load: Load) -> list[str]:
    """What of the claims the records do not bear out."""
    return [
        f"claim {one.id!r}: {one.figure} is not shown to be {one.against} its {one.controls[against]}, {against}"
        for (one, against), p in _p_values(statements, load).items()
        if (p < _LEVEL) == (one.direction == "undecided")
    ]


def _p_values(statements: list[Statement], load: Load) -> dict[tuple[Statement, str], float]:
    """Of every claim against each of its controls; of those that tell of a difference adjusted for their number."""
    tests = {(one, against): _tested(one, against, load) for one in statements for against in one.controls}
    shown = [test for test in tests if test[0].direction in _SHOWN]
    return tests | dict(zip(shown, holm([tests[test] for test in shown]), strict=True))


def _tested(one: Statement, against: str, load: Load) -> float:
    """One-sided and unadjusted; two-sided where the claim is that nothing was shown."""
    found = _comparison(one, against, load)
    low, high = (1 / (1 + one.margin), 1 + one.margin) if found.neutral else (-one.margin, one.margin)
    return {
        "higher": found.above(found.neutral),
        "lower": found.below(found.neutral),
        "not higher": found.below(high),
        "not lower": found.above(low),
        "undecided": found.p,
    }[one.direction]


def _comparison(one: Statement, against: str, load: Load) -> Comparison:
    ours, theirs = _found(one, one.figure, load), _found(one, against, load)
    found = compared(ours.runs, theirs.runs, ours.metric) if ours.metric == theirs.metric else None
    if found is None or len(found.gaps) < FEWEST:
        raise InvalidInputError(
            f"claim {one.id!r}: {one.figure} and {against} have no test: {FEWEST} seeds of one metric"
        )
    return found


def _found(one: Statement, path: str, load: Load) -> Found:
    known = quotations.found(path, load)
    if known is None:
        raise InvalidInputError(f"claim {one.id!r}: there is no record of {path}; name study/task/row/metric")
    return known


def misstatements(text: str, statements: list[Statement], load: Load, root: Path) -> list[str]:
    """What is wrong with the prose: numbers, causes, budgets and directions that nothing stands behind.

    Args:
        text: Markdown. Code and headings are no prose; tables are read for their numbers alone.
        statements: that it may refer to.
        load: a study's records.
        root: folder of the files that `<!-- by file -->` names.

    Returns:
        A line each, which begins with the line of the paragraph.
    """
    known = {one.id: one for one in statements}
    found: list[str] = []
    for paragraph in paragraphs(text):
        faults = [*_of_seeds(paragraph, known, load)]
        if is_table(paragraph):
            faults += wording.unchecked_cells(paragraph, root)
        else:
            faults += _misstated(paragraph, known, load, root)
        found += [f"line {line_of(paragraph, text)}: {fault}" for fault in faults]
    return found


def misworded(statements: list[Statement]) -> Iterator[str]:
    """Claims whose sentence says another thing than their direction."""
    for one in statements:
        said = f"{one.says}<!-- claim:{one.id} -->"
        for fault in (*directions.faults(said, {one.id: one.verdict}), *_elsewhere(said, {one.id: one})):
            yield f"claim {one.id!r} {fault}"
        if not directions.words(one.says):
            yield f"claim {one.id!r} says no word of direction; that it is {one.direction} is to be read there"


def _of_seeds(paragraph: str, known: dict[str, Statement], load: Load) -> Iterator[str]:
    """Numbers of seeds that are not those of the records beside them."""
    asked = quotations.paths(paragraph)
    asked += [known[mark].figure for mark in MARK.findall(paragraph) if mark in known]
    runs = {len(one.runs) for path in asked if (one := quotations.found(path, load))}
    for number in wording.seeds(paragraph):
        if runs and number not in runs:
            yield f"{wording.start(paragraph)!r} says {number} seeds; its numbers are of {_listed(runs)}"
    for study, number in wording.seeds_of_studies(paragraph):
        there = {*load(study).seeds}
        if number not in there:
            yield f"{wording.start(paragraph)!r} says {number} seeds of {study}; its records are of {_listed(there)}"


def _listed(numbers: set[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))


def _misstated(paragraph: str, known: dict[str, Statement], load: Load, root: Path) -> Iterator[str]:
    marks, quoted = MARK.findall(paragraph), bool(quotations.paths(paragraph))
    start = wording.start(paragraph)
    for mark in marks:
        if mark not in known:
            yield f"{start!r} refers to a claim {mark!r}, which is not listed"
    claims = [known[mark] for mark in marks if mark in known]
    if quoted and not claims:
        yield f"{start!r} quotes records and refers to no claim with its control; add <!-- claim:id -->"
    for budget in sorted(
        {n for one in claims for path in (one.figure, one.control) if (n := _found(one, path, load).budget)}
    ):
        if not re.search(rf"\b(?:{budget}|{budget:,}) actions\b", paragraph):
            yield f"{start!r} states no budget; its numbers are of {budget} actions per text"
    for margin in sorted({one.margin for one in claims if one.margin}):
        if not re.search(rf"(?<![\d.])0?{f'{margin:g}'.lstrip('0')}(?!\d)", paragraph):
            yield f"{start!r} states no margin; its claims are of no difference by {margin:g}"
    for sentence in sentences(paragraph):
        ablated = any(known[mark].ablation for mark in MARK.findall(sentence) if mark in known)
        yield from wording.faults(sentence, root, claimed=quoted or bool(marks), ablated=ablated)
        yield from (f"{start!r} {fault}" for fault in _elsewhere(sentence, known))
        if MARK.search(sentence) or not wording.SOURCE.search(sentence):
            verdicts = {name: one.verdict for name, one in known.items()}
            yield from (f"{start!r} {fault}" for fault in directions.faults(sentence, verdicts))


def _elsewhere(sentence: str, known: dict[str, Statement]) -> Iterator[str]:
    """Claims of another task than those that the sentence names before them."""
    at = 0
    tasks: list[str] = []
    for marks in directions.MARKS.finditer(sentence):
        tasks = _tasks(sentence[at : marks.start()], known) or tasks
        for one in (known[name] for name in MARK.findall(marks[0]) if name in known):
            if tasks and not any(_is_of(one.place, task) for task in tasks):
                yield f"speaks of {' and '.join(tasks)}, and the claim {one.id!r} is of {one.place}"
        at = marks.end()


def _tasks(text: str, known: dict[str, Statement]) -> list[str]:
    """The tasks that a text names, of those that there are or that a study has under a name of its own."""
    there = {*plugins.names("tasks"), *(one.place for one in known.values())}
    return [name for name in _TASK.findall(text) if name in there]


def _is_of(place: str, task: str) -> bool:
    """Places are called by their task, with a dial behind it where there are several: `chain-8`."""
    return place == task or place.startswith(f"{task}-")


_HEAD = "| claim | figure | control | difference | p | ablation | actions per text | seeds |"


def markdown(statements: list[Statement], load: Load) -> str:
    """The table of all claims, from the records."""
    tests = _p_values(statements, load)
    rows = [_row(one, load, tests[one, one.control]) for one in statements]
    number = sum(one.direction in _SHOWN for one, _ in tests)
    said = (
        "Made by `verify` from the committed records, paired by seed. Of `higher` and `lower` p is one-sided and "
        f"adjusted by Holm's method for the {number} of them; of `not higher` and `not lower` it is that of a gap as "
        "large as the margin, not adjusted; of what is undecided that of no difference. Intervals are of 95 % each."
    )
    weak = _names(_borderline(statements, load))
    if weak:
        said += (
            " Directions were often seen before they were tested, and the undecided are not counted; with p of two "
            f"sides, or with the undecided in the family, these are above 5 %, and borderline: {weak}."
        )
    firm = _names(_firmly_bounded(statements, load))
    if firm:
        said += f" Adjusted by Holm's method for their own number, these alone are `not higher` or `not lower`: {firm}."
    return "\n\n".join(("# Claims", said, "\n".join((_HEAD, "|---" * 8 + "|", *rows)))) + "\n"


def _borderline(statements: list[Statement], load: Load) -> list[Statement]:
    """Claims of a difference that hold by a test of one side alone, or if what is undecided is not counted."""
    raw = {(one, path): _tested(one, path, load) for one in statements for path in one.controls}
    family = [test for test in raw if test[0].direction in (*_SHOWN, "undecided")]
    p_values = [raw[test] / (1 if test[0].direction in _SHOWN else 2) for test in family]  # all of them one-sided
    shown = [test for test in raw if test[0].direction in _SHOWN]
    larger = dict(zip(family, holm(p_values), strict=True))
    twice = dict(zip(shown, holm([min(2 * raw[test], 1.0) for test in shown]), strict=True))
    found = {test[0]: None for test in shown if max(larger[test], twice[test]) >= _LEVEL}
    return list(found)


def _firmly_bounded(statements: list[Statement], load: Load) -> list[Statement]:
    """Claims of no difference by a margin that hold when they are adjusted for their number."""
    tests = {(one, path): _tested(one, path, load) for one in statements for path in one.controls if one.margin}
    adjusted = zip(tests, holm(list(tests.values())), strict=True)
    failing = {one for (one, _), p in adjusted if p >= _LEVEL}
    return [one for one in statements if one.margin and one not in failing]


def _names(statements: list[Statement]) -> str:
    return ", ".join(f"`{one.id}`" for one in statements)


def _row(one: Statement, load: Load, p: float) -> str:
    found = _comparison(one, one.control, load)
    ours, theirs = (_found(one, path, load) for path in (one.figure, one.control))
    budgets = sorted({budget for side in (ours, theirs) if (budget := side.budget)})
    direction = one.direction + (f" by {one.margin:g}" if one.margin else "")
    cells = (
        f"`{one.id}` {one.says}",
        *(f"{_value(side)} ({path})" for side, path in ((ours, one.figure), (theirs, one.control))),
        f"{'× ' * bool(found.neutral)}{interval(found.effect)}, {direction}",
        "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0"),
        _value(_found(one, one.ablation, load)) if one.ablation else "–",
        ", ".join(map(str, budgets)) or "no deletions",
        str(len(found.gaps)),
    )
    return f"| {' | '.join(cells)} |"


def _value(found: Found) -> str:
    known = estimate(found.runs, found.metric)
    return "–" if known is None else interval(known)
