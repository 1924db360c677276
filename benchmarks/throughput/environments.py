"""Steps per second of the environments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs import TextGenerationEnv, TextGenerationVectorEnv
from seqil import Vocabulary

from .measure import Ratio, compare, timed

_V = Vocabulary(size=16, eos=15)


def measure(repetitions: int) -> Iterator[Ratio]:
    """The vector environment against Gymnasium's over single ones."""
    for rows in (1, 64, 1024):
        ours = TextGenerationVectorEnv(_V, num_envs=rows, max_length=32, prompts=[[0, 1]])
        peer = SyncVectorEnv([_single] * rows, autoreset_mode=AutoresetMode.SAME_STEP)
        name = f"vector env / SyncVectorEnv, {rows} rows"
        ways = timed(partial(walk, ours, rows, 200)), timed(partial(walk, peer, rows, 20))
        yield compare(name, "steps/s", *ways, repetitions)


def _single() -> TextGenerationEnv:
    return TextGenerationEnv(_V, max_length=32, prompts=[[0, 1]])


def walk(env: TextGenerationVectorEnv | SyncVectorEnv, rows: int, steps: int) -> float:
    """Random actions from a reset on."""
    actions = np.random.default_rng(0).integers(0, _V.num_actions, (steps, rows))
    env.reset(seed=0)
    for row in actions:
        env.step(row)
    return steps * rows
