"""Paths that were named as what they are not: what they are instead, and what to name."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import quoted
from .descriptions import CONFIG, json_object

_ADAPTERS, _POLICY, _MANIFEST, _BEST, _RUN = (
    "adapter_config.json", "seqil.json", "manifest.json", "best.json", "settings.json"
)  # fmt: skip


def no_run(path: Path) -> str:
    """What a path is that was named as a run, and what to name instead."""
    if not path.is_dir():
        return "it is a file; name the folder" if path.exists() else "there is no such folder"
    if (path / _BEST).exists():
        return f"it holds the best checkpoint of one; name {path.parent}, and --best"
    if (path / _MANIFEST).exists() and (path.parent.parent / _RUN).exists():
        return f"it is a checkpoint of one; name {path.parent.parent}"
    if (path.parent / _RUN).exists():
        return f"it lies in one; name {path.parent}"
    if (path / _POLICY).exists() or (path / CONFIG).exists():
        return (
            "it holds a model, without a task to measure it on; name the run that it was exported from, or begin one "
            f"with it: seqil train --model {quoted(path)}"
        )
    return f"{_RUN} is missing"


def no_model(path: Path) -> str:
    """What a path is that was named as the folder of a model, and what to name instead."""
    if not path.is_dir():
        return "it is a file; name its folder" if path.exists() else "there is no such folder; nothing is downloaded"
    runs = [folder for folder in (path, path.parent) if (folder / _RUN).exists()]
    if runs:
        found = _checkpoints(runs[0])
        newest = f"give its newest checkpoint, --model {quoted(found[-1])}, or " if found else ""
        return f"it is of a run; {newest}go on with it: seqil train --out {quoted(runs[0])} --resume"
    if (path / _ADAPTERS).exists():
        base = json_object(path / _ADAPTERS).get("base_model_name_or_path")
        return (
            f"it holds adapters of peft on {base!r}, and no model; load them with peft, and give the folder of "
            "model.merge_and_unload() once that is saved"
        )
    if any(path.glob("*.gguf")):
        return (
            "it holds GGUF; load that by gguf_file= of from_pretrained, and give the folder that save_pretrained made"
        )
    below = _below(path)
    return (
        f"no config.json; {below.relative_to(path)} in it has one: give {quoted(below)}" if below else "no config.json"
    )


def newest_of(path: Path) -> str:
    """Of the folder of a run, what to name instead; of any other nothing."""
    found = _checkpoints(path) if (path / _RUN).exists() else []
    return f"; it is a run, whose newest policy is {found[-1]}" if found else ""


def _checkpoints(run: Path) -> list[Path]:
    return sorted(p for p in (run / "checkpoints").glob("*") if re.fullmatch(r"\d{9}", p.name))


def _below(path: Path) -> Path | None:
    """The newest model in a folder of a trainer's checkpoints, or in one of the cache of a hub."""
    found = [p.parent for pattern in ("checkpoint-*", "snapshots/*") for p in path.glob(f"{pattern}/{CONFIG}")]
    return max(found, key=lambda p: (p / CONFIG).stat().st_mtime, default=None)
