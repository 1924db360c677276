"""What a run is: records in Python; by flat names on the command line, in files and in the records of studies."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, get_type_hints

from ..capacity import read_bytes
from ..errors import InvalidInputError, SeqilError, check_known, counted, first_line
from ..learning.training import Sampling
from ..mdp.memory import Memory
from ..policy.saved.files import Saved
from ..policy.token_policy import TokenPolicy
from . import plugins
from .option_types import mismatch

_MOST_NOISE = 0.9
_PLACES = {
    "task": "task.name",
    "agent": "agent.name",
    "task_options": "task.options",
    "agent_options": "agent.options",
    "model": "model.path",
    **{name: f"model.{name}" for name in ("layers", "width", "heads", "backspace", "backspace_row", "dtype", "lora")},
    "memory": "model.memory",
    "tried_term": "model.tried_term",
    **{name: name for name in ("demonstrations", "steps", "batch_size", "microbatch", "learning_rate")},
    "noise": "noise.source",
    "noise_rate": "noise.rate",
    "burst": "noise.burst",
    "mask_noise": "noise.masked",
    "sampling_every": "sampling.every",
    "sampling_rows": "sampling.rows",
    "sampling_capacity": "sampling.capacity",
    "sampling_actions": "sampling.max_actions",
    "sampling_temperature": "sampling.temperature",
    "average": "average",
    "seed": "seed",
    "device": "model.device",
}
"""Where a setting stands, by its flat name; files and keys of records hold these names, so none of them goes."""


@dataclass(frozen=True)
class Chosen:
    """A task or an agent.

    Attributes:
        name: its id, or the file of one's own, `my_task.py:Mine`.
        options: for its constructor; values among an agent's `choices` (a divergence, an expert) are given by their
            names there, and `alpha` is the divergence's.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSettings:
    """What learns, and where.

    Attributes:
        path: folder of a Hugging Face causal LM, or a checkpoint of a run; None: a GPT-2 of `layers`, `width` and
            `heads` from scratch; without layers it sees nothing but the last token and its position.
        layers, width, heads: of the new model.
        backspace: whether the policy may delete.
        backspace_row: `keep` or `mean`, for a model with more rows than tokens; see `TokenPolicy`.
        memory: `prefix`, `tried` or `history`, see `seqil.mdp.memory`.
        tried_term: whether what was tried is learned from too, under the memory `tried`; see `TokenPolicy`.
        lora: rank of adapters that are trained in place of the model, or None.
        dtype: of computation, `float32` or `bfloat16`; trained parameters are float32 always.
        device: `cpu` or `cuda`.
    """

    path: str | None = None
    layers: int = 2
    width: int = 64
    heads: int = 4
    backspace: bool = True
    backspace_row: str | None = None
    memory: str = "prefix"
    tried_term: bool = False
    lora: int | None = None
    dtype: str = "float32"
    device: str = "cpu"


@dataclass(frozen=True)
class NoiseSettings:
    """The mistakes that are typed and mended in demonstrations, for a policy that can delete.

    Attributes:
        source: `uniform`, `task` (its own confusions), `model` (the model's own samples), `none`, or one of others by
            its name or file, `my_noise.py:near`.
        rate: probability of a mistake before a token, at most .9.
        burst: wrong tokens per mistake.
        masked: leave the wrong tokens out of the loss.
    """

    source: str = "uniform"
    rate: float = 0.05
    burst: int = 1
    masked: bool = True


