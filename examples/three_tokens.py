"""What the examples of clients share: a task (after the token t write t+1, t+2, t modulo 3, then eos) and a network."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import gymnasium as gym
import numpy as np
from torch import Tensor, nn

from seqil import Trajectories, Vocabulary

VOCABULARY = Vocabulary(size=4, eos=3)
PROMPTS = [[0], [1], [2]]
CELLS, ACTIONS = 5, VOCABULARY.num_actions
ID = "envs:seqil/TextGeneration-v0"
SETTINGS = {"vocabulary": VOCABULARY.to_json(), "max_length": 3, "prompts": PROMPTS}


def answer(prompt: Sequence[int]) -> list[int]:
    """The three tokens, and eos."""
    t = prompt[0]
    return [(t + 1) % 3, (t + 2) % 3, t, VOCABULARY.eos]


def reward(prompt: Sequence[int], tokens: Sequence[int]) -> float:
    """1 for the answer, less than a half for a part of it: half the share that is in place."""
    right = answer(prompt)
    if list(tokens) == right:
        return 1.0
    return sum(a == b for a, b in zip(tokens, right, strict=False)) / len(right) / 2


def demonstrations(n: int) -> Trajectories:
    """Right answers to the prompts in turn."""
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(n)]
    return Trajectories.from_actions(VOCABULARY, prompts, [answer(p) for p in prompts], max_length=3)


def make_env(**settings) -> gym.Env:
    return gym.make(ID, reward=reward, **{**SETTINGS, **settings})


def make_vec(num_envs: int) -> gym.vector.VectorEnv:
    """The same in one process of numpy."""
    return gym.make_vec(ID, num_envs, "vector_entry_point", autoreset_mode="SameStep", reward=reward, **SETTINGS)


def network(outputs: int, gain: float) -> nn.Sequential:
    """Two hidden layers over indicators of the cells, orthogonal; `gain` of the last layer: 0.01 for a policy."""
    widths = (CELLS * ACTIONS, 64, 64, outputs)
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, gain if layer is layers[-1] else 2**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(Indicators(), layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


class Indicators(nn.Module):
    """Cells as `OneHotObservation` shows them: int64 [..., cells] -> float32 [..., cells * ids]."""

    def forward(self, cells: Tensor) -> Tensor:
        return nn.functional.one_hot(cells.long(), ACTIONS).flatten(-2).float()


def success_rate(act: Callable[[np.ndarray, np.ndarray], int], env: gym.Env, episodes: int = 200) -> float:
    """Share of episodes that end with the whole answer; `act` sees an observation and the mask of legal actions."""
    wins = 0
    for seed in range(episodes):
        observation, info = env.reset(seed=seed)
        over = False
        while not over:
            observation, paid, terminated, truncated, info = env.step(act(observation, info["action_mask"]))
            over = terminated or truncated
        wins += paid == 1
    return wins / episodes
