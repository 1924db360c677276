"""Conformance of Gymnasium environments of the prefix MDP."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasium_check

from ..mdp.memory import PREFIX, Memory
from ..mdp.prefix import Prefixes, legal_actions, start, transition
from ..mdp.vocabulary import Vocabulary

_EPISODES, _STEPS = 20, 200


def check_env(
    make_env: Callable[[], gym.Env[Any, Any]],
    vocabulary: Vocabulary,
    *,
    max_length: int,
    min_length: int = 0,
    memory: Memory | str = PREFIX,
) -> None:
    """Prove that an environment is the prefix MDP; an AssertionError says in one line where it is not.

    Checked: Gymnasium's own checker; the spaces; on random walks of legal and illegal actions, that the observation
    and `info["action_mask"]` are those of `seqil.transition` and `seqil.legal_actions`, that `info["length"]` counts
    the cells, that a generated `eos` terminates or leaves `eos` as the only legal action, that rewards are finite;
    that equal seeds give equal episodes, observations are not overwritten later, and a pickled copy goes on alike.

    Args:
        make_env: a fresh environment at each call.
        vocabulary: the ids; whether there is a backspace is read from the action space.
        max_length: most generated tokens.
        min_length: fewest before `eos` is legal.
        memory: of the states; under `history` the observation is all that was done.
    """
    env, twin = make_env(), make_env()
    gymnasium_check(env.unwrapped, skip_render_check=True)
    v, box, actions = Vocabulary.of(vocabulary), env.observation_space, env.action_space
    assert isinstance(box, spaces.Box), f"the observation space is a {type(box).__name__}, not a Box"
    assert (box.dtype, len(box.shape)) == (np.dtype(np.int64), 1), f"{box} is not int64 [cells]"
    assert isinstance(actions, spaces.Discrete), f"the action space is a {type(actions).__name__}, not Discrete"
    assert actions.n in (v.size, v.num_actions), f"{actions.n} actions; {v} has {v.size}, or {v.num_actions}"
    random, limits = np.random.default_rng(0), (max_length, min_length, Memory.of(memory))
    for seed in range(_EPISODES):
        _check_episode(env, twin, _Model(v, bool(actions.n == v.num_actions), limits), seed, random)


class _Model:
    """The same episode by `seqil.transition`."""

    def __init__(self, v: Vocabulary, backspace: bool, limits: tuple[int, int, Memory]) -> None:
        self.v, self.backspace, self.limits = v, backspace, limits
        self.actions = v.num_actions if backspace else v.size
        self.state: Prefixes

    def begin(self, prompt: list[int]) -> None:
        self.state = start(self.v, [prompt], *self.limits)

    def act(self, action: int) -> None:
        self.state = transition(self.v, self.state, torch.tensor([action]))

    def compare(self, observation: Any, info: dict[str, Any], at: str) -> None:
        cells, history = self.state.texts(prompt=True)[0], self.state.history
        if history is not None:
            cells = history.cells[0, : int(history.length)].tolist()
        cells += [self.limits[2].empty(self.v.size)] * (len(observation) - len(cells))
        assert observation.tolist() == cells, f"{at}: observation {observation.tolist()}, should be {cells}"
        legal = legal_actions(self.v, self.state, self.backspace)[0].int().tolist()
        legal = legal[: self.actions]
        mask = np.asarray(info["action_mask"]).astype(int).tolist()
        assert mask == legal, f"{at}: action_mask {mask}, should be {legal}"
        assert int(info["length"]) == int(self.state.length), f"{at}: length {info['length']}"


def _check_episode(
    env: gym.Env[Any, Any], twin: gym.Env[Any, Any], model: _Model, seed: int, random: np.random.Generator
) -> None:
    observation, info = env.reset(seed=seed)
    assert np.array_equal(observation, twin.reset(seed=seed)[0]), f"two resets with seed {seed} differ"
    for key in ("action_mask", "length", "prompt_length"):
        assert key in info, f"info lacks {key!r}"
    model.begin(observation[: int(info["prompt_length"])].tolist())
    model.compare(observation, info, f"reset with seed {seed}")
    for step in range(_STEPS):
        at, before = f"seed {seed}, step {step}", observation.copy()
        action = int(random.integers(model.actions))
        if step == 3:
            twin = pickle.loads(pickle.dumps(twin))
        kept, (observation, reward, terminated, truncated, info) = observation, env.step(action)
        assert np.array_equal(kept, before), f"{at}: an earlier observation was overwritten"
        again = twin.step(action)
        assert np.array_equal(again[0], observation), f"{at}: two environments with equal seeds differ"
        assert again[1:4] == (reward, terminated, truncated), f"{at}: two environments with equal seeds differ"
        assert math.isfinite(reward), f"{at}: reward {reward}"
        model.act(action)
        model.compare(observation, info, at)
        assert not terminated or bool(model.state.ended), f"{at}: terminated, but no eos was generated"
        if terminated or truncated:
            return
    raise AssertionError(f"seed {seed}: no end after {_STEPS} random actions; give the environment a budget")
