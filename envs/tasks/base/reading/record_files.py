"""Files of records: lines and lists of JSON, tables, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqil.errors import InvalidInputError, counted, first_line

from .plain_text import blocks_of, reason_of
from .saved_data_sets import extra

_LONGEST_CELL = 1 << 30  # characters of a table, where Python's own limit is that of a line in a log


def lines(path: Path) -> Iterator[Any]:
    """Records of JSON, one per line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _record(line, path, number)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {reason_of(path, error)}") from None


def array(path: Path) -> Iterator[Any]:
    """Records of a list of JSON."""
    text = "".join(blocks_of(path))
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except _TwiceError as error:
        raise InvalidInputError(f"{path} has {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is not JSON: {first_line(error)}{_meant(text)}") from None
    if not isinstance(found, list):
        raise InvalidInputError(f"{path} holds no list of records; give one record per line as .jsonl, or a list")
    yield from found


def _record(line: str, path: Path, number: int) -> Any:
    try:
        found = json.loads(line, object_pairs_hook=_once)
    except _TwiceError as error:
        raise InvalidInputError(f"{path}, line {number}, has {error}") from None
    except (ValueError, RecursionError) as error:
        hint = _meant(line) if number == 1 else ""
        why = getattr(error, "msg", first_line(error))  # without the place, which is one in this line alone
        why = "a number has more digits than Python reads" if "set_int_max_str" in why else why
        column = f" at column {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        cut = "; the line is cut off: write it anew, or take it out" if why.startswith("Unterminated") else ""
        raise InvalidInputError(
            f"{path}, line {number} is not JSON: {why.removesuffix(' at')}{column}{hint or cut}"
        ) from None
    if number == 1 and isinstance(found, list):
        raise InvalidInputError(f"{path} holds a list, not one record per line; give it the suffix .json")
    return found


class _TwiceError(ValueError):
    """A record names a field twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A record of these fields, of which `json` would keep the last of a name."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the field {twice!r} twice in a record; rename one")
    return found


def _meant(text: str) -> str:
    """The suffix that goes with what a file begins as."""
    first = text.lstrip().partition("\n")[0]
    if not first.startswith(("{", "[")):
        return "; if it is plain text give it the suffix .txt"
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        lines = "; .jsonl holds one record per line, .json a list of them that may take several"
        return lines if text.count("\n") < 2 else ""
    return "; it holds one record per line: give it the suffix .jsonl"


def table(path: Path) -> Iterator[Any]:
    """Rows of a table, whose first line names the fields."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            try:
                yield from _named(path, rows)
            except csv.Error as error:
                raise InvalidInputError(
                    f"{path} cannot be read as a table: {first_line(error)} in line {rows.line_num}; close every "
                    "quote, and write one inside a quoted text twice"
                ) from None
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read as a table: {first_line(error)}") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {reason_of(path, error)}") from None
    finally:
        csv.field_size_limit(before)


def _named(path: Path, rows: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    """Rows by the names in the first; empty ones are left out."""
    names = next(rows, [])
    for mark, remedy in {"\t": "tabs; give it the suffix .tsv", ";": "semicolons; save it with commas"}.items():
        if len(names) == 1 and mark in names[0]:
            raise InvalidInputError(f"the cells of {path} are separated by {remedy}")
    _refuse_twice(path, names)
    for number, row in enumerate(filter(None, rows), 1):
        if len(row) != len(names):
            raise InvalidInputError(
                f"record {number} of {path} has {counted(len(row), 'cell')}, the first line names {len(names)}; "
                "put a text with a separator in it into quotes"
            )
        yield dict(zip(names, row, strict=True))


def _refuse_twice(path: Path, names: list[str]) -> None:
    """Of columns of one name the last would be kept alone."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"{path} has the column {twice!r} twice; rename one")


def parquet(path: Path) -> Iterator[Any]:
    """Rows of a file of Parquet."""
    module = extra("pyarrow.parquet", path)
    try:
        file = module.ParquetFile(path)
        _refuse_twice(path, file.schema_arrow.names)
        for batch in file.iter_batches(1024):
            yield from batch.to_pylist()
    except InvalidInputError:
        raise
    except Exception as error:  # whatever a file may hold breaks Arrow anywhere
        raise InvalidInputError(
            f"{path} cannot be read as Parquet: {first_line(error)}; write it anew, or take it out of its folder"
        ) from None
