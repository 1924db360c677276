"""What the library of tensors complains of, with the name of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from . import CheckpointError, first_line


@contextmanager
def naming_tensors(file: Path, remedy: str = "restore it") -> Iterator[None]:
    """Name a safetensors file, whose library says of one that may not be opened no more than RuntimeError.

    Raises:
        CheckpointError: it is not there, may not be read, or is damaged.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{file} is missing or damaged ({first_line(error)}); {remedy}") from None
