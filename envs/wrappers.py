"""What clients need that take neither integer cells nor `info`: who needs what stands in docs/clients.md."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from seqil.errors import InvalidInputError, MissingExtraError

from .text_generation import TextGenerationEnv
from .vector import TextGenerationVectorEnv

Floats = NDArray[np.float32]
Observation = dict[str, NDArray[Any]]


class OneHotObservation(gym.ObservationWrapper[Floats, np.int64, NDArray[np.int64]], RecordConstructorArgs):
    """Cells as one-hot rows, flat: float32 [C * (V + 1)], for networks that begin with a linear layer.

    Args:
        env: a `TextGenerationEnv`.
    """

    def __init__(self, env: gym.Env[NDArray[np.int64], np.int64]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        box = _cells(env)
        self._eye = np.eye(int(box.high.max()) + 1, dtype=np.float32)
        self.observation_space = spaces.Box(0, 1, (box.shape[0] * len(self._eye),), np.float32)

    def observation(self, observation: NDArray[np.int64]) -> Floats:
        """One row of the identity per cell."""
        return self._eye[observation].reshape(-1)


class MaskedObservation(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """The observation with the mask of legal actions in one dict, for clients that read no `info`.

    Args:
        env: a `TextGenerationEnv`, or a wrapper around one.
        observation: key of the observation: tianshou asks for `obs`, RLlib for `observations`.
        mask: key of the mask, int8 [actions]: tianshou asks for `mask`, RLlib for `action_mask`.
    """

    def __init__(
        self, env: gym.Env[NDArray[Any], np.int64], observation: str = "observation", mask: str = "action_mask"
    ) -> None:
        for name, key in (("observation", observation), ("mask", mask)):
            if not isinstance(key, str):
                raise InvalidInputError(f"{name}={key!r:.60} is not a key of a dict: give a str")
        RecordConstructorArgs.__init__(self, observation=observation, mask=mask)
        gym.Wrapper.__init__(self, env)
        if observation == mask:
            raise InvalidInputError(f"observation and mask have the same key {mask!r}; give two names")
        self._names = observation, mask
        actions = int(env.action_space.n)  # type: ignore[attr-defined]
        legal = spaces.MultiBinary(actions)
        self.observation_space = spaces.Dict({observation: env.observation_space, mask: legal})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Any]:
        """Start, as the environment does."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._both(observation, info), info

    def step(self, action: np.int64) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        """One action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._both(observation, info), reward, terminated, truncated, info

    def _both(self, observation: NDArray[Any], info: dict[str, Any]) -> Observation:
        name, mask = self._names
        return {name: observation, mask: info["action_mask"]}


def stable_baselines_vec_env(env: TextGenerationVectorEnv) -> Any:
    """A `VecEnv` of Stable-Baselines3 over the vector environment; MaskablePPO of sb3-contrib finds its masks.

    Args:
        env: with `autoreset_mode=SAME_STEP`, which is what a `VecEnv` does.

    Raises:
        InvalidInputError: another mode.
        MissingExtraError: Stable-Baselines3 is not installed.
    """
    if not hasattr(env, "num_envs") or not hasattr(env, "autoreset_mode"):
        raise InvalidInputError(
            f"stable_baselines_vec_env: {env!r:.60} is no vector environment; make one, TextGenerationVectorEnv say"
        )
    if env.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise InvalidInputError(
            f"a VecEnv starts rows anew at once; make the environment with {AutoresetMode.SAME_STEP}"
        )
    try:
        from stable_baselines3.common.vec_env import VecEnv
    except ImportError:
        raise MissingExtraError(
            "stable_baselines_vec_env needs Stable-Baselines3; in the folder of seqil: pip install -e '.[clients]'"
        ) from None

    class Rows(VecEnv):  # type: ignore[misc]  # it is not followed
        """The rows of a vector environment."""

        def __init__(self) -> None:
            super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

        def reset(self) -> NDArray[np.int64]:
            given = any(seed is not None for seed in self._seeds)
            observations, info = env.reset(seed=self._seeds if given else None)
            self.reset_infos = [_row(info, row) for row in range(env.num_envs)]
            self._reset_seeds()
            self._reset_options()
            return observations

        def step_async(self, actions: NDArray[np.int64]) -> None:
            self._actions = actions

        def step_wait(self) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_], list[dict[str, Any]]]:
            observations, rewards, terminated, truncated, info = env.step(self._actions)
            over = terminated | truncated
            infos = [_row(info["final_info"] if over[row] else info, row) for row in range(env.num_envs)]
            for row in np.flatnonzero(over).tolist():
                infos[row]["terminal_observation"] = info["final_obs"][row]
                infos[row]["TimeLimit.truncated"] = bool(truncated[row])
            return observations, rewards.astype(np.float32), over, infos

        def close(self) -> None:
            env.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(env, attr_name)] * len(self._rows(indices))

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise InvalidInputError(f"{attr_name!r} cannot be set row by row; make the environment with it")

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            if method_name != "action_masks":
                raise InvalidInputError(f"rows have no method {method_name!r}; call it of the vector environment")
            return [*env.action_masks()[self._rows(indices)]]

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * len(self._rows(indices))

        def _rows(self, indices: Any) -> list[int]:
            return list(range(env.num_envs)) if indices is None else [*np.atleast_1d(indices)]

    return Rows()


def _cells(env: gym.Env[Any, Any]) -> spaces.Box:
    box = env.observation_space
    if not isinstance(env.unwrapped, TextGenerationEnv) or not isinstance(box, spaces.Box) or box.dtype != np.int64:
        raise InvalidInputError("OneHotObservation takes a TextGenerationEnv, whose observations are cells")
    return box


def _row(info: dict[str, Any], row: int) -> dict[str, Any]:
    return {key: value[row] for key, value in info.items() if not key.startswith(("_", "final_"))}
