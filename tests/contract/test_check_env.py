"""`check_env` accepts ours and names the fault of broken ones."""

from itertools import count

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

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


def unchanged(action, *step):
    return step


class Broken(gym.Wrapper):
    """Hands on what `change` makes of every step."""

    def __init__(self, change=unchanged):
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


class Elsewhere(Broken):
    """Of other spaces than it has."""

    def __init__(self, **changed):
        super().__init__()
        for name, space in changed.items():
            setattr(self, name, space)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"observation_space": spaces.MultiDiscrete([5] * 6)}, "observation space is a MultiDiscrete, not a Box"),
        ({"observation_space": spaces.Box(0, 4, (6,), np.int32)}, r"is not int64 \[cells\]"),
        ({"observation_space": spaces.Box(0, 4, (2, 3), np.int64)}, r"is not int64 \[cells\]"),
        ({"action_space": spaces.MultiDiscrete([5])}, "action space is a MultiDiscrete, not Discrete"),
        ({"action_space": spaces.Discrete(7)}, "7 actions; "),
    ],
)
def test_a_space_of_another_kind_is_told(changed, says):
    with pytest.raises(AssertionError, match=says):
        check_env(lambda: Elsewhere(**changed), V, **LIMITS)


class Alone(TextGenerationEnv):
    """Broken in itself: what Gymnasium's own checker sees."""

    def __init__(self):
        super().__init__(V, prompts=[[0], [1, 2]], **LIMITS)


class Outside(Alone):
    def reset(self, **options):
        observation, info = super().reset(**options)
        return observation - 9, info


class Uninformed(Broken):
    """Its first state lacks what a policy needs."""

    def __init__(self, lacks):
        super().__init__()
        self.lacks = lacks

    def reset(self, **options):
        observation, info = super().reset(**options)
        return observation, {name: value for name, value in info.items() if name != self.lacks}


class Unseeded(Broken):
    """Prompts that no seed repeats."""

    resets = count()

    def reset(self, *, seed=None, **options):
        return super().reset(seed=next(self.resets), **options)


class Drawn(Broken):
    """Rewards that no seed repeats."""

    rewards = count()

    def __init__(self):
        super().__init__(lambda action, observation, reward, *rest: (observation, float(next(self.rewards)), *rest))


class Reused(Broken):
    """One array for all observations."""

    def __init__(self):
        super().__init__(self.written)

    def reset(self, **options):
        self.array, info = super().reset(**options)
        return self.array, info

    def written(self, action, observation, *rest):
        self.array[:] = observation
        return self.array, *rest


class Forgetful(Broken):
    """A pickled copy begins another episode."""

    def __reduce__(self):
        return begun, ()


def begun():
    env = Forgetful()
    env.reset(seed=1)
    return env


class Corrected(Broken):
    """An illegal action is taken for the token 0, or `eos` where the text is full."""

    def reset(self, **options):
        observation, info = super().reset(**options)
        self.legal = info["action_mask"]
        return observation, info

    def step(self, action):
        taken = super().step(action if self.legal[action] else int(np.flatnonzero(self.legal)[0]))
        self.legal = taken[-1]["action_mask"]
        return taken


class Lasting(Broken):
    """After `eos` the episode goes on, and everything is legal."""

    def __init__(self):
        super().__init__(self.going_on)

    def going_on(self, action, observation, reward, terminated, truncated, info):
        mask = info["action_mask"]
        return (
            observation,
            reward,
            False,
            truncated,
            {**info, "action_mask": np.ones_like(mask) if terminated else mask},
        )


class Endless(Broken):
    """The walk never ends it."""

    def __init__(self):
        super().__init__()
        self.env = make(fixed_horizon=True, max_actions=10_000)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Outside, "observation"),
        *((lambda lacks=lacks: Uninformed(lacks), f"info lacks '{lacks}'") for lacks in ("length", "prompt_length")),
        (lambda: Uninformed("action_mask"), "info lacks 'action_mask'"),
        (Unseeded, "two resets with seed 0 differ"),
        (Drawn, "two environments with equal seeds differ"),
        (Reused, "an earlier observation was overwritten"),
        (Forgetful, "two environments with equal seeds differ"),
        (Corrected, "should be"),
        (Lasting, "action_mask"),
        (Endless, "give the environment a budget"),
    ],
)
def test_every_sentence_has_an_environment_that_breaks_it(broken, says):
    with pytest.raises(AssertionError, match=says):
        check_env(broken, V, **LIMITS)


def test_wrong_settings_are_found():
    with pytest.raises(AssertionError, match="actions; "):
        check_env(make, Vocabulary(size=6, eos=3), **LIMITS)
    with pytest.raises(AssertionError, match="action_mask"):
        check_env(make, V, max_length=3, min_length=1)