@dataclass(frozen=True)
class Settings:
    """What decides a run. Equal settings, versions, thread counts and processors give equal bytes.

    >>> settings = Settings(task=Chosen("chain", {"delay": 2}), model=ModelSettings(layers=1), steps=100)
    >>> settings == Settings.of({"task": "chain", "task_options": {"delay": 2}, "layers": 1, "steps": 100})
    True

    Attributes:
        task: the data and their judge.
        agent: the loss and the optimizer.
        model: what learns.
        noise: what is done to the demonstrations.
        sampling: how rollouts are collected.
        demonstrations: number of training items.
        steps: updates.
        batch_size: demonstrations per update.
        microbatch: how many of them are in memory at once, or None: all; see `Training`.
        learning_rate: peak.
        average: decay of the average of the weights, or None.
        seed: of everything, in [0, 2^63).

    Raises:
        InvalidInputError: a value of another type, or out of its range; it is named as in files.
    """

    task: Chosen = Chosen("automaton")
    agent: Chosen = Chosen("sequence_match")
    model: ModelSettings = ModelSettings()
    noise: NoiseSettings = NoiseSettings()
    sampling: Sampling = field(default_factory=Sampling)
    demonstrations: int = 4000
    steps: int = 600
    batch_size: int = 32
    microbatch: int | None = None
    learning_rate: float = 2e-3
    average: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = mismatch({name: getattr(self, name) for name in _RECORDS}, _RECORDS)
        if wrong:
            raise InvalidInputError(f"Settings: {wrong}; flat names and values are read by Settings.of")
        values = self._flat()
        _refuse_types(values)
        for name in ("layers", "width", "heads", "demonstrations", "steps", "batch_size", "burst"):
            least = 0 if name == "layers" else 1
            if values[name] < least:
                raise InvalidInputError(f"setting {name}={values[name]} must be at least {least}")
        Memory.of(self.model.memory)
        if not 0 < self.learning_rate < math.inf:
            raise InvalidInputError(f"setting learning_rate={self.learning_rate} must be positive and finite")
        if self.average is not None and not 0 <= self.average < 1:
            raise InvalidInputError(f"setting average={self.average} must lie in [0, 1)")
        if self.microbatch is not None and self.microbatch < 1:
            raise InvalidInputError(f"setting microbatch={self.microbatch} must be at least 1")
        if not 0 <= self.noise.rate <= _MOST_NOISE:
            raise InvalidInputError(
                f"setting noise_rate={self.noise.rate} must lie in [0, {_MOST_NOISE}]: "
                "a text takes 1 / (1 - rate) tries per token"
            )
        if not 0 <= self.seed < 2**63:
            raise InvalidInputError(f"setting seed={self.seed} must lie in [0, 2^63)")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """From values by flat names, refusing what is not a setting; what is not there is the default."""
        if not isinstance(values, Mapping):
            raise InvalidInputError(f"settings are a mapping by name, not {values!r:.60}")
        for name in values:
            check_known("setting", name, sorted(_PLACES))
        _refuse_types(values)
        parts: dict[str, dict[str, Any]] = {record: {} for record in ("", *_RECORDS)}
        for name, value in values.items():
            record, _, attribute = _PLACES[name].rpartition(".")
            parts[record][attribute] = value
        own, usual = parts.pop(""), cls()
        return cls(**own, **{record: replace(getattr(usual, record), **some) for record, some in parts.items()})

    def to_json(self) -> dict[str, Any]:
        """The mapping that `of` reads: values by flat names, as in files and records."""
        mapping: dict[str, Any] = json.loads(json.dumps(self._flat()))
        return mapping

    def _flat(self) -> dict[str, Any]:
        return {name: attrgetter(place)(self) for name, place in _PLACES.items()}


_OF_THE_COMMAND = ("out", "save_every", "evaluate_every", "patience", "max_actions", "track", "resume", "config")
_RECORDS = {"task": Chosen, "agent": Chosen, "model": ModelSettings, "noise": NoiseSettings, "sampling": Sampling}


def _refuse_types(values: Mapping[str, Any]) -> None:
    wrong = mismatch(values, _types())
    if wrong:
        raise InvalidInputError(f"setting {wrong}")


@lru_cache
def _types() -> dict[str, Any]:
    """Annotations by flat names."""
    records = {"": get_type_hints(Settings)} | {name: get_type_hints(record) for name, record in _RECORDS.items()}
    places = {name: place.rpartition(".") for name, place in _PLACES.items()}
    return {name: records[record][attribute] for name, (record, _, attribute) in places.items()}


