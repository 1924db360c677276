"""Updates of SequenceMatch, with their prefix trees and rollouts, against those of maximum likelihood."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import Agent, TokenPolicy, Trajectories, Vocabulary, mistype, noise, rollout
from seqil.experiment import Settings, make_policy, make_task, make_training

from .measure import CPU, Ratio, compare, interleaved, ratio, timed

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
        s = Settings(layers=self.layers, width=self.width, heads=self.heads, backspace=backspace, device=str(device))
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
    """One step over as many nodes, samples of one prompt in one tree, and whole runs of the default settings."""
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
    """Samples of one prompt as one trajectory that deletes each before the next, against a row for each."""
    g = torch.Generator().manual_seed(0)
    apart = _texts(size.rows, size.tokens, g, prompt)
    apart = Trajectories.from_actions(_V, apart.prompts[:1].expand(size.rows, -1), apart.actions).to(device)
    agents = [BehaviorCloning(size.policy(prompt + size.tokens, device), steps=_FOREVER) for _ in range(2)]
    return compare(
        f"samples of a {prompt}-token prompt in one tree / in a row each, {size}",
        "samples/s",
        timed(partial(_samples, agents[0], in_one_tree(apart), size.rows), device),
        timed(partial(_samples, agents[1], apart, size.rows), device),
        repetitions,
    )


def in_one_tree(texts: Trajectories) -> Trajectories:
    """Texts of equal length after one prompt as one trajectory, in which only what they wrote counts."""
    deletions = torch.full_like(texts.actions, texts.vocabulary.backspace)
    actions = torch.cat([texts.actions, deletions], 1).view(1, -1)
    written = torch.cat([texts.imitate, torch.zeros_like(texts.imitate)], 1).view(1, -1)
    return Trajectories.from_actions(
        texts.vocabulary, texts.prompts[:1], actions, max_length=texts.max_length, imitate=written
    )


def _samples(agent: Agent, demonstrations: Trajectories, samples: int) -> float:
    agent.update(demonstrations)
    return samples


def _whole(steps: int, device: torch.device, repetitions: int) -> Iterator[Ratio]:
    """Runs from a new model on, as `seqil train` makes them: the same updates, and the same nodes."""
    matching = Settings(task="automaton", agent="sequence_match", steps=steps, device=str(device))
    likelihood = Settings(task="automaton", agent="bc", backspace=False, noise="none", steps=steps, device=str(device))
    task = make_task(matching)
    runs = [_Run(settings, task) for settings in (matching, likelihood)]
    updates = interleaved([timed(run, device) for run in runs], repetitions)
    nodes = [[rate * run.nodes / steps for rate in rates] for run, rates in zip(runs, updates, strict=True)]
    for unit, (first, second) in (("update", updates), ("node", nodes)):
        name = f"SequenceMatch run / maximum likelihood run, per {unit}, automaton, {steps} updates"
        yield ratio(name, f"{unit}s/s", first, second)


class _Run:
    def __init__(self, settings: Settings, task: Any) -> None:
        self.settings, self.task, self.nodes = settings, task, 0.0

    def __call__(self) -> float:
        training = make_training(self.settings, self.task)
        for _ in training.run():
            pass
        self.nodes = training.training_positions
        return training.step
