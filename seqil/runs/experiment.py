"""A training run from settings that fit into a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast, get_args, get_type_hints

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from ..capacity import check_memory
from ..errors import InvalidInputError
from ..learning import divergences, experts, noise
from ..learning.agent import Agent
from ..learning.training import Corruption, Sampling, Training
from ..mdp.memory import Memory
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories, held
from ..mdp.vocabulary import Vocabulary
from ..models.adapters import with_lora
from ..models.folders import refuse_other_vocabulary, with_tokenizer
from ..models.head_rows import Choice
from ..policy.files import SETTINGS, load_model
from ..policy.token_policy import TokenPolicy
from ..randomness import seeded
from . import plugins
from .option_types import argument_types, fits, mismatch

_MOST_NOISE = 0.9
_SPARE_ACTIONS = 64
_LAYER_BYTES = 2**18
_COPIES = 3  # of the demonstrations, while they are made


@dataclass(frozen=True)
class Settings:
    """What decides a run. Equal settings, versions, thread counts and processors give equal bytes.

    Attributes:
        task: id of a task, and `task_options` for its constructor.
        agent: id of an agent, and `agent_options` for its constructor; values among its `choices` (a divergence, an
            expert) are given by their names there, and `alpha` is the divergence's.
        model: folder of a Hugging Face causal LM, or a checkpoint of a run; None: a GPT-2 of `layers`, `width` and
            `heads` from scratch; without layers it sees nothing but the last token and its position.
        backspace: whether the policy may delete.
        backspace_row: `keep` or `mean`, for a model with more rows than tokens; see `TokenPolicy`.
        lora: rank of adapters that are trained in place of the model, or None.
        dtype: of computation, `float32` or `bfloat16`; trained parameters are float32 always.
        memory: `prefix`, `tried` or `history`, see `seqil.mdp.memory`.
        demonstrations: number of training items.
        steps: updates.
        batch_size: demonstrations per update.
        learning_rate: peak.
        noise: `uniform`, `task` (its own confusions), `model` (the model's own samples), `none`, or one of others by
            its name or file, `my_noise.py:near`.
        noise_rate: probability of a mistake before a token, at most .9.
        burst: wrong tokens per mistake.
        mask_noise: leave the wrong tokens out of the loss.
        sampling_every, sampling_rows, sampling_capacity, sampling_actions: see `Sampling`; the last is the most actions
            of a rollout.
        average: decay of the average of the weights, or None.
        seed: of everything, in [0, 2^63).
        device: of the model.
    """

    task: str = "automaton"
    agent: str = "sequence_match"
    task_options: Mapping[str, Any] = field(default_factory=dict)
    agent_options: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    layers: int = 2
    width: int = 64
    heads: int = 4
    backspace: bool = True
    backspace_row: str | None = None
    dtype: str = "float32"
    lora: int | None = None
    memory: str = "prefix"
    demonstrations: int = 4000
    steps: int = 600
    batch_size: int = 32
    learning_rate: float = 2e-3
    noise: str = "uniform"
    noise_rate: float = 0.05
    burst: int = 1
    mask_noise: bool = True
    sampling_every: int = 8
    sampling_rows: int = 32
    sampling_capacity: int = 512
    sampling_actions: int | None = None
    average: float | None = None
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        wrong = mismatch(vars(self), get_type_hints(Settings))
        if wrong:
            raise InvalidInputError(f"setting {wrong}")
        for name in ("layers", "width", "heads", "demonstrations", "steps", "batch_size", "burst"):
            least = 0 if name == "layers" else 1
            if getattr(self, name) < least:
                raise InvalidInputError(f"setting {name}={getattr(self, name)} must be at least {least}")
        Memory.of(self.memory)
        if not 0 <= self.noise_rate <= _MOST_NOISE:
            raise InvalidInputError(
                f"setting noise_rate={self.noise_rate} must lie in [0, {_MOST_NOISE}]: "
                "a text takes 1 / (1 - rate) tries per token"
            )
        if not 0 <= self.seed < 2**63:
            raise InvalidInputError(f"setting seed={self.seed} must lie in [0, 2^63)")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """From their JSON form, refusing what is not a setting."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                raise InvalidInputError(f"unknown setting {name!r}; known: {', '.join(sorted(known))}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """The mapping that `of` reads."""
        mapping: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return mapping


def make_task(settings: Settings) -> Task:
    """The task of the settings."""
    known = argument_types(plugins.load("tasks", settings.task))
    options = with_tokenizer(settings.task_options, known, settings.model)
    return cast("Task", plugins.construct("tasks", settings.task, **options))


def located(settings: Settings) -> Settings:
    """The same with absolute paths, so that the run can be read from any working directory."""
    s = settings
    return replace(
        s,
        model=None if s.model is None else _absolute(s.model),
        task_options=_located("tasks", s.task, s.task_options),
        agent_options=_located("agents", s.agent, s.agent_options),
    )


def make_training(settings: Settings, task: Task, spare: int = 0) -> Training:
    """The run of the settings, before its first step.

    Args:
        settings: of the run.
        task: `make_task(settings)`.
        spare: positions of a new model beyond those that the task needs, for texts longer than it trains on.
    """
    s = settings
    check_memory(
        _COPIES * 8 * s.demonstrations * (task.max_length + 1), f"{s.demonstrations:,} demonstrations", "ask for fewer"
    )
    demonstrations: Trajectories = task.demonstrations(s.demonstrations, "train", s.seed)
    # Under a memory that never rewinds an action takes a position, when it is sampled as well.
    actions = max(_actions(s, task.max_length), task.budget())
    written = task.max_length + 1 if Memory.of(s.memory).rewinds else actions
    cells = demonstrations.prompts.shape[1] + written + spare
    policy = make_policy(s, task.vocabulary, cells)
    policy.check_positions(cells)
    options = agent_options(plugins.load("agents", s.agent), s.agent_options, task, policy)
    agent = plugins.construct("agents", s.agent, policy, steps=s.steps, learning_rate=s.learning_rate, **options)
    training = Training(
        agent,
        demonstrations,
        generator=torch.Generator().manual_seed(s.seed),
        batch_size=s.batch_size,
        corrupt=make_corruption(s, task, policy),
        sampling=Sampling(s.sampling_every, s.sampling_rows, s.sampling_capacity, s.sampling_actions),
        average=s.average,
    )
    if s.noise == "model":
        _count_noise(training)
    return training


def make_policy(settings: Settings, vocabulary: Vocabulary, cells: int) -> TokenPolicy:
    """The untrained policy: a small GPT-2 from scratch, or the model in a folder."""
    s = settings
    if s.device.partition(":")[0] not in ("cpu", "cuda"):
        raise InvalidInputError(f"device {s.device!r} is not to be had; use cpu or cuda")
    try:
        device = torch.empty(0, device=s.device).device
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"device {s.device!r} is not to be had: {str(error).splitlines()[0]}") from None
    if s.model is not None:
        refuse_other_vocabulary(s.model, vocabulary)
    if s.model is not None and (Path(s.model) / SETTINGS).exists():
        saved = TokenPolicy.from_pretrained(s.model, vocabulary, dtype=s.dtype)
        if s.lora is None and saved.backspace == s.backspace:
            if s.backspace_row is not None:
                raise InvalidInputError(f"{s.model} has a backspace of its own; leave out backspace_row")
            return cast("TokenPolicy", saved.remember(s.memory).to(device))
        model = saved.model
    elif s.model is not None:
        model = load_model(s.model)
    else:
        if s.width % s.heads:
            raise InvalidInputError(f"width={s.width} is not a multiple of heads={s.heads}")
        parameters = s.width * (12 * s.layers * s.width + vocabulary.size + cells)
        # Weights, gradients and two moments, four bytes each; and what the modules of a layer take themselves.
        needed = 16 * parameters + _LAYER_BYTES * s.layers
        check_memory(needed, f"training a model of {parameters:,} parameters", "lower layers or width")
        config = GPT2Config(
            vocab_size=vocabulary.size,
            n_positions=cells,
            n_layer=s.layers,
            n_embd=s.width,
            n_head=s.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=vocabulary.eos,
            eos_token_id=vocabulary.eos,
        )
        with seeded(s.seed):
            model = GPT2LMHeadModel(config)
    if s.lora is not None:
        if s.model is None:
            raise InvalidInputError("lora adapts a model that was trained before; give its folder as model")
        with seeded(s.seed):
            model = with_lora(model, s.lora)
    row = cast("Choice", s.backspace_row)
    policy = TokenPolicy(model, vocabulary, s.backspace, s.memory, backspace_row=row, dtype=s.dtype)
    return cast("TokenPolicy", policy.to(device))


