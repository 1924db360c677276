"""Documents in files: plain text, records with named fields, prompts with their completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqil.errors import InvalidInputError, counted

from .named_fields import Part, parts_of_record
from .named_splits import Source, divided
from .plain_text import form_if_no_text, plain_parts
from .record_files import array, lines, parquet, table
from .saved_data_sets import is_saved, saved_records

_PLACE = "give a text file or a folder of them"


def files_of(path: Path) -> tuple[list[Source], list[str]]:
    """What is to be read, in order, and the names of what is left out beside the hidden; a saved data set is one file.

    Raises:
        InvalidInputError: nothing is there, what is there is no text, or names of splits as of `divided`.
    """
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist; {_PLACE}")
    if not path.is_dir():
        if not path.is_file():
            raise InvalidInputError(f"{path} is a pipe or a device; {_PLACE}")
        form = form_if_no_text(path)
        if form:
            raise InvalidInputError(f"{path} cannot be read as UTF-8 text: it {form}")
        return [Source(path.name, path)], []
    if is_saved(path):
        return [Source(path.name, path)], []
    found = sorted(_below(path, {path.resolve()}))
    for file in found:
        if not file.is_file():
            link = file.is_symlink() and not file.exists()
            what = "a link to what is not there; fetch that" if link else "a pipe or a device; remove it"
            raise InvalidInputError(f"folder {path}: {file.relative_to(path).as_posix()} is {what}, or name files")
    if not found:
        raise InvalidInputError(f"folder {path} holds no files; {_PLACE}")
    sources, left_out = divided(path, [Source(p.relative_to(path).as_posix(), p) for p in found])
    _refuse_unreadable(path, [source.path for source in sources])
    return sources, left_out


def _below(folder: Path, met: set[Path]) -> Iterator[Path]:
    """What lies below a folder and is not hidden, behind links to folders too, each folder once."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif path.resolve() not in met:
            met.add(path.resolve())
            yield from _below(path, met)


def _refuse_unreadable(folder: Path, files: Sequence[Path]) -> None:
    """Count at once all that begin as no text does: one would be read, and refused, after the other."""
    forms = ((p, form_if_no_text(p)) for p in files)
    wrong = [f"{p.relative_to(folder).as_posix()}: it {form}" for p, form in forms if form]
    if wrong:
        more = f" (and {len(wrong) - 1} more of its {counted(len(files), 'file')})" if wrong[1:] else ""
        raise InvalidInputError(f"folder {folder} holds what is no text: {wrong[0]}{more}")


def parts_of(path: Path, field: str | None, eos: str | None) -> Iterator[Part]:
    """The documents of a file.

    Args:
        path: a file, or the folder of a saved data set.
        field: of the records; None: `prompt` and `completion`, `messages` or `text`, whichever there is.
        eos: how the end of a text is written in plain text, if it can be.

    Raises:
        InvalidInputError: what cannot be read, or a record without the field.
    """
    records = _records(path)
    if records is None:
        yield from plain_parts(path, eos)
        return
    for number, split, record in records:
        yield from (
            part._replace(number=number, split=split) for part in parts_of_record(f"{number} of {path}", record, field)
        )


def refuse_field(path: Path, field: str | None) -> None:
    """Say of a single file of plain text that it has no fields."""
    if field is not None and path.is_file() and _records(path) is None:
        raise InvalidInputError(f"field={field!r}: {path} is plain text, which has no fields; leave it out")


def _records(path: Path) -> Iterator[tuple[int, str | None, Any]] | None:
    """Number, split and value of each record of a file; None: it is plain text."""
    if path.is_dir():
        return saved_records(path)
    read = {
        ".jsonl": lines, ".ndjson": lines, ".json": array, ".csv": table, ".tsv": table, ".parquet": parquet
    }.get(path.suffix.lower())  # fmt: skip
    return None if read is None else ((number, None, record) for number, record in enumerate(read(path), 1))
