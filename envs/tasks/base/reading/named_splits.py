"""Files whose names say which split they are: `train-00000-of-00002.parquet`, `test.jsonl`, `wiki.valid.txt`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seqil.errors import InvalidInputError, counted
from seqil.mdp.task import SPLITS

SPLIT_OF = {
    **{split: split for split in SPLITS},
    **dict.fromkeys(("validation", "val", "dev", "eval"), "valid"),
    **{"training": "train", "testing": "test"},
}
"""What the names that others give to splits mean here."""

_RECORDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_PLAIN = (".txt", ".tokens", ".raw")
_BETWEEN = re.compile(r"[^a-z]+")


class Source(NamedTuple):
    """A file to be read.

    Attributes:
        name: below the folder that was named.
        path: of the file.
        split: that its name says it is, where the folder has several; None: its documents are divided.
    """

    name: str
    path: Path
    split: str | None = None


def divided(folder: Path, found: Sequence[Source]) -> tuple[list[Source], list[str]]:
    """The files to be read with the splits that they name, and the names of those that are left out.

    Files of records count, or, where there are none, of plain text. Where one of them names a split, all of its suffix
    must, and what lies beside them, a README say, is no text to learn. One split alone is divided as any folder is.

    Raises:
        InvalidInputError: files that name a split beside such that do not, or several splits and none to train on.
    """
    records = [source for source in found if _suffix(source) in _RECORDS]
    data = records or [source for source in found if _suffix(source) in _PLAIN]
    forms = {_suffix(source) for source in data if _named(source.name)}
    data = [source for source in data if _suffix(source) in forms]
    named = {source.name: _named(source.name) for source in data}
    splits = {split for split in named.values() if split is not None}
    chance = splits == {"train"} or (not records and "train" not in splits)  # a text may be called so as any other
    if not splits or (chance and None in named.values()):
        return list(found), []
    unnamed = [name for name, split in named.items() if split is None]
    if unnamed:
        other = next(name for name, split in named.items() if split not in (None, "train"))
        raise InvalidInputError(
            f"folder {folder}: {other} names a split and {unnamed[0]} none, so texts that are held out would be among "
            f"those of training; rename {counted(len(unnamed), 'file')} (train-…, valid-…, test-…), or give one alone"
        )
    refuse_without_train(f"folder {folder}", splits)
    kept = [source._replace(split=named[source.name] if len(splits) > 1 else None) for source in data]
    return kept, [source.name for source in found if source.name not in named]


def refuse_without_train(place: str, splits: Collection[str]) -> None:
    """Of several splits one must be that of training."""
    if len(splits) > 1 and "train" not in splits:
        raise InvalidInputError(
            f"{place} has the splits {' and '.join(sorted(splits))} and none of training; name one train, or give one "
            "alone"
        )


def _suffix(source: Source) -> str:
    return source.path.suffix.lower()


def _named(name: str) -> str | None:
    """The split that a file's name or a folder's says, by the one word of it that is one."""
    path = PurePosixPath(name.lower())
    words = [*_BETWEEN.split(path.stem), *path.parts[:-1]]
    found = {SPLIT_OF[word] for word in words if word in SPLIT_OF}
    return found.pop() if len(found) == 1 else None
