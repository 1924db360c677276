"""A training run from its settings: task, policy, corruption and agent, each made from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import torch

from ..capacity import check_memory
from ..errors import InvalidInputError, check_known, counted, first_line
from ..learning import divergences, experts, noise, rewards
from ..learning.agent import Agent
from ..learning.processes import Ranks
from ..learning.training import Corruption, Training
from ..mdp.memory import Memory
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories, held
from ..mdp.vocabulary import Vocabulary
from ..models.adapters import with_lora
from ..models.folders import has_tokenizer, with_tokenizer
from ..models.from_scratch import small_gpt2
from ..models.head_rows import Choice
from ..policy.given.descriptions import CONFIG, check_kind
from ..policy.saved.files import SETTINGS, load_model
from ..policy.saved.tokenizers import refuse_other_vocabulary
from ..policy.token_policy import TokenPolicy
from ..policy.tried_term import TriedTerm
from ..randomness import borrowed, seeded
from ..revision import making
from . import own_files, plugins
from .option_types import argument_types, fits
from .resumption import warn
from .settings import Chosen, Settings

MEASURED = 2
"""Items that `seqil evaluate` needs at least, for an interval."""
_SPARE_ACTIONS = 64
_LAYER_BYTES = 2**18
_TRIED = 64  # demonstrations
_COPIES = 3  # of the demonstrations, while they are made
_MADE: dict[str, Mapping[str, Any]] = {"experts": experts.EXPERTS, "rewards": rewards.REWARDS}
"""Kinds of values that are made of a task and the learner."""

_REPEATED = 3  # windows that are left out for every one that stays: then it is said


def make_task(settings: Settings, checkpoint: Path | None = None) -> Task:
    """The task of the settings; the tokenizer of a model is the one beside the `checkpoint`, if one is there."""
    chosen, model = settings.task, settings.model.path
    if checkpoint is not None and model is not None and (has_tokenizer(checkpoint) or not Path(model).exists()):
        model = str(checkpoint)  # which is what the run was trained with, whatever has become of the folder since
    if model is not None and (Path(model) / CONFIG).exists():
        check_kind(Path(model), plugins.load("agents", settings.agent.name).policy_class is not TokenPolicy)
    known = argument_types(plugins.load("tasks", chosen.name))
    options = with_tokenizer(chosen.options, known, model)
    return cast("Task", plugins.construct("tasks", chosen.name, **options))


def begun_from(settings: Settings, checkpoint: Path) -> Settings:
    """The settings of a run that goes on: where the model that it began from is gone, from its own checkpoint."""
    s = settings.model
    if s.path is None or Path(s.path).exists() or s.lora is not None:
        return settings
    return replace(settings, model=replace(s, path=str(checkpoint), backspace_row=None))


def say_doubts(settings: Settings, task: Task) -> None:
    """Warn of a test split too small to be evaluated, and of text that a model is given as bytes for want of better."""
    path, there = settings.model.path, task.available("test")
    windows = getattr(task, "windows", None)
    again, kept = getattr(windows, "left_out", 0), len(getattr(windows, "places", ()))
    if again > _REPEATED * kept:
        warn(f"{task.name}: {again:,} of {again + kept:,} windows say what another one says, and were left out")
    unread = getattr(task, "left_out", ())
    if unread:
        more = f" (and {counted(len(unread) - 1, 'other file')})" if unread[1:] else ""
        warn(f"{task.name}: {unread[0]}{more} is left out: files beside it name the splits that they are")
    if lost := getattr(task, "lost", ""):
        more = f" and {counted(len(lost) - 1, 'other character')}" if lost[1:] else ""
        warn(f"{task.name}: the tokenizer has no id for {lost[0]!r}{more}, and leaves out what the text has of them")
    if there is not None and there < MEASURED:
        items = (
            "is empty: sample and evaluate need"
            if not there
            else f"has {counted(there, 'item')}, evaluate needs {MEASURED}:"
        )
        warn(f"the test split of {task.name} {items} --split train, or more data")
    alphabet = "tokenizer" in argument_types(type(task)) and getattr(task, "tokenizer", task) is None
    if path and alphabet and not has_tokenizer(path) and not (Path(path) / SETTINGS).exists():
        warn(
            f"there is no tokenizer in {path}: the model reads bytes as ids 0 to 255, and 256 as the end; if it was "
            "trained on other ids give --task-option tokenizer=FOLDER"
        )


def located(settings: Settings) -> Settings:
    """The same with absolute paths, so that the run can be read from any working directory."""
    s = settings
    return replace(
        s,
        task=_located("tasks", s.task),
        agent=_located("agents", s.agent),
        model=replace(s.model, path=None if s.model.path is None else _absolute(s.model.path)),
    )


def make_training(settings: Settings, task: Task, spare: int = 0, ranks: Ranks | None = None) -> Training:
    """The run of the settings, before its first step.

    Args:
        settings: of the run.
        task: `make_task(settings)`.
        spare: positions of a new model beyond those that the task needs, for texts longer than it trains on.
        ranks: the processes that share it; None: this one alone.
    """
    s = settings
    asked = counted(s.demonstrations, "demonstration")
    check_memory(_COPIES * 8 * s.demonstrations * (task.max_length + 1), asked, "ask for fewer")
    batch = f"a batch of {counted(s.batch_size, 'demonstration')}"
    check_memory(_COPIES * 8 * s.batch_size * (task.max_length + 1), batch, "lower --batch-size")
    demonstrations: Trajectories = task.demonstrations(s.demonstrations, "train", s.seed)
    # Under a memory that never rewinds an action takes a position, when it is sampled as well.
    actions = max(_actions(s, task.max_length), task.budget())
    written = task.max_length + 1 if Memory.of(s.model.memory).rewinds else actions
    cls = plugins.load("agents", s.agent.name)
    if cls.policy_class is not TokenPolicy:
        written = cls.policy_class.room(written, **_of_policy(cls, s))
    cells = demonstrations.prompts.shape[1] + written + spare
    policy = (make_policy if cls.policy_class is TokenPolicy else make_whole_text)(s, task.vocabulary, cells)
    _refuse_longer(policy, task, cells)
    options = agent_options(cls, s.agent.options, task, policy)
    agent = plugins.construct("agents", s.agent.name, policy, steps=s.steps, learning_rate=s.learning_rate, **options)
    training = Training(
        agent,
        demonstrations,
        generator=torch.Generator().manual_seed(s.seed),
        batch_size=s.batch_size,
        corrupt=make_corruption(s, task, policy),
        sampling=s.sampling,
        average=s.average,
        microbatch=s.microbatch,
        ranks=ranks,
    )
    if s.noise.source == "model":
        _count_noise(training)
    return training


def _refuse_longer(policy: Any, task: Task, cells: int) -> None:
    """Refuse texts that the model has no positions for, with the length that it has room for."""
    try:
        policy.check_positions(cells)
    except InvalidInputError as error:
        room, known = task.max_length - (cells - policy.max_positions), argument_types(type(task))
        if room < 1 or "max_length" not in known or not policy.memory.rewinds:
            raise
        raise InvalidInputError(f"{error} (--task-option max_length={room})") from None


def make_whole_text(settings: Settings, vocabulary: Vocabulary, cells: int) -> Any:
    """The untrained policy of an agent that is not autoregressive, of the class that it trains."""
    s, cls = settings.model, plugins.load("agents", settings.agent.name)
    usual = {"backspace_row": None, "memory": "prefix", "tried_term": False, "lora": None, "dtype": "float32"}
    for name, wanted in usual.items():
        if getattr(s, name) != wanted:
            raise InvalidInputError(f"setting {name}={getattr(s, name)!r} is of no use to {settings.agent.name}")
    own = _of_policy(cls, settings)
    sizes = (s.layers, s.width, s.heads)
    where: dict[str, Any] = {"path": s.path, "device": s.device}
    return making.make(cls.policy_class, vocabulary, cells, sizes=sizes, seed=settings.seed, options=own, **where)


def _of_policy(cls: type[Agent], settings: Settings) -> dict[str, Any]:
    """Options of the agent that its policy is made with."""
    return {name: value for name, value in settings.agent.options.items() if name in cls.policy_options}


def make_policy(settings: Settings, vocabulary: Vocabulary, cells: int) -> TokenPolicy:
    """The untrained policy: a small GPT-2 from scratch, or the model in a folder."""
    s, seed = settings.model, settings.seed
    if s.device.partition(":")[0] not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {s.device!r} is not to be had; use cpu or cuda")
    try:
        device = torch.empty(0, device=s.device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"device {s.device!r} is not to be had: {first_line(error)}; use cpu") from None
    if s.path is not None:
        refuse_other_vocabulary(s.path, vocabulary.size)
    if s.path is not None and (Path(s.path) / SETTINGS).exists():
        saved = TokenPolicy.from_pretrained(s.path, vocabulary, dtype=s.dtype)
        if saved.tried_term is not None and not (s.tried_term and s.lora is None):
            raise InvalidInputError(
                f"{s.path} has learned a term of what was tried; begin with it by tried_term=true, without lora"
            )
        if s.lora is None and saved.backspace == s.backspace:
            if s.backspace_row is not None:
                raise InvalidInputError(f"{s.path} has a backspace of its own; leave out backspace_row")
            if s.tried_term and saved.tried_term is None:
                saved.tried_term = TriedTerm(saved.weight.shape[1])
            return cast("TokenPolicy", saved.remember(s.memory).to(device))
        model = (saved.merged() if saved.adapted else saved).model
    elif s.path is not None:
        model = load_model(s.path)
    else:
        if s.width % s.heads:
            raise InvalidInputError(f"width={s.width} is not a multiple of heads={s.heads}")
        parameters = s.width * (12 * s.layers * s.width + vocabulary.size + cells)
        # Weights, gradients and two moments, four bytes each; and what the modules of a layer take themselves.
        needed = 16 * parameters + _LAYER_BYTES * s.layers
        check_memory(needed, f"training a model of {parameters:,} parameters", "lower layers or width")
        model = small_gpt2(vocabulary.size, vocabulary.eos, cells, s.layers, s.width, s.heads, seed)
    if s.lora is not None:
        if s.path is None:
            raise InvalidInputError(
                "lora adapts a model that was trained before; give its folder as model (--model FOLDER)"
            )
        with seeded(seed):
            model = with_lora(model, s.lora)
    row = cast("Choice", s.backspace_row)
    how: dict[str, Any] = {"backspace_row": row, "dtype": s.dtype, "tried_term": s.tried_term}
    policy = TokenPolicy(model, vocabulary, s.backspace, s.memory, **how)
    return cast("TokenPolicy", policy.to(device))


def make_corruption(settings: Settings, task: Task, policy: TokenPolicy) -> Corruption | None:
    """What is done to each batch of demonstrations: nothing for a policy that cannot delete.

    Raises:
        InvalidInputError: no source of this name, bursts longer than a text, or a source that makes no mistakes.
    """
    v, chosen = task.vocabulary, settings.noise
    if chosen.burst > task.max_length:
        raise InvalidInputError(
            f"setting burst={chosen.burst}: a text of {task.name} holds {counted(task.max_length, 'token')} at most"
        )
    plugins.load("noise", chosen.source)
    deletes = settings.model.backspace and policy.backspace
    weights = plugins.made("noise", chosen.source, task, policy) if deletes else None
    if weights is None:
        return None
    source = noise.Noise(weights, chosen.burst)
    if own_files.is_reference(chosen.source):
        _refuse_no_mistakes(chosen.source, task, source)
    return lambda t, g: noise.mistype(v, t, chosen.rate, source, g, chosen.masked, settings.model.memory)


def _refuse_no_mistakes(name: str, task: Task, source: noise.Noise) -> None:
    """Try noise of the user's own on a few demonstrations: of what gives no token a weight nothing would be said."""
    some = task.demonstrations(task.at_most(_TRIED, "train"), "train", 0)
    with borrowed():
        noised = noise.mistype(task.vocabulary, some, 0.5, source, torch.Generator().manual_seed(0))
    if not bool((noised.inside & (noised.actions == task.vocabulary.backspace)).any()):
        raise InvalidInputError(
            f"noise {name!r} makes no mistake in {counted(len(some), 'demonstration')}: it gives no token a weight "
            "beside eos and the right one; leave it out, or train without a backspace"
        )


