"""Documents in files: plain text, records with named fields, prompts with their completions."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqil.capacity import POINTER
from seqil.errors import InvalidInputError, MissingExtraError, counted, first_line
from seqil.mdp.task import SPLITS

from .named_fields import Part, parts_of_record

_PIECE = 1 << 20  # characters of plain text that are read at once
_LONGEST_CELL = 1 << 30  # characters of a table, where Python's own limit is that of a line in a log
_PLACE = "give a text file or a folder of them"
_DATASET = ("state.json", "dataset_dict.json")
_OWN_SPLITS = {**{split: split for split in SPLITS}, **dict.fromkeys(("validation", "val", "dev", "eval"), "valid")}

_OTHER_FORMS = {
    POINTER: "a pointer of Git LFS and not the file itself; git lfs pull in its repository",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"(\xb5/\xfd": "compressed by zstd; unpack it",
    b"PK": "a ZIP archive; unpack it",
    b"PAR1": "Parquet; give it the suffix .parquet",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}

_BINARY = (b"%PDF", b"\x89PNG", b"\xff\xd8", b"GIF8", b"\x7fELF")
_BEGINNING = 4096  # bytes that are looked at where a file is no text


def files_of(path: Path) -> list[tuple[str, Path]]:
    """Names and paths of what is to be read, in order; hidden files are left out, a saved data set is one of them."""
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist; {_PLACE}")
    if not path.is_dir():
        if not path.is_file():
            raise InvalidInputError(f"{path} is a pipe or a device; {_PLACE}")
        form = _form_if_no_text(path)
        if form:
            raise InvalidInputError(f"{path} cannot be read as UTF-8 text: it {form}")
        return [(path.name, path)]
    if _is_dataset(path):
        return [(path.name, path)]
    found = sorted(p for p in _below(path, {path.resolve()}) if p.is_file())
    if not found:
        raise InvalidInputError(f"folder {path} holds no files; {_PLACE}")
    _refuse_unreadable(path, found)
    return [(p.relative_to(path).as_posix(), p) for p in found]


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
    forms = ((p, _form_if_no_text(p)) for p in files)
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
        yield from _plain(path, eos)
        return
    for number, split, record in records:
        yield from (
            part._replace(number=number, split=split) for part in parts_of_record(f"{number} of {path}", record, field)
        )


def refuse_field(path: Path, field: str | None) -> None:
    """Say of a single file of plain text that it has no fields."""
    if field is not None and path.is_file() and _records(path) is None:
        raise InvalidInputError(f"field={field!r}: {path} is plain text, which has no fields; leave it out")


def _is_dataset(path: Path) -> bool:
    return any((path / name).is_file() for name in _DATASET)


# -- plain text


def _plain(path: Path, eos: str | None) -> Iterator[Part]:
    rest, begins = "", True
    for read in _blocks(path):
        if begins:
            _refuse_records(path, read)
        rest, begins = rest + read, False
        cut = rest.rfind("\n") + 1
        if not cut and len(rest) >= 4 * _PIECE:  # no line has an end
            cut = rest.rfind(" ") + 1 or len(rest) - 256
        yield Part(0, _joined(rest[:cut], eos), last=False)
        rest = rest[cut:]
    yield Part(0, _joined(rest, eos))


def _refuse_records(path: Path, text: str) -> None:
    """Say of a text that begins with a record that it would be read with its brackets."""
    try:
        found = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return
    if isinstance(found, dict) and ({"text", "messages"} & found.keys() or {"prompt", "completion"} <= found.keys()):
        raise InvalidInputError(f"{path} holds records, one per line, and no plain text: give it the suffix .jsonl")


def _joined(text: str, eos: str | None) -> str:
    """The line break after an end of text is none of the next text."""
    return text.replace(f"{eos}\n", eos) if eos else text


def _blocks(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for piece in iter(lambda: file.read(_PIECE), ""):
                if "\0" in piece:
                    raise InvalidInputError(f"{path} holds a NUL, which no text does; take it out")
                yield piece
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {_reason(path, error)}") from None


def _reason(path: Path, error: Exception) -> str:
    """Why a file is no text, and what to do."""
    if not isinstance(error, UnicodeDecodeError):
        return str(error)
    form = _other_form(path)
    wrong = error.object[error.start]  # the position is one in the piece that was read last
    return f"it {form}" if form else f"byte 0x{wrong:02x} is none of UTF-8 ({error.reason}); save it as UTF-8 first"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _form_if_no_text(path: Path) -> str | None:
    """What a file is instead of text or a table, as far as its beginning tells."""
    try:
        begin = _beginning(path)
        if path.suffix.lower() == ".parquet" or begin.startswith(POINTER):
            return _other_form(path) if begin.startswith(POINTER) else None
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        return _other_form(path)
    except OSError:  # whoever reads it says why
        return None
    return _other_form(path) if b"\0" in begin else None


def _other_form(path: Path) -> str | None:
    """What a file that is no UTF-8 is, and what to do, if that can be seen at its beginning."""
    begin = _beginning(path)
    known = next((form for magic, form in _OTHER_FORMS.items() if begin.startswith(magic)), None)
    if known:
        return f"is {known} first"
    if begin.startswith(_BINARY) or b"\0" in begin:
        few, many = sorted((begin[::2].count(0), begin[1::2].count(0)))
        if not begin.startswith(_BINARY) and many > len(begin) // 5 and few < many // 10:
            return "is UTF-16 by the look of it; save it as UTF-8 first"
        return "holds binary data; move it elsewhere, or give its text as .txt, .md, .jsonl, .csv or .parquet"
    return None


# -- records


def _records(path: Path) -> Iterator[tuple[int, str | None, Any]] | None:
    """Number, split and value of each record of a file; None: it is plain text."""
    if path.is_dir():
        return _saved(path)
    read = {
        ".jsonl": _lines, ".ndjson": _lines, ".json": _array, ".csv": _table, ".tsv": _table, ".parquet": _parquet
    }.get(path.suffix.lower())  # fmt: skip
    return None if read is None else ((number, None, record) for number, record in enumerate(read(path), 1))


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _record(line, path, number)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {_reason(path, error)}") from None


def _array(path: Path) -> Iterator[Any]:
    text = "".join(_blocks(path))
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
        raise InvalidInputError(f"{path}, line {number} is not JSON: {why}{hint}") from None
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


def _table(path: Path) -> Iterator[Any]:
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            yield from _named(path, rows)
    except (OSError, csv.Error) as error:
        raise InvalidInputError(f"{path} cannot be read as a table: {first_line(error)}") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {_reason(path, error)}") from None
    finally:
        csv.field_size_limit(before)


def _named(path: Path, rows: Iterator[list[str]]) -> Iterator[dict[str, str]]:
    """Rows by the names in the first; empty ones are left out."""
    names = next(rows, [])
    for mark, remedy in {"\t": "tabs; give it the suffix .tsv", ";": "semicolons; save it with commas"}.items():
        if len(names) == 1 and mark in names[0]:
            raise InvalidInputError(f"the cells of {path} are separated by {remedy}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"{path} has the column {twice!r} twice; rename one")
    for number, row in enumerate(filter(None, rows), 1):
        if len(row) != len(names):
            raise InvalidInputError(
                f"record {number} of {path} has {counted(len(row), 'cell')}, the first line names {len(names)}; "
                "put a text with a separator in it into quotes"
            )
        yield dict(zip(names, row, strict=True))


def _parquet(path: Path) -> Iterator[Any]:
    parquet = _extra("pyarrow.parquet", path)
    try:
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            yield from batch.to_pylist()
    except Exception as error:  # whatever a file may hold breaks Arrow anywhere
        raise InvalidInputError(f"{path} cannot be read as Parquet: {first_line(error)}") from None


def _saved(path: Path) -> Iterator[tuple[int, str | None, Any]]:
    datasets = _extra("datasets", path)
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever a folder may hold breaks the library anywhere
        raise InvalidInputError(f"{path} cannot be read as a saved data set: {first_line(error)}") from None
    parts = dict(found) if isinstance(found, dict) else {"": found}
    unknown = [name for name in parts if name not in _OWN_SPLITS]
    if unknown and len(parts) > 1:
        raise InvalidInputError(
            f"{path} has a split {unknown[0]!r}, which is none of {', '.join(_OWN_SPLITS)}: its texts would be among "
            "those of training; rename it, or give its folder alone"
        )
    for name, rows in parts.items():
        for number, record in enumerate(rows, 1):
            yield number, _OWN_SPLITS.get(name), record


def _extra(module: str, path: Path) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"{path} needs the extra datasets; in the folder of seqil: pip install -e '.[datasets]'"
        ) from None
