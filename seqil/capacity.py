"""What this machine can hold and read: estimated first, refused with the estimate."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import CheckpointError, InvalidInputError
from .errors.limits import check_memory as check_memory
from .errors.limits import present_memory as present_memory

POINTER = b"version https://git-lfs.github.com/spec/v1"
"""How a file begins that Git LFS has put in the place of another one."""
MOST_BYTES = "SEQIL_MOST_BYTES"
"""Environment variable: the largest file that is read whole."""
LOGIT_BYTES = "SEQIL_LOGIT_BYTES"
"""Environment variable: memory for logits that are kept for the backward pass; what does not fit is computed again."""
_DIGITS = 18
_USUAL = {MOST_BYTES: 2**30, LOGIT_BYTES: 2**28}


def limit(name: str) -> int:
    """One of these, in bytes.

    Raises:
        InvalidInputError: the environment has something else than a number of bytes.
    """
    said = os.environ.get(name)
    if said is None:
        return _USUAL[name]
    if not (said.isascii() and said.isdecimal() and len(said) <= _DIGITS):
        raise InvalidInputError(f"{name}={said!r:.40} is no number of bytes; give digits alone, {_USUAL[name]} say")
    return int(said)


def refuse_pointer(path: Path) -> None:
    """Refuse a file whose content was left behind when its repository was cloned.

    Raises:
        InvalidInputError: it is a pointer of Git LFS.
    """
    with reading(path), path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InvalidInputError(
                f"{path} is a pointer of Git LFS, not the file itself; fetch that: git lfs pull, in its repository"
            )


def check_file(path: Path) -> None:
    """Refuse what would never end or fill the memory: a pipe, a device, a file of more than `SEQIL_MOST_BYTES`.

    Raises:
        InvalidInputError: it is no regular file, cannot be read, is too large, or a pointer of Git LFS.
        FileNotFoundError: there is none.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise
    except OSError as error:  # a link to itself, say
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}; put a regular file there") from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{path} is not a regular file; put one there")
    most = limit(MOST_BYTES)
    if found.st_size > most:
        raise InvalidInputError(
            f"{path} has {found.st_size:,} bytes, more than {most:,}; it is damaged, or raise {MOST_BYTES}"
        )
    with reading(path):
        refuse_pointer(path)


def read_bytes(path: Path) -> bytes:
    """The content of a file that `check_file` has nothing against."""
    check_file(path)
    with reading(path):
        return path.read_bytes()


def read_json(path: Path, complaint: str) -> dict[str, Any]:
    """Parse a JSON file that holds an object, or say in one line what is wrong with it."""
    try:
        found = json.loads(read_bytes(path).decode())
    except FileNotFoundError:
        raise CheckpointError(f"{complaint}: {path.name} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{complaint}: {path} cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{complaint}: {path} holds no JSON object")
    return found


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file in an error of the disk, which does not name it once the file is open."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