def _actions(s: Settings, max_length: int) -> int:
    """Room for the actions of a row: of rollouts, and of demonstrations with far more mistakes than on average."""
    noised = max_length * (1 + 2 * s.noise.burst * s.noise.rate / (1 - s.noise.rate))
    return max(s.sampling.max_actions or 4 * max_length, 2 * math.ceil(noised) + _SPARE_ACTIONS)


def _count_noise(training: Training) -> None:
    """Make the model's own noise part of the cost: a prefix per wrong token, where the text had room for one."""
    corrupt = training.corrupt
    if corrupt is None:
        return

    def counted(demonstrations: Trajectories, generator: torch.Generator) -> Trajectories:
        noised = corrupt(demonstrations, generator)
        deletions = noised.inside & (noised.actions == noised.vocabulary.backspace)
        written, _ = held(noised.vocabulary, noised.actions, noised.inside)
        prefixes = noised.prompt_lengths[:, None] + written - 1
        training.rollout_positions += int(prefixes[deletions].sum())
        return noised

    training.corrupt = counted


def _located(kind: str, chosen: Chosen) -> Chosen:
    """Options that are annotated as paths, among others, made absolute where something is there."""
    options, types = chosen.options, argument_types(plugins.load(kind, chosen.name))
    paths = {option for option in options if Path in (types.get(option), *get_args(types.get(option)))}
    own = {k: _absolute(v) if k in paths and isinstance(v, str) else v for k, v in options.items()}
    return replace(chosen, options=own)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if Path(path).exists() else path


