"""`results.jsonl`: one line per run, appended and flushed to the disk, by one writer at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqil.errors import InvalidInputError
from seqil.runs import results_file, strict_json
from seqil.runs.results_file import Record as Record


def read(results: Path) -> list[Record]:
    """All records, in the order of the file; lines that are none, or not sound ones, are left out.

    Which are not sound `results_file.read` says, and the command line with it.
    """
    return results_file.read(results).records


@contextmanager
def appending(results: Path) -> Iterator[Callable[[Record], None]]:
    """A function that appends a record, while the lock of the folder is held; a crash releases it.

    Raises:
        InvalidInputError: another process holds it.
    """
    results.parent.mkdir(parents=True, exist_ok=True)
    with lock_of(results).open("w") as lock, results.open("ab") as file:
        if not _locked(lock):
            raise InvalidInputError(
                f"{results} is being written by another process; wait for it, or choose another --out"
            )
        _end_last_line(results, file)

        def append(record: Record) -> None:
            file.write(strict_json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

        yield append


def being_written(results: Path) -> bool:
    """Whether a process holds the lock."""
    if not lock_of(results).exists():
        return False
    with lock_of(results).open("a") as lock:
        return not _locked(lock)


def lock_of(results: Path) -> Path:
    """The file that a writer locks."""
    return results.with_name(".lock")


def _locked(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_last_line(results: Path, file: Any) -> None:
    """What a crash cut short must not swallow the next record."""
    if results.stat().st_size:
        with results.open("rb") as read_back:
            read_back.seek(-1, os.SEEK_END)
            if read_back.read() != b"\n":
                file.write(b"\n")
