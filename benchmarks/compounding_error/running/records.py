"""`results.jsonl`: one line per run, appended and flushed to the disk, by one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from seqil.capacity import read_bytes
from seqil.durable import flush, make_folder, naming
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
    with naming(results, "choose another --out"):
        make_folder(results.parent)
        lock = lock_of(results).open("w")
    with lock:
        if not _locked(lock):
            raise InvalidInputError(
                f"{results} is being written by another process; wait for it, or choose another --out"
            )
        with naming(results, "choose another --out"):
            results.touch()
            _end_last_line(results)
            flush(results.parent)
            file = results.open("ab", buffering=0)
        with file:
            yield partial(_append, results, file)


def _append(results: Path, file: FileIO, record: Record) -> None:
    """Whole, or the file is as before."""
    line, before = strict_json.sealed(strict_json.dumps(record)).encode() + b"\n", results.stat().st_size
    with naming(results, "mend the disk and run again to go on"):
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            os.truncate(results, before)
            raise


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


def _end_last_line(results: Path) -> None:
    """What a crash cut short was no record yet, and must not swallow the next one."""
    content = read_bytes(results)
    last = content.rfind(b"\n") + 1
    if results_file.is_whole(content[last:]):
        with results.open("ab") as file:
            file.write(b"\n")
    elif last < len(content):
        os.truncate(results, last)
