"""Files that are written whole or not at all, and are there after a loss of power."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .errors import CheckpointError, first_line
from .errors.tensor_files import naming_tensors

_FULL = "No space left"


class UnwrittenError(CheckpointError):
    """Something that the disk refused.

    Attributes:
        reason: of the disk.
    """

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"cannot write {path}: {reason}{_room(path, reason)}; {remedy}")
        self.reason = reason


@contextmanager
def naming(path: Path, remedy: str) -> Iterator[None]:
    """Say of an error of the disk what was being written, why it was not, and what to do; the outermost has its say.

    Raises:
        UnwrittenError: in place of any error of the disk.
    """
    try:
        yield
    except UnwrittenError as error:
        raise UnwrittenError(path, error.reason, remedy) from error
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise UnwrittenError(path, reason, remedy) from error


def _room(path: Path, reason: str) -> str:
    """How much is free, where that is what lacks."""
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if _FULL not in reason or there is None:
        return ""
    with suppress(OSError):
        return f" ({shutil.disk_usage(there).free / 2**20:,.0f} MiB are free there)"
    return ""


def flush(path: Path) -> None:
    """Hand a file, or the list of names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def contents(folder: Path) -> list[Path]:
    """Everything in a folder and in those below it, sorted; one that cannot be listed is an OSError.

    `Path.rglob` takes it for empty.
    """

    def fail(error: OSError) -> None:
        raise error

    walked = os.walk(folder, onerror=fail)
    return sorted(Path(place, name) for place, folders, files in walked for name in (*folders, *files))


def flush_all(folder: Path) -> None:
    """A folder with everything in it."""
    for path in (*contents(folder), folder):
        flush(path)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Those of a safetensors file, or what `naming_tensors` raises."""
    with naming_tensors(file):
        found: dict[str, Tensor] = load_file(file)
    return found


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    replace(path, (json.dumps(value, indent=1) + "\n").encode())


def make_folder(path: Path) -> None:
    """A folder and those above it, each listed on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)


def replace(path: Path, content: bytes) -> None:
    """Replace a file, whole or not at all; a device, /dev/stdout say, is written to."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    temporary = path.with_name(f".{path.name}.tmp")
    listed = os.open(path.parent, os.O_RDONLY)  # which may be refused, and then nothing is there yet
    try:
        temporary.write_bytes(content)
        flush(temporary)
        temporary.replace(path)
        os.fsync(listed)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(listed)


def write_asked(path: Path, content: str | bytes) -> None:
    """Write a file that a user asked for, text in UTF-8, whole or not at all.

    Raises:
        UnwrittenError: the disk refused; what was there is untouched.
    """
    with naming(path, "free some space, or name another file"):
        replace(path, content.encode() if isinstance(content, str) else content)


@contextmanager
def taken_back(temporary: Path) -> Iterator[None]:
    """A folder that is removed again where it was not finished."""
    if temporary.exists():
        shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
