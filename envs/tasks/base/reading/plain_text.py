"""Files of plain text, and what a file is that is none."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

from seqil.capacity import POINTER
from seqil.errors import InvalidInputError

from .named_fields import Part

_PIECE = 1 << 20  # characters of plain text that are read at once
_OTHER_FORMS = {
    POINTER: "a pointer of Git LFS and not the file itself; git lfs pull in its repository",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"(\xb5/\xfd": "compressed by zstd; unpack it",
    b"PK": "a ZIP archive; unpack it",
    b"PAR1": "Parquet; give it the suffix .parquet",
    b"\xff\xfe\0\0": "UTF-32; save it as UTF-8",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
_BINARY = (b"%PDF", b"\x89PNG", b"\xff\xd8", b"GIF8", b"\x7fELF")
_BEGINNING = 4096  # bytes that are looked at where a file is no text


def plain_parts(path: Path, eos: str | None) -> Iterator[Part]:
    """Pieces of a file, cut at the ends of lines; `eos` is how the end of a text is written in it, if it can be."""
    rest, begins = "", True
    for read in blocks_of(path):
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


def blocks_of(path: Path) -> Iterator[str]:
    """What a file holds, a piece at a time."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for piece in iter(lambda: file.read(_PIECE), ""):
                if "\0" in piece:
                    raise InvalidInputError(f"{path} holds a NUL, which no text does; take it out")
                yield piece
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as UTF-8 text: {reason_of(path, error)}") from None


def reason_of(path: Path, error: Exception) -> str:
    """Why a file is no text, and what to do."""
    if not isinstance(error, UnicodeDecodeError):
        return str(error)
    form = _other_form(path)
    wrong = error.object[error.start]  # the position is one in the piece that was read last
    return f"it {form}" if form else f"byte 0x{wrong:02x} is none of UTF-8 ({error.reason}); save it as UTF-8 first"


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def form_if_no_text(path: Path) -> str | None:
    """What a file is instead of text or a table, as far as its beginning tells."""
    try:
        begin = _beginning(path)
        if path.suffix.lower() == ".parquet" or begin.startswith(POINTER):
            return _other_form(path) if begin.startswith(POINTER) else None
        codecs.getincrementaldecoder("utf-8")().decode(begin)
        if begin.startswith(b"%PDF-"):  # of which there are such without a byte beyond ASCII
            return _other_form(path)
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
    if path.suffix.lower() == ".arrow":
        return "is a part of a data set in Arrow's form; give the folder that save_to_disk has written, or Parquet"
    if begin.startswith(_BINARY) or b"\0" in begin:
        few, many = sorted((begin[::2].count(0), begin[1::2].count(0)))
        if not begin.startswith(_BINARY) and many > len(begin) // 3 and few < many // 10:
            return "is UTF-16 by the look of it; save it as UTF-8 first"
        return "holds binary data; move it elsewhere, or give its text as .txt, .md, .jsonl, .csv or .parquet"
    return None
