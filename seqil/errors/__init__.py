"""The errors that seqil raises on purpose: one line that names the culprit and the remedy."""

import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from math import log10
from os import PathLike
from typing import Any

OWN_FILE = "seqil_own_file_"
"""What the names of modules begin with that are files which a user has named."""


_LONG_WORD, _MOST = re.compile(r"\S{1000,}"), 4000
"""No path has so long a name, and no complaint so many characters."""


class SeqilError(Exception):
    """Base of all errors of the library; the command line turns it into one line and exit status 2.

    A message is one line, whatever it quotes, and what it quotes at great length is cut.
    """

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*(_one_line(arg) if isinstance(arg, str) else arg for arg in args), **named)


def _one_line(message: str) -> str:
    line = " ".join(message.split()) if len(message.splitlines()) > 1 else message
    line = _LONG_WORD.sub(lambda word: f"{word[0][:150]}…{word[0][-40:]}", line)
    return line if len(line) <= _MOST else f"{line[:200]} … {line[-200:]}"


class InvalidInputError(SeqilError, ValueError):
    """An argument, file or setting that cannot be used."""


class SignatureError(InvalidInputError, TypeError):
    """An argument that does not exist or is lacking; a `TypeError` as of Python itself, for those who expect one."""


class UnsupportedModelError(SeqilError, TypeError):
    """A model whose state is not indexed by position, or whose head is not a plain linear map."""


class NonFiniteError(SeqilError, ArithmeticError):
    """NaN or infinity where a finite number is needed; parameters are untouched."""


class CheckpointError(SeqilError):
    """A checkpoint or run folder that is damaged, foreign or in use."""


class MissingExtraError(SeqilError, ImportError):
    """An optional dependency is not installed."""


class LostRankError(SeqilError):
    """Of the processes that train together another one has ended, or has gone apart."""


def on_one_line(value: Any, most: int) -> str:
    """How Python writes it, without line breaks, cut to so many characters."""
    try:
        return " ".join(repr(value).split())[:most]
    except ValueError:  # of an integer with more digits than Python writes
        digits = int(value.bit_length() * log10(2)) if isinstance(value, int) else 4300
        return f"a {'number' if isinstance(value, int) else type(value).__name__} of some {digits:,} digits"


def suggested(name: str, known: Iterable[str]) -> str:
    """A question after the complaint about an unknown name, where a known one is like it."""
    names = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), names, 1)
    return f"; did you mean {names[near[0]]!r}?" if near else ""


def check_known(what: str, name: object, known: Iterable[str], between: str = ", ") -> None:
    """Refuse a name that is none of those that are known, with the one that it is like.

    Raises:
        InvalidInputError: `unknown memory 'tryed'; known: prefix, tried, history; did you mean 'tried'?`.
    """
    names = [*known]
    if not isinstance(name, str) or name not in names:
        meant = suggested(name, names) if isinstance(name, str) else ""
        raise InvalidInputError(f"unknown {what} {on_one_line(name, 200)}; known: {between.join(names)}{meant}")


def refuse_home(path: str) -> None:
    """Refuse a path with a `~` that no shell has replaced: it would name a folder of that name.

    Raises:
        InvalidInputError: it begins so.
    """
    if path.startswith("~"):
        raise InvalidInputError(f"{path} begins with ~, which no shell has replaced; write the path out, or ./{path}")


def quoted(path: str | PathLike[str]) -> str:
    """A path as a word of a command that is to be copied: quoted where it has blanks or the like, and no option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 item`, `1,234 items`; `nouns` where the plural is not the noun and an s."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_PICTURES |= dict.fromkeys(range(128, 160), 0xFFFD)


def visible(text: str) -> str:
    r"""Text with pictures for control characters, `\u241b` for an escape, which no terminal obeys.

    Tabs and line breaks stay.
    """
    return text.translate(_PICTURES)


def first_line(error: Exception) -> str:
    """What another library complained of, in one line; of a line that announces more, the next one, too."""
    lines = [line.strip() for line in (str(error).strip() or repr(error)).splitlines()]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
