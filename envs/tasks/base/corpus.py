"""Ids of documents in one long array: in memory, or, if they are many, in a file that is mapped into it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seqil.capacity import read_bytes
from seqil.durable import contents, naming
from seqil.errors import InvalidInputError, SeqilError
from seqil.mdp.task import SPLITS

from .reading.documents import files_of, parts_of
from .reading.named_fields import Chat
from .reading.named_splits import Source
from .sampled import Ints

_LOOKED_AT = 1 << 16  # characters
_KEPT = 1 << 24  # bytes of files from which on the ids are kept on the disk
_FORM = "3"  # of the files there
_IDS, _DOCUMENTS, _SUMS = "ids", "documents.npy", "sums.json"
_ELSEWHERE = "set TMPDIR to a folder of your own"
_BLANK = 8  # tokens of a document that may be nothing but white space

OWN, BY_HASH = 0, -1


class Encoding(Protocol):
    """How text becomes ids.

    Attributes:
        eos: id of the end of a text, and `eos_text`, how it is written in text; None: it cannot be.
        begin: ids that every document begins with.
        dtype: of ids in a file.
    """

    eos: int
    eos_text: str | None
    begin: list[int]
    dtype: type[np.unsignedinteger[Any]]

    @property
    def identity(self) -> str:
        """Equal for encodings that give equal ids."""

    def encode(self, text: str) -> Sequence[int]:
        """Ids of a piece of text."""

    def pair(self, prompt: str | Chat, completion: str | Chat) -> tuple[Sequence[int], Sequence[int]]:
        """Ids of a prompt and of what answers it."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text."""


class Corpus(NamedTuple):
    """Documents.

    Attributes:
        ids: of all documents, one after another.
        documents: int64 [D, 6]: where each begins, tokens of its own prompt (-1: it has none), tokens in all, file,
            number in the file, and its own split (`BY_HASH`: none).
        names: of the files.
        left_out: names of files that were not read.
        named: splits that names of files say.
    """

    ids: NDArray[np.unsignedinteger[Any]]
    documents: Ints
    names: list[str]
    left_out: list[str]
    named: frozenset[str] = frozenset()


def read_corpus(path: Path, field: str | None, encoding: Encoding) -> Corpus:
    """All documents of a file or folder; large ones are kept in the folder for temporary files, by content."""
    files, left_out = files_of(path)
    names, named = [file.name for file in files], frozenset(file.split for file in files if file.split is not None)
    size = sum(p.stat().st_size for file in files for p in _inside(file.path))
    if size < _KEPT:
        memory = io.BytesIO()
        documents = _write(files, field, encoding, memory)
        return Corpus(np.frombuffer(memory.getbuffer(), encoding.dtype), documents, names, left_out, named)
    folder = _cache() / _key(files, field, encoding)
    if not _whole(folder):
        _keep(folder, lambda ids: _write(files, field, encoding, ids))
    else:  # what a tokenizer leaves out is looked for anew
        texts = (str(part.text) for part in parts_of(files[0].path, field, encoding.eos_text) if part.prompt is None)
        encoding.encode(next(filter(None, texts), "")[:_LOOKED_AT])
    documents = np.load(folder / _DOCUMENTS)
    ids = np.memmap(folder / _IDS, encoding.dtype, "r") if len(documents) else np.zeros(0, encoding.dtype)
    return Corpus(ids, documents, names, left_out, named)


def _inside(path: Path) -> list[Path]:
    return [p for p in contents(path) if p.is_file()] if path.is_dir() else [path]


def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"seqil-text-{os.getuid()}"
    with naming(folder, _ELSEWHERE):
        folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise InvalidInputError(f"{folder} belongs to someone else; {_ELSEWHERE}")
    return folder


def _key(files: list[Source], field: str | None, encoding: Encoding) -> str:
    digest = hashlib.sha256(repr((_FORM, field, encoding.identity, np.dtype(encoding.dtype).str)).encode())
    for name, path, split in files:
        for file in _inside(path):
            with file.open("rb") as content:
                digest.update(
                    repr((name, split, file.name, hashlib.file_digest(content, "sha256").hexdigest())).encode()
                )
    return digest.hexdigest()


