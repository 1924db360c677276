"""`check_env` accepts ours and names the fault of broken ones."""

import gymnasium as gym
import numpy as np
import pytest

from envs import TextGenerationEnv
from seqil import Vocabulary
from seqil.mdp.memory import MEMORIES
from seqil.testing import check_env

V = Vocabulary(size=4, eos=3)
LIMITS = {"max_length": 4, "min_length": 1}


def make(**settings):
    return TextGenerationEnv(V, prompts=[[0], [1, 2]], **LIMITS, **settings)


@pytest.mark.parametrize(
    "settings", [{}, {"backspace": False}, {"fixed_horizon": True}, {"max_prompt_length": 4, "max_actions": 5}]
)
def test_ours_conforms(settings):
    check_env(lambda: make(**settings), V, **LIMITS)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("settings", [{}, {"fixed_horizon": True}, {"max_prompt_length": 4, "max_actions": 25}])
def test_ours_conforms_under_every_memory(settings, memory):
    check_env(lambda: make(memory=memory, **settings), V, memory=memory, **LIMITS)


def test_a_mask_that_forgets_is_named():
    with pytest.raises(AssertionError, match=r"action_mask .* should be"):
        check_env(lambda: make(), V, memory="tried", **LIMITS)
    with pytest.raises(AssertionError, match=r"observation .* should be"):
        check_env(lambda: make(), V, memory="history", **LIMITS)


class Broken(gym.Wrapper):
    """Hands on what `change` makes of every step."""

    def __init__(self, change):
        super().__init__(make())
        self.change = change

    @property
    def unwrapped(self):
        return self.env.unwrapped

    def step(self, action):
        return self.change(action, *super().step(action))


def mask_of_ones(action, observation, *rest):
    return observation, *rest[:-1], {**rest[-1], "action_mask": np.ones_like(rest[-1]["action_mask"])}


def late_mask(action, observation, *rest):
    return observation, *rest[:-1], {**rest[-1], "length": rest[-1]["length"] + 1}


def shown_backspace(action, observation, *rest):
    observation = observation.copy()
    if action == V.backspace:
        observation[-1] = 0
    return observation, *rest


def early_end(action, observation, reward, terminated, truncated, info):
    return observation, reward, bool(action == 1) or terminated, truncated, info


def rich(action, observation, reward, *rest):
    return observation, float("inf"), *rest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (mask_of_ones, "action_mask"),
        (late_mask, "length"),
        (shown_backspace, "observation"),
        (early_end, "no eos was generated"),
        (rich, "reward"),
    ],
)
def test_a_broken_one_is_told_where(change, says):
    with pytest.raises(AssertionError, match=says) as caught:
        check_env(lambda: Broken(change), V, **LIMITS)
    assert "\n" not in str(caught.value)


def test_wrong_settings_are_found():
    with pytest.raises(AssertionError, match="actions; "):
        check_env(make, Vocabulary(size=6, eos=3), **LIMITS)
    with pytest.raises(AssertionError, match="action_mask"):
        check_env(make, V, max_length=3, min_length=1)
