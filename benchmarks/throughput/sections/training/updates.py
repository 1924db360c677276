"""Updates of SequenceMatch, with their prefix trees and rollouts, against those of maximum likelihood."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import (
    Agent,
    Task,
    TokenPolicy,
    Trajectories,
    TrajectoryLoss,
    Vocabulary,
    mistype,
    noise,
    objectives,
    pack,
    rollout,
)
from seqil.policy.values import step_values
from seqil.runs.experiment import make_policy, make_task, make_training
from seqil.runs.settings import Chosen, ModelSettings, NoiseSettings, Settings

from ...subjects.measure import CPU, Ratio, compare, interleaved, ratio, timed

_V = Vocabulary(size=512, eos=511)
_FOREVER = 10**6


@dataclass(frozen=True)
class Size:
    """Layers, width and heads of a GPT-2, and rows and tokens of a batch."""

    layers: int
    width: int
    heads: int
    rows: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.layers} x {self.width}, {self.rows} rows of {self.tokens}"

    def policy(self, cells: int, device: torch.device, backspace: bool = True) -> TokenPolicy:
        """An untrained one."""
        own = ModelSettings(None, self.layers, self.width, self.heads, backspace, device=str(device))
        s = Settings(model=own)
        return make_policy(s, _V, cells)


SIZES = Size(2, 64, 4, rows=32, tokens=64), Size(4, 256, 8, rows=8, tokens=64)
GROUP = Size(4, 256, 8, rows=8, tokens=64)


def measure(
    repetitions: int,
    device: torch.device = CPU,
    sizes: tuple[Size, ...] = SIZES,
    group: Size = GROUP,
    prompt: int = 128,
    steps: int = 32,
) -> Iterator[Ratio]:
    """One step over as many nodes, samples of one prompt that is fed once, and whole runs of the default settings."""
    logging.getLogger("torchrl").setLevel(logging.WARNING)  # once it is imported: it sets a level itself
    for size in sizes:
        yield _packed(size, device, repetitions)
    yield _shared(group, prompt, device, repetitions)
    yield from _whole(steps, device, repetitions)


def _packed(size: Size, device: torch.device, repetitions: int) -> Ratio:
    """Demonstrations with mistakes and the policy's own trajectories, against clean texts with as many nodes."""
    g = torch.Generator().manual_seed(0)
    policy = size.policy(size.tokens + 2, device)
    texts = _texts(size.rows, size.tokens, g)
    noised = mistype(_V, texts, 0.1, noise.uniform(_V), g).to(device)
    own = rollout(policy, texts.prompts, max_length=texts.max_length, max_actions=size.tokens, generator=g)
    matching = SequenceMatch(policy, steps=_FOREVER, warm_up=0, anneal=0)
    nodes = noised.positions + own.positions
    cloning = BehaviorCloning(size.policy(size.tokens + 2, device, backspace=False), steps=_FOREVER)
    clean = _texts(round(nodes / (size.tokens + 1)), size.tokens, g).to(device)
    return compare(
        f"SequenceMatch step / maximum likelihood step per node, {size}",
        "nodes/s",
        timed(partial(_update, matching, noised, own), device),
        timed(partial(_update, cloning, clean), device),
        repetitions,
    )


def _update(agent: Agent, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> float:
    agent.update(demonstrations, rollouts)
    return agent.positions(demonstrations, rollouts)


def _texts(rows: int, tokens: int, generator: torch.Generator, prompt: int = 1) -> Trajectories:
    prompts = torch.randint(0, _V.eos, (rows, prompt), generator=generator)
    return Trajectories.from_actions(_V, prompts, torch.randint(0, _V.eos, (rows, tokens), generator=generator))


def _shared(size: Size, prompt: int, device: torch.device, repetitions: int) -> Ratio:
    """Samples of one prompt, which is fed once, against the prefix tree of each with a prompt of its own."""
    g = torch.Generator().manual_seed(0)
    texts = _texts(size.rows, size.tokens, g, prompt)
    texts = Trajectories.from_actions(_V, texts.prompts[:1].expand(size.rows, -1), texts.actions).to(device)
    shared, apart = (size.policy(prompt + size.tokens, device) for _ in range(2))
    return compare(
        f"samples of a {prompt}-token prompt fed once / in a row each, {size}",
        "samples/s",
        timed(partial(_samples, BehaviorCloning(shared, steps=_FOREVER), texts, size.rows), device),
        timed(partial(_samples, Agent(apart, RowsApart(apart), steps=_FOREVER), texts, size.rows), device),
        repetitions,
    )


class RowsApart(TrajectoryLoss):
    """What `BehaviorCloningLoss` computes, from whole prefix trees."""

    out_keys = ["loss_behavior_cloning"]  # noqa: RUF012

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        t, policy = demonstrations, self.policy
        tree = pack(t.vocabulary, t)
        values = step_values(policy.tree_hidden(tree), policy.weight, policy.bias, tree, t, policy.backspace)
        return {"loss_behavior_cloning": objectives.behavior_cloning(values)[0]}


def _samples(agent: Agent, demonstrations: Trajectories, samples: int) -> float:
    agent.update(demonstrations)
    return samples


def _whole(steps: int, device: torch.device, repetitions: int) -> Iterator[Ratio]:
    """Runs from a new model on, as `seqil train` makes them: per update, and at equal cost, as studies compare them."""
    matching = Settings(model=ModelSettings(device=str(device)), steps=steps)
    plain = replace(matching.model, backspace=False)
    likelihood = replace(matching, agent=Chosen("bc"), model=plain, noise=NoiseSettings("none"))
    task = make_task(matching)
    runs = [_Run(settings, task) for settings in (matching, likelihood)]
    updates = interleaved([timed(run, device) for run in runs], repetitions)
    costs = [[rate * run.cost / steps for rate in rates] for run, rates in zip(runs, updates, strict=True)]
    for unit, (first, second) in (("update", updates), ("position of the cost", costs)):
        name = f"SequenceMatch run / maximum likelihood run, per {unit}, automaton, {steps} updates"
        yield ratio(name, f"{unit.split()[0]}s/s", first, second)


class _Run:
    def __init__(self, settings: Settings, task: Task) -> None:
        self.settings, self.task, self.cost = settings, task, 0.0

    def __call__(self) -> float:
        training = make_training(self.settings, self.task)
        for _ in training.run():
            pass
        self.cost = training.costs()["cost"]
        return training.step