def make_corruption(settings: Settings, task: Task, policy: TokenPolicy) -> Corruption | None:
    """What is done to each batch of demonstrations: nothing for a policy that cannot delete."""
    s, v = settings, task.vocabulary
    if s.burst > task.max_length:
        raise InvalidInputError(
            f"setting burst={s.burst}: a text of {task.name} holds {task.max_length} tokens at most"
        )
    plugins.load("noise", s.noise)
    weights = plugins.made("noise", s.noise, task, policy) if s.backspace else None
    if weights is None:
        return None
    source = noise.Noise(weights, s.burst)
    return lambda t, g: noise.mistype(v, t, s.noise_rate, source, g, s.mask_noise, s.memory)


def _actions(s: Settings, max_length: int) -> int:
    """Room for the actions of a row: of rollouts, and of demonstrations with far more mistakes than on average."""
    noised = max_length * (1 + 2 * s.burst * s.noise_rate / (1 - s.noise_rate))
    return max(s.sampling_actions or 4 * max_length, 2 * math.ceil(noised) + _SPARE_ACTIONS)


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


def _located(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are annotated as paths, among others, made absolute where something is there."""
    types = argument_types(plugins.load(kind, name))
    paths = {option for option in options if Path in (types.get(option), *get_args(types.get(option)))}
    return {k: _absolute(v) if k in paths and isinstance(v, str) else v for k, v in options.items()}


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if Path(path).exists() else path


def agent_options(cls: type[Agent], options: Mapping[str, Any], task: Task, policy: TokenPolicy) -> dict[str, Any]:
    """Options of an agent's constructor from their JSON form: values that have a name are given by it."""
    given = dict(options)
    for setting in ("steps", "learning_rate"):
        if setting in given:
            raise InvalidInputError(f"{setting} is no option of the agent; give --{setting.replace('_', '-')}")
    for option, values in cls.choices.items():
        if option in given and values is experts.EXPERTS:
            given[option] = plugins.made("experts", given[option], task, policy)
        elif option in given:
            name = given[option]
            if not isinstance(name, str) or name not in values:
                raise InvalidInputError(f"unknown {option} {name!r}; known: {', '.join(values)}")
            given[option] = values[name]
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
