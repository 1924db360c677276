"""Going on with a run: only as what it was, by its settings and its data; other versions are worth a warning."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..durable import naming
from ..errors import CheckpointError, InvalidInputError, counted, first_line, visible
from ..learning.processes import Ranks
from ..learning.training import Training
from . import own_files
from .checkpoint import RunFolder, versions, write_json
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


def identity_of(training: Training, chosen: Settings) -> dict[str, Any]:
    """What a run must have in common with the checkpoint that it goes on from."""
    digest = hashlib.sha256()
    for part in (training.demonstrations.prompts, training.demonstrations.actions):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    return {"settings": chosen.to_json(), "data": digest.hexdigest(), "code": own_code(chosen)}


def own_code(chosen: Settings) -> list[str]:
    """Sums of what files of the user's own bring to a run: agent, task, noise and expert."""
    names = (chosen.agent.name, chosen.task.name, chosen.noise.source, str(chosen.agent.options.get("expert", "")))
    return own_files.digests(names)


def opened(run: RunFolder) -> tuple[Settings, Path]:
    """Settings and newest checkpoint of a run, once the one has proved to be of the other."""
    chosen, checkpoint = settings_of(run), run.latest()
    _identity(run, chosen)
    return chosen, checkpoint


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
    if found.get("data") != identity_of(training, chosen)["data"]:
        raise CheckpointError(
            f"the demonstrations differ from those that {run.path} was trained on until step {step}; "
            "put the data back, or start another run"
        )
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