def agent_options(cls: type[Agent], options: Mapping[str, Any], task: Task, policy: TokenPolicy) -> dict[str, Any]:
    """Options of an agent's constructor from their JSON form: values that have a name are given by it."""
    given = {option: make(task, policy) for option, make in cls.from_task.items() if option not in options} | {
        **options
    }
    for setting in ("steps", "learning_rate"):
        if setting in given:
            raise InvalidInputError(f"{setting} is no option of the agent; give --{setting.replace('_', '-')}")
    for option, values in cls.choices.items():
        kind = next((kind for kind, table in _MADE.items() if values is table), None)
        if option in options and kind is not None:
            given[option] = plugins.made(kind, given[option], task, policy)
        elif option in options:
            check_known(option, given[option], values)
            given[option] = values[given[option]]
    if cls.choices.get("divergence") is divergences.DIVERGENCES:
        if "divergence" in given:
            given["divergence"] = given["divergence"](_number("alpha", given.pop("alpha", 0.01)))
        elif "alpha" in given:
            raise InvalidInputError("alpha scales a divergence; give the divergence too, chi2_mixture say")
    return given


def _number(name: str, value: Any) -> float:
    if not fits(value, float):
        raise InvalidInputError(f"{name}={value!r} is not a number")
    return float(value)
