"""Sums of the files of a folder, so that a damaged one is named before it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...capacity import read_bytes, reading, refuse_pointer
from ...durable import contents, naming, replace
from ...errors import CheckpointError, quoted

SETTINGS = "seqil.json"
_SUMS = "sha256"
_PROSE = "README.md"  # a model card is edited on purpose, and changes no number


def sums_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder, by its path from there.

    The model card, `seqil.json` itself, and hidden files are not among them.
    """
    found = {file.relative_to(folder): file for file in contents(folder) if file.is_file()}
    kept = {name: file for name, file in found.items() if name.as_posix() not in (SETTINGS, _PROSE)}
    return {name.as_posix(): sha256(file) for name, file in kept.items() if not _hidden(name)}


def sha256(file: Path) -> str:
    """Of a file, read in pieces; a pointer of Git LFS is refused, which is not the file."""
    with reading(file), file.open("rb") as opened:
        refuse_pointer(file)
        return hashlib.file_digest(opened, "sha256").hexdigest()


def weights_of(policy: nn.Module) -> str:
    """SHA-256 of the names and values of all weights, wherever they lie."""
    digest = hashlib.sha256()
    for name, tensor in sorted(policy.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def seal(folder: str | Path) -> int:
    """Write into `seqil.json` what the files of its folder are now, for those who edited them on purpose.

    Returns:
        The number of files.

    Raises:
        CheckpointError: no `seqil.json`, or a damaged one.
    """
    path = Path(folder) / SETTINGS
    try:
        said = json.loads(read_bytes(path).decode())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; {folder} was not written by TokenPolicy.save_pretrained") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore it or save the policy again") from None
    if not isinstance(said, dict):
        raise CheckpointError(f"{path} is damaged; restore it or save the policy again")
    return write_sealed(Path(folder), said)


def write_sealed(folder: Path, said: Mapping[str, Any]) -> int:
    """Write `seqil.json`, with the sums of the files beside it; their number."""
    sums = sums_of(folder)
    text = json.dumps({**said, _SUMS: sums}, indent=2) + "\n"
    with naming(folder / SETTINGS, "free some space and try again"):
        replace(folder / SETTINGS, text.encode())
    return len(sums)


def check(folder: Path, said: Mapping[str, Any]) -> None:
    """Compare the files of a folder with the sums in its `seqil.json`; older ones have none.

    Raises:
        CheckpointError: naming the file that is missing or is not what was written.
    """
    sums = said.get(_SUMS, {})
    if not isinstance(sums, dict):
        raise CheckpointError(f"{folder / SETTINGS}: {_SUMS} is not a table of files; restore it")
    for name, expected in sums.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; restore it, or {_on_purpose(folder)}")
        if sha256(file) != expected:
            raise CheckpointError(
                f"{file} is damaged or was edited: its SHA-256 is not that in {SETTINGS}; restore it, or "
                f"{_on_purpose(folder)}"
            )


def _hidden(name: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in name.parts)


def _on_purpose(folder: Path) -> str:
    return f"if you changed it on purpose: seqil seal {quoted(folder)}"
