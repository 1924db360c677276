"""Going on with a run: only as what it was, by its settings and its data; other versions are worth a warning."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..durable import contents, naming, write_json
from ..errors import CheckpointError, InvalidInputError, counted, first_line, visible
from ..learning.processes import Ranks
from ..learning.training import Training
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..models.folders import TOKENIZER
from ..policy.saved.seals import sha256
from . import own_files
from .checkpoint import RunFolder, versions
from .settings import Settings


def settings_of(run: RunFolder) -> Settings:
    """What a run folder says that the run is."""
    try:
        return Settings.of(run.settings["settings"])
    except InvalidInputError as error:
        raise CheckpointError(f"{run.path / 'settings.json'}: {error}") from None


def refuse_gone(run: RunFolder, chosen: Settings) -> None:
    """Say of what a task reads, a text or a tokenizer, that it is no longer where the run found it."""
    for option, value in chosen.task.options.items():
        if isinstance(value, str) and Path(value).is_absolute() and not Path(value).exists():
            raise InvalidInputError(
                f"{value} is gone, of which {run.path} reads prompts and lengths (option {option} of "
                f"{chosen.task.name}); put it back"
            )


def refuse_other_data(run: RunFolder, chosen: Settings, found: Mapping[str, Any], task: Task) -> None:
    """Refuse a task that reads its data from files, or stands in one, where they say otherwise than in training.

    Args:
        run: the folder.
        chosen: its settings.
        found: what its newest checkpoint is of, as `opened` returns it.
        task: of the settings, as it is now.

    Raises:
        CheckpointError: a file has changed, or the demonstrations of the run are no longer those of its task.
    """
    if _data_files(chosen) or own_files.is_reference(chosen.task.name):
        n, there = chosen.demonstrations, task.available("train")
        fewer = there is not None and there < n
        _refuse_others(run, chosen, found, None if fewer else task.demonstrations(n, "train", chosen.seed))


def _refuse_others(
    run: RunFolder, chosen: Settings, found: Mapping[str, Any], demonstrations: Trajectories | None
) -> None:
    if demonstrations is None or found.get("data") != _sum_of(demonstrations):
        raise _other_data("the demonstrations differ from those that", run)
    kept = found.get("files")
    for option, path in _data_files(chosen).items():
        if isinstance(kept, dict) and kept.get(option, "") not in ("", _content(option, path)):
            raise _other_data(f"{path} is not what", run)


def _other_data(what: str, run: RunFolder) -> CheckpointError:
    step = int(run.complete()[-1].name)
    return CheckpointError(
        f"{what} {run.path} was trained on until step {step}; put the data back, or start another run"
    )


def _data_files(chosen: Settings) -> dict[str, Path]:
    """Files and folders that a task reads its items from, by option."""
    paths = {name: Path(value) for name, value in chosen.task.options.items() if isinstance(value, str)}
    return {name: path for name, path in paths.items() if path.is_absolute() and path.exists()}


def _content(option: str, path: Path) -> str:
    """Sum of a file, or of all in a folder but what is hidden there; of a tokenizer beside a model, of its own files.

    Of two tokenizers that give a text the same ids one may spell them otherwise.
    """
    if not path.is_dir():
        return sha256(path) if path.is_file() else ""
    files = [path / name for name in TOKENIZER] if option == "tokenizer" else contents(path)
    named = ((file.relative_to(path), file) for file in files if file.is_file())
    seen = [(str(name), sha256(file)) for name, file in named if not any(part[0] == "." for part in name.parts)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def _sum_of(demonstrations: Trajectories) -> str:
    digest = hashlib.sha256()
    for part in (demonstrations.prompts, demonstrations.actions):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def identity_of(training: Training, chosen: Settings) -> dict[str, Any]:
    """What a run must have in common with the checkpoint that it goes on from, and with what judges its texts."""
    found = {"settings": chosen.to_json(), "data": _sum_of(training.demonstrations), "code": own_code(chosen)}
    files = {option: _content(option, path) for option, path in _data_files(chosen).items()}
    return {**found, "files": files} if files else found


def own_code(chosen: Settings) -> list[str]:
    """Sums of what files of the user's own bring to a run: agent, task, noise and expert."""
    names = (chosen.agent.name, chosen.task.name, chosen.noise.source, str(chosen.agent.options.get("expert", "")))
    return own_files.digests(names)


