"""Is what a text claims what the records show? Every claim has its figure, its control and its budget of actions.

`docs/claims.toml` beside the text lists them; a text refers to one by `<!-- claim:id -->`:

    [[claim]]
    id = "late"
    says = "On `chain` an expert that says when to delete helps."
    figure = "cpu/chain/DAgger/success"   # study/task/row/metric, as in a marked number
    control = "cpu/chain/MLE/success"
    is = "higher"                         # than the control, paired by seed, at 5 %; or lower, not higher, not lower
    ablation = "…"                        # of a claim that names a cause: what must not have the effect either
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seqil import Settings
from seqil.errors import InvalidInputError
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

_RECORD = re.compile(r"<!-- \w+/[\w-]+/[^/>]+/\w+ -->")
_CAUSE = re.compile(
    r"\b(because|due to|thanks to|owing to|therefore|that is why|the reason|explains?|carr(?:y|ies)|comes? from)\b",
    re.I,
)
_MARKED = re.compile(r"-?\d+(?:\.\d+)?<!-- \w+/.*?-->")
_NO_PROSE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|\b(?:Python|torch) \d[\w.+]*|\b\d+(?:\.\d+){2,}|\b95 %", re.DOTALL
)
_NUMBER = re.compile(r"(?<![\w/.])\d*\.\d+|\d+ %")
_BLOCKS = re.compile(r"```.*?```|<!-- (study|table):.*?<!-- /\1 -->", re.DOTALL)
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=- )|\n(?=#)")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\[])")
_DIRECTIONS = ("higher", "lower", "not higher", "not lower")
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


def _statement(file: Path, row: dict[str, str]) -> Statement:
    name = row.get("id", "?")
    lacking = [field for field in ("id", "says", "figure", "control", "is") if not row.get(field)]
    strange = sorted(row.keys() - {"id", "says", "figure", "control", "is", "ablation"})
    if lacking or strange:
        what = f"lacks its {lacking[0]}" if lacking else f"has no field {strange[0]!r}"
        raise InvalidInputError(f"{file}: the claim {name!r} {what}")
    if row["is"] not in _DIRECTIONS:
        raise InvalidInputError(f"{file}: the claim {name!r} is {row['is']!r}; say one of {', '.join(_DIRECTIONS)}")
    return Statement(name, row["says"], row["figure"], row["control"], row["is"], row.get("ablation", ""))


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
    return [fault for one in statements for fault in _faults(one, load)]


def _faults(one: Statement, load: Load) -> Iterator[str]:
    for against, what in ((one.control, "its control"), (one.ablation, "its ablation")):
        if against and not _shown(_comparison(one, against, load), one.direction):
            yield f"claim {one.id!r}: {one.figure} is not shown to be {one.direction} than {what}, {against}"


def _comparison(one: Statement, against: str, load: Load) -> Comparison:
    ours, theirs = _found(one, one.figure, load), _found(one, against, load)
    found = compared(ours.runs, theirs.runs, ours.metric) if ours.metric == theirs.metric else None
    if found is None or len(found.gaps) < FEWEST:
        raise InvalidInputError(
            f"claim {one.id!r}: {one.figure} and {against} have no test: {FEWEST} seeds of one metric"
        )
    return found


def _shown(found: Comparison, direction: str) -> bool:
    higher, lower = found.above(found.neutral) < _LEVEL, found.below(found.neutral) < _LEVEL
    return {"higher": higher, "lower": lower, "not higher": not higher, "not lower": not lower}[direction]


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
    ablated = any(known[mark].ablation for mark in MARK.findall(sentence) if mark in known)
    cause, number, sources = _CAUSE.search(prose), _NUMBER.search(prose), SOURCE.findall(sentence)
    if quoted and cause and not ablated:
        yield f"{said[:80]!r} states a cause ({cause[0]!r}) and refers to no claim with an ablation"
    if number and not sources:
        yield f"{said[:80]!r} states a number ({number[0]}) that nothing checks; mark its record or <!-- by file -->"
    for source in sources:
        if not (root / source).exists():
            yield f"{said[:80]!r} names {source}, which is not there"


def markdown(statements: list[Statement], load: Load) -> str:
    """The table of all claims, from the records."""
    head = "| claim | figure | control | difference | ablation | actions per text | seeds |"
    lines = [
        "# Claims",
        "Made by `verify` from the committed records; tests paired by seed, at 5 %, uncorrected.",
        head,
    ]
    rows = [_row(one, load) for one in statements]
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join([head, "|---" * 7 + "|", *rows]) + "\n"


def _row(one: Statement, load: Load) -> str:
    found, ours, theirs = (
        _comparison(one, one.control, load),
        *(_found(one, p, load) for p in (one.figure, one.control)),
    )
    sign = "× " if found.neutral else ""
    budgets = sorted({budget for side in (ours, theirs) if (budget := side.budget)})
    cells = (
        *(one.says, *(f"{_value(side)} ({path})" for side, path in ((ours, one.figure), (theirs, one.control)))),
        *(
            f"{sign}{interval(found.effect)}, {one.direction}",
            _value(_found(one, one.ablation, load)) if one.ablation else "–",
        ),
        *(", ".join(map(str, budgets)) or "no deletions", str(len(found.gaps))),
    )
    return f"| {' | '.join(cells)} |"


def _value(found: _Found) -> str:
    known = estimate(found.runs, found.metric)
    return "–" if known is None else interval(known)
