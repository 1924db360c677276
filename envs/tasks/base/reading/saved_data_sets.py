"""Folders that `save_to_disk` of the library `datasets` has written, with their own splits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqil.errors import InvalidInputError, MissingExtraError, first_line

from .named_splits import SPLIT_OF, refuse_without_train

_DATASET = ("state.json", "dataset_dict.json")


def is_saved(path: Path) -> bool:
    """Whether a folder is a saved data set, of one split or several."""
    return any((path / name).is_file() for name in _DATASET)


def saved_records(path: Path) -> Iterator[tuple[int, str | None, Any]]:
    """Number, split and record of every row."""
    datasets = extra("datasets", path)
    for state in sorted(path.rglob("state.json")):
        _refuse_empty(path, state)
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever a folder may hold breaks the library anywhere
        raise InvalidInputError(
            f"{path} cannot be read as a saved data set: {first_line(error)}; restore what lacks, or save it anew"
        ) from None
    parts = dict(found) if isinstance(found, dict) else {"": found}
    unknown = [name for name in parts if name not in SPLIT_OF]
    if unknown and len(parts) > 1:
        raise InvalidInputError(
            f"{path} has a split {unknown[0]!r}, which is none of {', '.join(SPLIT_OF)}: its texts would be among "
            "those of training; rename it, or give its folder alone"
        )
    refuse_without_train(str(path), {SPLIT_OF[name] for name in parts if name in SPLIT_OF})
    for name, rows in parts.items():
        if not len(rows):
            raise _of_no_rows(path, name)
        for number, record in enumerate(rows, 1):
            yield number, SPLIT_OF.get(name), record


def _refuse_empty(path: Path, state: Path) -> None:
    """A data set that was made of nothing has no file of rows, and `datasets` breaks at it."""
    try:
        files = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # which `datasets` says, too
    if files == []:
        raise _of_no_rows(path, "" if state.parent == path else state.parent.name)


def _of_no_rows(path: Path, split: str) -> InvalidInputError:
    if not split:
        return InvalidInputError(f"{path} has no rows; give a data set that has some")
    rest = "put texts there" if split == "train" else "take it out, and others are held out in its place"
    return InvalidInputError(f"split {split!r} of {path} has no rows; {rest}")


def extra(module: str, path: Path) -> Any:
    """A module of the extra `datasets`."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"{path} needs the extra datasets; in the folder of seqil: pip install -e '.[datasets]'"
        ) from None
