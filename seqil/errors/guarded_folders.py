"""Folders that hold files of their own: runs, checkpoints, saved models, records of studies."""

from __future__ import annotations

import os
from pathlib import Path

from . import InvalidInputError

_RUN = frozenset(("settings.json", "metrics.jsonl", "checkpoints", "tracked", "best", ".lock"))
_STUDY = frozenset(("results.jsonl", "kept", ".lock"))
_STREAMS = (Path("/dev"), Path("/proc"))  # /dev/stdout may be a pipe, and is meant to be one


def refuse_guarded(option: str, path: Path, *, folder: bool = False) -> None:
    """Refuse to write where it would replace or break what a run, a saved model or a study holds, or wait for a reader.

    Args:
        option: that names the path, for the message.
        path: of a file, or of a folder that is made.
        folder: which. Below a run no folder is made at all, and files only by names that the run does not use; in the
            folder of a saved model no file is replaced, and in a checkpoint none is made.

    Raises:
        InvalidInputError: one line that names what the path lies in.
    """
    there = Path(os.path.abspath(path))
    if not folder and there.is_fifo() and not any(there.is_relative_to(root) for root in _STREAMS):
        raise InvalidInputError(f"{option} {path} is a pipe; name a file, or /dev/stdout")
    if any(there.is_relative_to(root) for root in _STREAMS):
        return
    whole = there.parent.resolve() / there.name
    for above in whole.parents:
        name = whole.relative_to(above).parts[0]
        if (above / "seqil.json").is_file() and ((above / "manifest.json").is_file() or whole.is_file()):
            raise InvalidInputError(f"{option} {path} lies in the folder of a saved model, {_choose(above)}")
        if (above / "settings.json").is_file() and (above / "checkpoints").is_dir() and (folder or name in _RUN):
            raise InvalidInputError(f"{option} {path} lies in the folder of a run, {_choose(above)}")
        if (above / "results.jsonl").is_file() and not folder and name in _STUDY:
            raise InvalidInputError(f"{option} {path} lies in the folder of a study, {_choose(above)}")


def refuse_among_runs(option: str, path: Path) -> None:
    """Refuse the folder of a new run in which other runs lie: what is there is a run's own from then on.

    Raises:
        InvalidInputError: one line that names one of them.
    """
    if os.path.exists(path / "settings.json") or not os.path.isdir(path):
        return
    for below in sorted(path.iterdir()):  # of what may not be read there are no files here
        if os.path.isfile(below / "settings.json") and os.path.isdir(below / "checkpoints"):
            raise InvalidInputError(f"{option} {path} holds runs, {below} say; name a folder of its own")


def _choose(folder: Path) -> str:
    return f"{folder}, which holds its own files alone; choose another place"
