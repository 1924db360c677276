"""Stable-Baselines3 PPO and sb3-contrib MaskablePPO: `python -m examples.stable_baselines_ppo` (extra `clients`)."""

import numpy as np
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from envs.wrappers import OneHotObservation
from examples.three_tokens import make_env, success_rate


def train(algorithm: type[PPO] | type[MaskablePPO], steps: int, seed: int = 0) -> PPO | MaskablePPO:
    envs = make_vec_env(lambda: OneHotObservation(make_env()), n_envs=4)
    options = {"n_steps": 128, "gamma": 0.95, "ent_coef": 0.01, "seed": seed, "device": "cpu"}
    return algorithm("MlpPolicy", envs, learning_rate=lambda left: 2e-3 * left, **options).learn(steps)


def success(model: PPO | MaskablePPO) -> float:
    """Success rate of sampled actions, masked where the model knows masks."""

    def act(observation: np.ndarray, mask: np.ndarray) -> int:
        masks = {"action_masks": mask.astype(bool)} if isinstance(model, MaskablePPO) else {}
        return int(model.predict(observation, **masks)[0])

    return success_rate(act, OneHotObservation(make_env()))


def main(steps: int = 15_360) -> dict[str, float]:
    return {algorithm.__name__: success(train(algorithm, steps)) for algorithm in (PPO, MaskablePPO)}


if __name__ == "__main__":
    for name, rate in main().items():
        print(f"{name}: success {rate:.2f}")
