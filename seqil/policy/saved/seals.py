"""Sums of the files of a folder, so that a damaged one is named before it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...capacity import read_bytes, read_json, reading, refuse_pointer
from ...durable import contents, naming, replace
from ...errors import CheckpointError, quoted

SETTINGS = "seqil.json"
_SUMS, _SIZES = "sha256", "bytes"
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


def is_as_written(file: Path, digest: str, size: Any = None) -> bool:
    """Whether a file has that sum; one of another size, where that is known, is not read for it."""
    refuse_pointer(file)
    return (size is None or file.stat().st_size == size) and sha256(file) == digest


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
    sizes = {name: (folder / name).stat().st_size for name in sums}
    text = json.dumps({**said, _SUMS: sums, _SIZES: sizes}, indent=2) + "\n"
    with naming(folder / SETTINGS, "free some space and try again"):
        replace(folder / SETTINGS, text.encode())
    return len(sums)


def check(folder: Path, said: Mapping[str, Any]) -> None:
    """Compare the files of a folder with the sums in its `seqil.json`; older ones have none.

    Raises:
        CheckpointError: naming the file that is missing or is not what was written.
    """
    sums, sizes = said.get(_SUMS, {}), said.get(_SIZES, {})
    for name, table in ((_SUMS, sums), (_SIZES, sizes)):
        if not isinstance(table, dict):
            raise CheckpointError(f"{folder / SETTINGS}: {name} is not a table of files; restore it")
    for name, expected in sums.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; restore it, or {_on_purpose(folder)}")
        if not is_as_written(file, expected, sizes.get(name)):
            raise CheckpointError(
                f"{file} is damaged or was edited: its SHA-256 is not that in {SETTINGS}; restore it, or "
                f"{_on_purpose(folder)}"
            )


def check_manifest(folder: Path) -> None:
    """Refuse a checkpoint that was renamed, or with a file that is missing, foreign or changed by a single bit."""
    manifest = read_json(folder / "manifest.json", f"{folder} is not a checkpoint")
    step, sums, sizes = manifest.get("step"), manifest.get("files"), manifest.get("bytes", {})
    if not isinstance(step, int) or not isinstance(sums, dict) or not isinstance(sizes, dict):
        raise CheckpointError(f"{folder / 'manifest.json'} names no step and files; restore the folder from a copy")
    if f"{step:09d}" != folder.name:
        raise CheckpointError(f"{folder} holds the checkpoint of step {step}: it was renamed; give it its name back")
    within = {p.relative_to(folder): p for p in contents(folder) if not p.name.startswith(".")}
    found = {name.as_posix() for name, p in within.items() if not p.is_dir() or name.as_posix() in sums}
    found.discard("manifest.json")
    for name in sorted(found ^ set(sums)):
        raise CheckpointError(f"{folder / name} is {'foreign' if name in found else 'missing'}; restore the folder")
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is not a regular file; restore it from a copy")
        if not is_as_written(folder / name, digest, sizes.get(name)):
            raise CheckpointError(f"{folder / name} is damaged (its SHA-256 differs); restore it from a copy")


def _hidden(name: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in name.parts)


def _on_purpose(folder: Path) -> str:
    return f"if you changed it on purpose: seqil seal {quoted(folder)}"
