"""Rollouts and steps of training under the memories `tried` and `history`, against `prefix`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch

from agents.behavior_cloning import BehaviorCloning
from seqil import Agent, TokenPolicy, Trajectories, Vocabulary, mistype, noise, rollout
from seqil.runs.experiment import make_policy
from seqil.runs.settings import ModelSettings, Settings

from ...subjects.measure import CPU, Ratio, compare, timed

_ROWS, _LENGTH, _FOREVER = 64, 32, 10**6
_DELETIONS = 0.2


def measure(repetitions: int, sizes: tuple[int, ...] = (512, 8192), length: int = _LENGTH) -> Iterator[Ratio]:
    """Actions of a policy that deletes at every fifth, of few and of many tokens; and nodes of its training."""
    for size in sizes:
        v = Vocabulary(size, size - 1)
        for memory in ("tried", "history"):
            ours, peer = (partial(_rollout, _deleting(v, m, length), length) for m in (memory, "prefix"))
            name = f"rollout, {memory} / prefix, 2 x 64, {size} tokens, {_ROWS} rows of {2 * length} actions"
            yield compare(name, "actions/s", timed(ours, CPU), timed(peer, CPU), repetitions)
    for size in sizes:
        v = Vocabulary(size, size - 1)
        for memory in ("tried", "history"):
            agents = [BehaviorCloning(_deleting(v, m, length), steps=_FOREVER) for m in (memory, "prefix")]
            ours, peer = (partial(_update, agent, _demonstrations(v, length)) for agent in agents)
            name = f"step of cloning per node, {memory} / prefix, 2 x 64, {size} tokens"
            yield compare(name, "nodes/s", timed(ours, CPU), timed(peer, CPU), repetitions)


@torch.no_grad()
def _deleting(v: Vocabulary, memory: str, length: int) -> TokenPolicy:
    """An untrained policy but for the probability of a deletion, which is the same everywhere."""
    policy = make_policy(Settings(model=ModelSettings(memory=memory)), v, 4 * length + 1)
    norm = policy.model.transformer.ln_f
    norm.weight[0], norm.bias[0] = 0, 1
    policy.weight[v.backspace] = 0
    policy.weight[v.backspace, 0] = math.log(v.size * _DELETIONS / (1 - _DELETIONS))
    return policy


def _rollout(policy: TokenPolicy, length: int) -> float:
    t = rollout(
        policy,
        [[0]] * _ROWS,
        max_length=2 * length,
        min_length=2 * length,
        max_actions=2 * length,
        generator=torch.Generator().manual_seed(0),
    )
    return float(t.lengths.sum())


def _demonstrations(v: Vocabulary, length: int) -> Trajectories:
    """With one mistake to nine genuine tokens."""
    g = torch.Generator().manual_seed(0)
    prompts, texts = (torch.randint(0, v.eos, (_ROWS // 2, n), generator=g) for n in (1, length))
    clean = Trajectories.from_actions(v, prompts, texts)
    return mistype(v, clean, 0.1, noise.uniform(v), g, memory="tried")


def _update(agent: Agent, demonstrations: Trajectories) -> float:
    agent.update(demonstrations)
    return demonstrations.positions
