"""Trajectories as episodes of an environment, arrays that Minari, d3rlpy and imitation take, and back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from seqil import Trajectories, Vocabulary


@dataclass(frozen=True)
class Episode:
    """T steps: `observations` [T + 1, cells], the rest [T]."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray


def play(env: gym.Env, trajectories: Trajectories) -> Iterator[Episode]:
    """Take every action of every trajectory in the environment."""
    for prompt, prompt_length, actions, length in zip(
        trajectories.prompts.tolist(),
        trajectories.prompt_lengths.tolist(),
        trajectories.actions.numpy(),
        trajectories.lengths.tolist(),
        strict=True,
    ):
        first, _ = env.reset(options={"prompt": prompt[:prompt_length]})
        steps = [env.step(action) for action in actions[:length]]
        observations, rewards, terminations, truncations, _ = zip(*steps, strict=True)
        yield Episode(
            np.stack([first, *observations]),
            actions[:length],
            np.array(rewards),
            np.array(terminations),
            np.array(truncations),
        )


def gather(vocabulary: Vocabulary, episodes: Iterable, *, max_length: int, min_length: int = 0) -> Trajectories:
    """The trajectories of episodes; a prompt is what the first of their observations shows."""
    episodes = list(episodes)
    prompts = [e.observations[0][e.observations[0] != vocabulary.size].tolist() for e in episodes]
    actions = [e.actions.tolist() for e in episodes]
    return Trajectories.from_actions(vocabulary, prompts, actions, max_length=max_length, min_length=min_length)