def opened(run: RunFolder) -> tuple[Settings, Path, Mapping[str, Any]]:
    """Settings and newest checkpoint of a run, once the one has proved to be of the other, and what that is of."""
    chosen, checkpoint = settings_of(run), run.latest()
    return chosen, checkpoint, _identity(run, chosen)


def _identity(run: RunFolder, chosen: Settings) -> dict[str, Any]:
    """What the newest checkpoint is of, once its settings have proved to be those of the run."""
    found, step = run.identity(), int(run.complete()[-1].name)
    if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
        raise CheckpointError(f"the checkpoint of step {step} in {run.path} does not say what it is of; restore it")
    kept = {**Settings().to_json(), **found["settings"]}  # a setting that came later was its default
    for name, value in chosen.to_json().items():
        before = kept[name]
        more = name == "steps" and isinstance(before, int) and value > before  # it was told to go on to more steps
        if before != value and not more:
            raise CheckpointError(
                f"{run.path / 'settings.json'} says {name}={value!r}, the checkpoint of step {step} "
                f"{before!r}; put it back, or start another run"
            )
    return found


def restore(run: RunFolder, training: Training, chosen: Settings) -> None:
    """Load the newest checkpoint, once it has proved to be of these settings and this data set."""
    step, state = run.load()
    found = _identity(run, chosen)
    _refuse_others(run, chosen, found, training.demonstrations)
    if found.get("code", own_code(chosen)) != own_code(chosen):
        warn(f"the code of {run.path}, in a file of your own, is not what it was trained with until step {step}")
    try:
        training.load_state_dict(state["training"])
        if training.step != step:
            raise ValueError(f"it is that of step {training.step}")
    except Exception as error:  # whatever a file may hold breaks torch anywhere
        raise CheckpointError(f"the state of step {step} in {run.path} is damaged: {first_line(error)}") from None


def extended(run: RunFolder, steps: int | None) -> Settings:
    """The settings of a run, to go on to `steps`; None: to those of the settings.

    The schedules of the agent are those of a run of so many steps, from the step at hand on.

    Raises:
        InvalidInputError: fewer steps than before.
    """
    chosen = settings_of(run)
    if steps is None:
        return chosen
    if steps < chosen.steps:
        raise InvalidInputError(
            f"--steps {steps}: {run.path} is a run of {counted(chosen.steps, 'step')}; give more, or leave it out"
        )
    return replace(chosen, steps=steps)


def record_extension(run: RunFolder, chosen: Settings) -> None:
    """Write down to how many steps a run goes on."""
    if run.ours and settings_of(run).steps != chosen.steps:
        with naming(run.path / "settings.json", "free some space and try again"):
            write_json(run.path / "settings.json", {**run.settings, "settings": chosen.to_json()})


def made_with(ranks: Ranks | None = None) -> dict[str, Any]:
    """What else decides the bits of a run."""
    size = 1 if ranks is None else ranks.size
    return {"versions": versions(), "threads": torch.get_num_threads(), "ranks": size}


def warn_of_changes(run: RunFolder, ranks: Ranks | None = None) -> None:
    """Say what may keep the bits from being those of an undisturbed run."""
    before, now = {"ranks": 1, **run.settings}, made_with(ranks)
    changed = [f"{name} {before.get(name)!r} -> {now[name]!r}" for name in now if before.get(name) != now[name]]
    if changed:
        what = "; ".join(changed)
        warn(f"{run.path} was started with other versions, threads or ranks ({what}); its bits may differ")


def warn(message: str) -> None:
    """One line on stderr; of processes that work together the first says it."""
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(f"seqil: warning: {visible(message)}", file=sys.stderr)