def read_config(path: Path) -> dict[str, Any]:
    """The settings that a file names, each of the type that `Settings` has it of.

    Raises:
        InvalidInputError: no such file, neither TOML nor JSON, or something that is no setting.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_once) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise InvalidInputError(f"--config {path} does not exist; name a file of settings") from None
    except (OSError, ValueError, RecursionError) as error:  # what is not JSON, TOML or UTF-8 is a ValueError
        raise InvalidInputError(
            f"--config {path} cannot be read: {first_line(error)}; "
            + ("take one out" if "stands there twice" in str(error) else "give TOML, or JSON with the suffix .json")
        ) from None
    if isinstance(found, dict) and isinstance(found.get("settings"), dict):  # of a run
        found = found["settings"]
    if not isinstance(found, dict):
        raise InvalidInputError(f"--config {path} holds no settings by name")
    for name in (name for name in _OF_THE_COMMAND if name in found):
        option = f"--{name.replace('_', '-')}"
        raise InvalidInputError(f"--config {path}: {name} is an option of the command and no setting: give {option}")
    try:
        Settings.of(found)
    except InvalidInputError as error:
        raise InvalidInputError(f"--config {path}: {error}") from None
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; the last of two values of one name would win in silence."""
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands there twice")
    return dict(pairs)


def merged(
    defaults: Mapping[str, Any], config: Mapping[str, Any], given: Mapping[str, Any], texts: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of the command line over those of a file over the defaults.

    Args:
        defaults: a value for every setting.
        config: as `read_config` returns them.
        given: settings that stand on the command line.
        texts: for `task_options` and `agent_options` what stands there. Options of a file are those of its own task or
            agent: they do not outlive another one.
    """
    chosen = {**defaults, **config, **given}
    for kind in ("task", "agent"):
        same = config.get(kind, defaults[kind]) == chosen[kind]
        kept = config.get(f"{kind}_options", {}) if same else {}
        own = plugins.read_options(f"{kind}s", chosen[kind], texts[f"{kind}_options"])
        chosen[f"{kind}_options"] = {**kept, **own}
    return chosen


def with_memory_of_model(chosen: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Settings of a new run that goes on with the memory of the checkpoint that it begins from.

    Args:
        chosen: as `merged` returns them.
        given: names of the settings that stand on the command line or in a file: a memory among them is a choice.
    """
    whole = plugins.load("agents", chosen["agent"]).policy_class is not TokenPolicy
    if chosen["model"] is None or "memory" in given or whole or not chosen["backspace"]:
        return {**chosen}
    with suppress(SeqilError):  # whatever is wrong with the folder is said when it is loaded
        saved = Saved.read(Path(chosen["model"]), verify=False)
        return {**chosen, "memory": saved.memory.name if saved.backspace else chosen["memory"]}
    return {**chosen}


_NOISE = ("noise", "noise_rate", "burst", "mask_noise")
_NEUTRAL = {"noise": "none", "memory": "prefix", "tried_term": False}
"""Values that ask for nothing."""


def refuse_without_effect(chosen: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse options of a new run that another one makes meaningless; files may hold them, those of old runs do.

    Args:
        chosen: as `merged` returns them.
        given: names of the options that stand on the command line.

    Raises:
        InvalidInputError: naming the options, and why they would do nothing.
    """
    whole = plugins.load("agents", chosen["agent"]).policy_class is not TokenPolicy
    for applies, names, why in (
        (
            whole,
            ("backspace", *_NOISE, "max_actions"),
            f"{chosen['agent']} writes whole texts, and deletes nothing by a backspace",
        ),
        (chosen["memory"] != "tried", ("tried_term",), "it is a part of the memory tried; give --memory tried"),
        (
            not chosen["backspace"],
            (*_NOISE, "memory", "tried_term"),
            "a policy without a backspace has nothing to delete",
        ),
        (chosen["noise"] == "none", _NOISE[1:], "there are no mistakes without noise"),
        (chosen["model"] is not None, ("layers", "width", "heads"), "a model that is given has its own"),
        (
            (chosen["microbatch"] or 0) > chosen["batch_size"],
            ("microbatch",),
            f"a batch of {counted(chosen['batch_size'], 'demonstration')} is smaller",
        ),
        (chosen["model"] is None, ("backspace_row",), "a new model has no rows behind its tokens; give --model"),
    ):
        idle = [name for name in names if applies and name in given and chosen.get(name, True) != _NEUTRAL.get(name)]
        if idle:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
            raise InvalidInputError(f"{options} would do nothing: {why}; leave {'them' if idle[1:] else 'it'} out")
