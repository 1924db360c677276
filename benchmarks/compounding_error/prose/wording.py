"""Numbers, in digits or words, and causes in a sentence, and what has to stand beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = re.compile(r"<!-- by ([\w./-]+) -->")
"""What makes or tests a number that no record holds."""

NUMERALS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMERAL = rf"(?:{'|'.join(NUMERALS)})"
RESULTS = re.compile(
    r"\b(?:halv(?:e|es|ed)|half the|doubl(?:e|es|ed)|twice|thrice"
    rf"|{_NUMERAL} times|{_NUMERAL} (?:draws |settings |seeds |runs )?of (?:the |its )?{_NUMERAL}"
    rf"|{_NUMERAL} (?:thirds|quarters|fifths)|(?:none|all|most) of (?:the |its )?{_NUMERAL}"
    rf"|{_NUMERAL} (?:hold|fail|win|lose|differ|beat))\b",
    re.I,
)
"""Numbers as words where they state a result."""

_CAUSE = re.compile(
    r"\b(because|since|due to|thanks to|owing to|therefore|that is why|which is why|as a result|the reason"
    r"|explains?|causes?|carr(?:y|ies)|comes? from|stems? from|results? from|makes? the difference|lies in"
    r"|owes? (?:this|that|it)|the credit)\b",
    re.I,
)
_MARKED = re.compile(r"-?\d*\.?\d+<!-- [\w-]+[/:].*?-->")
_NO_PROSE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|\b[Mm]in-p \.\d+|\barXiv \d+\.\d+(?:, \d+\.\d+)*"
    r"|\b(?:Python|torch) \d[\w.+]*|\b\d+(?:\.\d+){2,}|\b95 %",
    re.DOTALL,
)
_NUMBER = re.compile(r"(?<![\w/.])\d*\.\d+|\d+ %|\b\d+e-?\d+\b")
_QUOTED = re.compile(r"`([\w./-]+)`")
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
_COUNTS = {word: n for n, word in enumerate(NUMERALS, 1)} | {word: 10 * n for n, word in enumerate(_TENS, 3)}
_SEEDS = re.compile(rf"\b(\d+|{'|'.join(_COUNTS)}) seeds?\b", re.I)
_PRESET = re.compile(r"--preset ([\w-]+)")
_NEAR = 120  # letters behind the name of a study in which its seeds are said


def start(text: str) -> str:
    """By which a fault is found."""
    return " ".join(text.split())[:60]


def seeds(text: str) -> list[int]:
    """The numbers of seeds that a text says."""
    found = [said.lower() for said in _SEEDS.findall(text)]
    return [int(said) if said.isdigit() else _COUNTS[said] for said in found]


def seeds_of_studies(text: str) -> Iterator[tuple[str, int]]:
    """The studies that a text names by `--preset`, each with the number of seeds that is said right behind it."""
    prose = re.sub(r"\]\([^)]*\)|<!--.*?-->", "", text, flags=re.DOTALL)
    names = [*_PRESET.finditer(prose)]
    ends = [*(after.start() for after in names[1:]), len(prose)]
    for name, end in zip(names, ends[: len(names)], strict=True):
        end = min(name.end() + _NEAR, end)
        for number in seeds(prose[name.end() : end])[:1]:
            yield name[1], number


def faults(sentence: str, root: Path, *, claimed: bool, ablated: bool) -> Iterator[str]:
    """Numbers that nothing checks, and causes that nothing bears out.

    Args:
        sentence: with its marks.
        root: folder of the files that `<!-- by file -->` names.
        claimed: whether records or claims stand beside it.
        ablated: whether one of its claims has an ablation.
    """
    prose, said = _bare(_MARKED.sub("", sentence)), " ".join(_bare(sentence).split())[:80]
    cause, number, sources = _CAUSE.search(prose), _NUMBER.search(prose), SOURCE.findall(sentence)
    number = number or RESULTS.search(prose)
    if claimed and cause and not ablated:
        yield f"{said!r} states a cause ({cause[0]!r}) and refers to no claim with an ablation"
    if number and not sources:
        yield f"{said!r} states a number ({number[0]}) that nothing checks; mark its record or <!-- by file -->"
    for source in sources:
        if not (root / source).exists():
            yield f"{said!r} names {source}, which is not there"


def _bare(text: str) -> str:
    return _NO_PROSE.sub("", text)


def unchecked_cells(table: str, root: Path) -> Iterator[str]:
    """Rows with numbers that no mark and no file stands beside, a test that the row names say."""
    for row in table.splitlines():
        number = _NUMBER.search(_bare(_MARKED.sub("", row)))
        named = [*SOURCE.findall(row), *_QUOTED.findall(row)]
        if number and not any((root / name).is_file() for name in named):
            yield f"the row {start(row)!r} states a number ({number[0]}) that nothing checks"