def _whole(folder: Path) -> bool:
    """Whether what was kept is there as it was written; what is not is written anew."""
    try:
        said = json.loads(read_bytes(folder / _SUMS))
        return bool(said == {name: _sum_of(folder / name) for name in (_IDS, _DOCUMENTS)})
    except (OSError, ValueError, SeqilError):
        return False


def _sum_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _keep(folder: Path, write: Callable[[BinaryIO], Ints]) -> None:
    """Write ids and documents, whole or not at all; of what was damaged nothing is left."""
    with naming(folder, f"free some space, or {_ELSEWHERE}"):
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        try:
            with (temporary / _IDS).open("wb") as ids:
                documents = write(ids)
            np.save(temporary / _DOCUMENTS, documents)
            sums = {name: _sum_of(temporary / name) for name in (_IDS, _DOCUMENTS)}
            (temporary / _SUMS).write_text(json.dumps(sums))
            if not _whole(folder):  # which another process may have written by now
                if folder.is_file() or folder.is_symlink():
                    folder.unlink()
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write(files: list[Source], field: str | None, encoding: Encoding, target: BinaryIO) -> Ints:
    writer = _Writer(target, encoding)
    for number, (_, path, named) in enumerate(files):
        writer.file, writer.counted = number, 0
        for part in parts_of(path, field, encoding.eos_text):
            split = part.split or named
            own = BY_HASH if split is None else SPLITS.index(split)
            try:
                if part.prompt is None:
                    writer.text(str(part.text), part.number, own, part.last)
                else:
                    writer.pair(*encoding.pair(part.prompt, part.text), part.number, own)
            except InvalidInputError as error:
                raise InvalidInputError(f"record {part.number} of {path}: {error}") from None
            except (UnicodeEncodeError, TypeError):  # half a surrogate pair
                raise InvalidInputError(
                    f"record {part.number} of {path} holds half a character, a surrogate alone such as U+D83D; take "
                    "it out"
                ) from None
    return np.frombuffer(writer.rows, np.int64).reshape(-1, 6) if len(writer.rows) else np.zeros((0, 6), np.int64)


class _Writer:
    """Writes ids and notes where documents begin and end."""

    def __init__(self, target: BinaryIO, encoding: Encoding) -> None:
        self.target, self.encoding = target, encoding
        self.rows = array("q")
        self.file = self.counted = self.begun = self.at = 0
        self.head: list[int] = []

    def text(self, text: str, number: int, own: int, last: bool) -> None:
        """A piece of a document, or several, with `eos` between them."""
        ids = np.asarray(self.encoding.encode(text), dtype=np.int64)
        for more, piece in enumerate(_between(ids, self.encoding.eos)):
            if more:
                self._end(-1, number, own)
            if len(piece) and self.at == self.begun:
                self._put(np.asarray(self.encoding.begin, dtype=np.int64))
            self._put(piece)
        if last:
            self._end(-1, number, own)

    def pair(self, prompt: Sequence[int], completion: Sequence[int], number: int, own: int) -> None:
        """A prompt and what answers it."""
        self._put(np.asarray([*prompt, *completion], dtype=np.int64))
        self._end(len(prompt), number, own)

    def _put(self, ids: Ints) -> None:
        if len(self.head) <= _BLANK:
            self.head += ids[: _BLANK + 1].tolist()
        self.target.write(ids.astype(self.encoding.dtype).tobytes())
        self.at += len(ids)

    def _end(self, prompt: int, number: int, own: int) -> None:
        length = self.at - self.begun
        blank = prompt < 0 and len(self.head) <= _BLANK and not self.encoding.decode(self.head).strip()
        if length and not blank:
            self.rows.extend((self.begun, prompt, length, self.file, number or self.counted, own))
            self.counted += 1
        self.begun, self.head = self.at, []


def _between(ids: Ints, eos: int) -> Iterator[Ints]:
    """What stands before, between and after the ends of texts."""
    begin = 0
    for at in np.flatnonzero(ids == eos).tolist():
        yield ids[begin:at]
        begin = at + 1
    yield ids[begin:]
