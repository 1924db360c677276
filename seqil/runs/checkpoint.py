"""Run folders: settings, metrics and checkpoints that survive a crash, a full disk and a second writer.

    run/settings.json              what the run is, and the versions it was started with
    run/metrics.jsonl              one line per logged step
    run/tracked/                   what trackers of metrics write, if there are any
    run/best/                      the checkpoint that was best on held-out items, if these were measured
    run/checkpoints/000000500/     a Hugging Face checkpoint, seqil.json, state.safetensors, state.json, manifest.json

A checkpoint is written into a temporary folder, flushed to the disk, sealed by a manifest of its step and SHA-256 sums
and renamed: at every instant the last complete one is on the disk. No pickle anywhere. What is not named as these files
are is nobody's business here: it neither blocks a run nor is it removed.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..capacity import read_bytes, read_json
from ..durable import (
    contents,
    flush,
    flush_all,
    make_folder,
    naming,
    read_tensors,
    replace,
    taken_back,
    write_json,
)
from ..errors import CheckpointError, quoted
from ..policy.given.misnamed import no_run
from ..policy.saved.seals import check_manifest, sha256
from ..policy.token_policy import TokenPolicy
from .strict_json import sealed, unsealed

_TENSOR, _ITEMS = "__tensor__", "__items__"


class RunFolder:
    """One run on the disk. Open it for writing with `writing`; reading needs no lock.

    Args:
        path: the folder; it need not exist.
    """

    ours = True
    """Whether this process writes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.metrics = self.path / "metrics.jsonl"
        self.listeners: list[Callable[[Mapping[str, Any]], None]] = []

    @property
    def settings(self) -> dict[str, Any]:
        """What `start` was given: a dict with the run's own settings, a dict too, below `settings`."""
        if not (self.path / "settings.json").exists():
            raise CheckpointError(f"{self.path} is not the folder of a run: {no_run(self.path)}")
        found = read_json(self.path / "settings.json", f"{self.path} is not the folder of a run")
        if not isinstance(found.get("settings"), dict):
            raise CheckpointError(f"{self.path / 'settings.json'} holds no settings; restore it from a copy")
        return found

    @contextmanager
    def writing(self) -> Iterator[RunFolder]:
        """Hold the folder's lock: a second writer is refused at once, and a crash releases it."""
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.path} is a file; choose another --out")
        self._listed()
        with naming(self.path, "choose another --out"):
            make_folder(self.checkpoints)
            lock = (self.path / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CheckpointError(
                    f"{self.path} is being written by another process; choose another --out"
                ) from None
            self._sweep()
            yield self

    def _sweep(self) -> None:
        """What a crash left: the half of a new folder goes, and one that had to make room comes back."""
        for before in (*self._named(r"\.\d{9}\.before"), self.path / ".best.before"):
            final = before.with_name(before.name.removesuffix(".before").removeprefix("."))
            if before.is_dir() and not final.exists():
                before.rename(final)
        for orphan in (*self._named(r"\.\d{9}(\.before)?"), self.path / ".best", self.path / ".best.before"):
            shutil.rmtree(orphan, ignore_errors=True)

    def start(self, settings: Mapping[str, Any]) -> None:
        """Record the settings of a new run."""
        if (self.path / "settings.json").exists():
            raise CheckpointError(f"{self.path} already holds a run; add --resume to go on, or choose another --out")
        with naming(self.path / "settings.json", "free some space, or choose another --out"):
            write_json(self.path / "settings.json", settings)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one line of metrics, and tell it to the `listeners`."""
        with naming(self.metrics, self._remedy), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(metrics)) + "\n")
        for listener in self.listeners:
            listener(metrics)

    @property
    def _remedy(self) -> str:
        if not self._named(r"\d{9}"):
            return "there was no checkpoint yet; free some space, or choose another --out"
        go_on = f"seqil train --out {quoted(self.path)} --resume"
        return f"earlier checkpoints are intact; mend the disk and go on with: {go_on}"

    def save(self, step: int, policy: TokenPolicy, state: Any) -> Path:
        """Write a checkpoint; the one before stays too, older ones go.

        Args:
            step: names the checkpoint.
            policy: what users load (`TokenPolicy.from_pretrained`).
            state: nested dicts and lists of tensors and plain values, to go on from.

        Raises:
            CheckpointError: the disk refused; every earlier checkpoint is untouched.
        """
        final, temporary = self.checkpoints / f"{step:09d}", self.checkpoints / f".{step:09d}"
        with naming(final, self._remedy), taken_back(temporary):
            if self.metrics.exists():
                flush(self.metrics)
                flush(self.path)  # that lists them
            temporary.mkdir()
            policy.save_pretrained(temporary)
            tensors: dict[str, Tensor] = {}
            write_json(temporary / "state.json", _split(state, tensors))
            save_file(tensors, temporary / "state.safetensors")
            flush_all(temporary)
            files = [file for file in contents(temporary) if file.is_file()]
            sums = {file.relative_to(temporary).as_posix(): sha256(file) for file in files}
            sizes = {name: (temporary / name).stat().st_size for name in sums}
            write_json(temporary / "manifest.json", {"step": step, "files": sums, "bytes": sizes})
            _put(temporary, final)
        for old in self.complete()[:-2]:
            self._remove(old)
        return final

    def _remove(self, checkpoint: Path) -> None:
        """Under the name of an unfinished one first, which the next writer sweeps where a crash leaves half of it."""
        unfinished = checkpoint.with_name(f".{checkpoint.name}")
        try:
            checkpoint.rename(unfinished)
        except OSError:
            return
        shutil.rmtree(unfinished, ignore_errors=True)

    def latest(self) -> Path:
        """The newest checkpoint, every file of it checked against its sum."""
        found = [path for path in self._listed() if re.fullmatch(r"\d{9}", path.name)]
        if not found:
            raise CheckpointError(
                f"{self.path} holds no checkpoint yet; go on with: seqil train --out {quoted(self.path)} --resume"
            )
        if found[-1] not in self.complete():  # a crash leaves none like that: a folder has its manifest before its name
            raise CheckpointError(
                f"{found[-1]} is no whole checkpoint: its manifest.json is missing; restore it from a copy, or remove "
                "it to go on from the one before"
            )
        check_manifest(found[-1])
        return found[-1]

    def load(self) -> tuple[int, Any]:
        """Step and state of the newest checkpoint."""
        folder = self.latest()
        sketch = read_json(folder / "state.json", "the checkpoint is incomplete")
        tensors = read_tensors(folder / "state.safetensors")
        try:
            state = _join(sketch, tensors)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{folder} holds no state to go on from ({error!r}); restore it") from None
        return int(folder.name), state

    def identity(self) -> Any:
        """What the newest checkpoint says that it is of, or None; no tensor is read for it."""
        sketch = read_json(self.latest() / "state.json", "the checkpoint is incomplete")
        try:
            return _join(dict(sketch[_ITEMS])["identity"], {})
        except (KeyError, TypeError, ValueError, RecursionError):
            return None

    def rewind(self, step: int) -> dict[str, Any]:
        """Drop the metrics of later steps and what a crash left of a line; return the last that stay, or {}."""
        if not self.metrics.exists():
            return {}
        kept = [line for line in read_bytes(self.metrics).splitlines() if _step(line) <= step]
        with naming(self.metrics, self._remedy):
            replace(self.metrics, b"".join(line + b"\n" for line in kept))
        return json.loads(kept[-1]) if kept else {}

    def best(self) -> dict[str, Any] | None:
        """What `keep` was told of the best policy so far, or None.

        Raises:
            CheckpointError: it is missing, or is not what was written.
        """
        file = self.path / "best" / "best.json"
        if not file.parent.exists():
            return None
        about = read_json(file, f"{file.parent} is damaged")
        about.pop("sha256", None)  # an older one has none
        numbers = isinstance(about.get("step"), int) and all(map(_is_number, about.values()))
        if not numbers or unsealed(read_bytes(file)) is None:
            raise CheckpointError(f"{file} is not what was written; restore it, or remove {file.parent}")
        return about

    def keep(self, policy: TokenPolicy, about: Mapping[str, Any]) -> None:
        """Write the best policy so far, in place of the one before.

        Raises:
            CheckpointError: the disk refused; the one before is untouched.
        """
        final, temporary = self.path / "best", self.path / ".best"
        with naming(final, self._remedy), taken_back(temporary):
            temporary.mkdir()
            policy.save_pretrained(temporary)
            replace(temporary / "best.json", sealed(json.dumps(about)).encode())
            flush_all(temporary)
            _put(temporary, final)

    def discard(self) -> None:
        """Take back a run that ended before anything was measured or saved, so that a corrected command may start."""
        saved = self.complete()
        if self.metrics.exists() or any(int(checkpoint.name) for checkpoint in saved):
            return
        for start in saved:
            shutil.rmtree(start)
        for file in ("settings.json", ".lock"):
            (self.path / file).unlink(missing_ok=True)
        shutil.rmtree(self.path / "tracked", ignore_errors=True)
        with suppress(OSError):  # other files lie there
            self.checkpoints.rmdir()
            self.path.rmdir()

    def complete(self) -> list[Path]:
        """Checkpoints that were written to their end, oldest first."""
        return [folder for folder in self._named(r"\d{9}") if os.path.lexists(folder / "manifest.json")]

    def _named(self, pattern: str) -> list[Path]:
        return [p for p in self._listed() if re.fullmatch(pattern, p.name) and p.is_dir() and not p.is_symlink()]

    def _listed(self) -> list[Path]:
        if os.path.lexists(self.checkpoints) and not self.checkpoints.is_dir():
            raise CheckpointError(f"{self.checkpoints} is no folder; restore it from a copy, or remove it")
        return sorted(self.checkpoints.iterdir()) if self.checkpoints.is_dir() else []


class WatchedFolder(RunFolder):
    """The folder of a run that another process writes; what would change it does nothing."""

    ours = False

    @contextmanager
    def writing(self) -> Iterator[RunFolder]:
        """Without a lock."""
        yield self

    def start(self, settings: Mapping[str, Any]) -> None:
        """Nothing."""

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Nothing."""

    def save(self, step: int, policy: TokenPolicy, state: Any) -> Path:
        """Where the other process does."""
        return self.checkpoints / f"{step:09d}"

    def rewind(self, step: int) -> dict[str, Any]:
        """Nothing."""
        return {}

    def discard(self) -> None:
        """Nothing."""


def _put(temporary: Path, final: Path) -> None:
    """Give a finished folder its name; what had it goes when that is on the disk."""
    before, there = final.with_name(f".{final.name}.before"), final.exists()
    if there:
        shutil.rmtree(before, ignore_errors=True)
        final.rename(before)
    temporary.rename(final)
    flush(final.parent)
    if there:
        shutil.rmtree(before, ignore_errors=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")


def _split(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON with references in place of tensors, which go to `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {_ITEMS: [[key, _split(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_split(item, tensors) for item in value]
    return value


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _join(item, tensors) for key, item in value[_ITEMS]}
    return [_join(item, tensors) for item in value] if isinstance(value, list) else value


def versions() -> dict[str, str]:
    """What a run was made with."""
    import platform
    from importlib.metadata import version

    import tensordict
    import torchrl
    import transformers

    found = {"seqil": version("seqil"), "python": platform.python_version()}
    return found | {m.__name__: str(m.__version__) for m in (torch, tensordict, torchrl, transformers)}
