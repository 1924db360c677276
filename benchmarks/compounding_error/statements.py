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
What the records leave open is `undecided`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqil import Settings
from seqil.errors import InvalidInputError
from seqil.statistics import holm
from seqil.statistics.comparison import Comparison

from .analysis.contrasts import FEWEST, compared
from .analysis.results import Results, estimate
from .analysis.tables import interval
from .running.cells import budget_of
from .running.records import Record
from .study import Place

Load = Callable[[str], Results]
MARK = re.compile(r"<!-- claim:([\w-]+) -->")
SOURCE = re.compile(r"<!-- by ([\w./-]+) -->")
"""What makes or tests a number that no record holds."""

_RECORD = re.compile(r"<!-- [\w-]+/[\w-]+/[^/>]+/\w+ -->")
_CAUSE = re.compile(
    r"\b(because|due to|thanks to|owing to|therefore|that is why|the reason|explains?|carr(?:y|ies)|comes? from)\b",
    re.I,
)
_MARKED = re.compile(r"-?\d+(?:\.\d+)?<!-- [\w-]+/.*?-->")
_NO_PROSE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|\b(?:Python|torch) \d[\w.+]*|\b\d+(?:\.\d+){2,}|\b95 %", re.DOTALL
)
_NUMBER = re.compile(r"(?<![\w/.])\d*\.\d+|\d+ %")
_BLOCKS = re.compile(r"```.*?```|<!-- (study|table):.*?<!-- /\1 -->", re.DOTALL)
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=- )|\n(?=#)")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\[])")
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


@dataclass(frozen=True)
class _Found:
    runs: list[Record]
    place: Place
    metric: str

    @property
    def budget(self) -> int | None:
        """Actions per text, where the policy deletes."""
        first = self.runs[0]
        if not first["settings"]["backspace"]:
            return None
        return int(first.get("max_actions") or budget_of(self.place, Settings.of(first["settings"]))[0])


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


def _found(one: Statement, path: str, load: Load) -> _Found:
    parts = path.split("/")
    if len(parts) == 4:
        study, task, row, metric = parts
        results = load(study)
        place = next((place for place in results.places if place.name == task), None)
        runs = results.runs(place).get(row) if place else None
        if place and runs and estimate(runs, metric):
            return _Found(runs, place, metric)
    raise InvalidInputError(f"claim {one.id!r}: there is no record of {path}; name study/task/row/metric")


def misstatements(text: str, statements: list[Statement], load: Load, root: Path) -> list[str]:
    """What is wrong with the prose: numbers, causes and budgets that nothing stands behind.

    Args:
        text: Markdown. Code, tables and headings are no prose.
        statements: that it may refer to.
        load: a study's records.
        root: folder of the files that `<!-- by file -->` names.
    """
    known = {one.id: one for one in statements}
    found: list[str] = []
    for paragraph in _PARAGRAPHS.split(_BLOCKS.sub("", text)):
        if not paragraph.lstrip().startswith(("|", "#", "!")):
            found += _misstated(paragraph, known, load, root)
    return found


def _misstated(paragraph: str, known: dict[str, Statement], load: Load, root: Path) -> Iterator[str]:
    marks, quoted = MARK.findall(paragraph), _RECORD.search(paragraph) is not None
    start = " ".join(paragraph.split())[:60]
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
    for sentence in _SENTENCES.split(paragraph):
        yield from _of_sentence(sentence, quoted, known, root)


def _of_sentence(sentence: str, quoted: bool, known: dict[str, Statement], root: Path) -> Iterator[str]:
    prose, said = _NO_PROSE.sub("", _MARKED.sub("", sentence)), " ".join(_NO_PROSE.sub("", sentence).split())
    marks = MARK.findall(sentence)
    ablated = any(known[mark].ablation for mark in marks if mark in known)
    cause, number, sources = _CAUSE.search(prose), _NUMBER.search(prose), SOURCE.findall(sentence)
    if (quoted or marks) and cause and not ablated:
        yield f"{said[:80]!r} states a cause ({cause[0]!r}) and refers to no claim with an ablation"
    if number and not sources:
        yield f"{said[:80]!r} states a number ({number[0]}) that nothing checks; mark its record or <!-- by file -->"
    for source in sources:
        if not (root / source).exists():
            yield f"{said[:80]!r} names {source}, which is not there"


_HEAD = "| claim | figure | control | difference | p | ablation | actions per text | seeds |"


def markdown(statements: list[Statement], load: Load) -> str:
    """The table of all claims, from the records."""
    tests = _p_values(statements, load)
    rows = [_row(one, load, tests[one, one.control]) for one in statements]
    number = sum(one.direction in _SHOWN for one, _ in tests)
    said = (
        "Made by `verify` from the committed records, paired by seed. Of `higher` and `lower` p is one-sided and "
        f"adjusted by Holm's method for the {number} of them; of `not higher` and `not lower` it is that of a gap as "
        "large as the margin; of what is undecided that of no difference. Intervals are of 95 % each."
    )
    return "\n\n".join(("# Claims", said, "\n".join((_HEAD, "|---" * 8 + "|", *rows)))) + "\n"


def _row(one: Statement, load: Load, p: float) -> str:
    found = _comparison(one, one.control, load)
    ours, theirs = (_found(one, path, load) for path in (one.figure, one.control))
    budgets = sorted({budget for side in (ours, theirs) if (budget := side.budget)})
    direction = one.direction + (f" by {one.margin:g}" if one.margin else "")
    cells = (
        one.says,
        *(f"{_value(side)} ({path})" for side, path in ((ours, one.figure), (theirs, one.control))),
        f"{'× ' * bool(found.neutral)}{interval(found.effect)}, {direction}",
        "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0"),
        _value(_found(one, one.ablation, load)) if one.ablation else "–",
        ", ".join(map(str, budgets)) or "no deletions",
        str(len(found.gaps)),
    )
    return f"| {' | '.join(cells)} |"


def _value(found: _Found) -> str:
    known = estimate(found.runs, found.metric)
    return "–" if known is None else interval(known)
