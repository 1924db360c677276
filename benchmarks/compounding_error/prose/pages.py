"""The prose of a page: Markdown, and the cells of prose of a tutorial, which is a script."""

from __future__ import annotations

import re
from pathlib import Path

PROSE, CODE = "# %% [markdown]", "# %%"

_BLOCKS = re.compile(r"```.*?```|<!-- (study|table):.*?<!-- /\1 -->", re.DOTALL)
_PARAGRAPHS = re.compile(r"\n\s*\n|\n(?=- )|\n(?=#)")
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\[])|(?<=[.!?]\*\*)\s+(?=[A-Z`*\[])")


def files(text: Path) -> list[Path]:
    """The pages of a folder and of those below it, but for what is made of a file of claims; a file itself."""
    if not text.is_dir():
        return [text]
    pages = [file for file in text.rglob("*.md") if not file.with_suffix(".toml").exists()]
    return sorted([*pages, *(file for file in text.rglob("*.py") if _is_tutorial(file))])


def _is_tutorial(file: Path) -> bool:
    with file.open(encoding="utf-8", errors="replace") as lines:
        return next(lines, "").rstrip() == PROSE


def prose(text: str) -> str:
    """Markdown as it is, of a tutorial its cells of prose, without code and tables of records."""
    if text.startswith(PROSE):
        text = "\n\n".join(_cell(part) for part in text.split(f"{PROSE}\n")[1:])
    return _BLOCKS.sub("", text)


def _cell(part: str) -> str:
    lines = part.partition(f"\n{CODE}\n")[0].splitlines()
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)


def paragraphs(text: str) -> list[str]:
    """Without headings and pictures."""
    parts = [part.strip("\n") for part in _PARAGRAPHS.split(prose(text))]
    return [part for part in parts if part and not part.lstrip().startswith(("#", "!"))]


def line_of(paragraph: str, text: str) -> int:
    """Where a paragraph of a page begins, from 1."""
    before, whole, _ = text.partition(paragraph)
    if whole:
        return before.count("\n") + 1
    first = paragraph.splitlines()[0]  # a cell of a script, or one with a block in it
    return next((number for number, line in enumerate(text.splitlines(), 1) if first in line), 1)


def is_table(paragraph: str) -> bool:
    """Whether its lines are rows."""
    return paragraph.lstrip().startswith("|")


def sentences(paragraph: str) -> list[str]:
    """Of prose."""
    return _SENTENCES.split(paragraph)
