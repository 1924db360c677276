"""Stable-Baselines3: its checker, DQN and PPO."""

import warnings

import pytest

from envs import TextGenerationEnv, TextRevisionEnv
from envs.wrappers import OneHotObservation
from examples.three_tokens import SETTINGS, make_env

pytestmark = pytest.mark.clients
LARGE = {"size": 1001, "eos": 3}


@pytest.mark.parametrize(
    "settings", [{}, {"backspace": False}, {"fixed_horizon": True}, {"max_prompt_length": 4}, {"min_length": 2}]
)
def test_its_checker_finds_no_fault_and_warns_of_nothing(settings):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(TextGenerationEnv(**{**SETTINGS, **settings}))


@pytest.mark.parametrize("settings", [{}, {"start": "noise"}, {"positions": "end"}, {"vocabulary": LARGE}])
def test_its_checker_finds_no_fault_with_edits(settings):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(TextRevisionEnv(**{**SETTINGS, **settings}))


def test_ppo_takes_edits_as_they_are():
    from stable_baselines3 import PPO

    for settings in ({}, {"vocabulary": LARGE}):
        env = TextRevisionEnv(**{**SETTINGS, **settings})
        model = PPO("MlpPolicy", env, n_steps=64, seed=0, device="cpu").learn(128)
        action, _ = model.predict(env.reset(seed=0)[0])
        assert env.action_space.contains(action)


@pytest.mark.parametrize("name", ["DQN", "PPO"])
def test_ids_are_taken_as_they_are(name):
    import stable_baselines3

    env = make_env()
    model = getattr(stable_baselines3, name)("MlpPolicy", env, seed=0, device="cpu").learn(256)
    action, _ = model.predict(env.reset(seed=0)[0])
    assert env.action_space.contains(action)


def test_dqn_learns():
    from stable_baselines3 import DQN
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    env = Monitor(OneHotObservation(make_env()))
    model = DQN(
        *("MlpPolicy", env, 1e-3),
        **{"learning_starts": 200, "batch_size": 128, "gradient_steps": 2, "gamma": 0.9, "exploration_fraction": 0.7},
        **{"target_update_interval": 500, "seed": 0, "device": "cpu"},
    )
    before, _ = evaluate_policy(model, env, 60)
    assert before < 0.3
    after, _ = evaluate_policy(model.learn(10_000), env, 60)
    assert after > 0.6


def test_ppo_learns():
    from stable_baselines3 import PPO

    from examples.stable_baselines_ppo import success, train

    assert success(train(PPO, 512)) < 0.2
    assert success(train(PPO, 15_360)) > 0.8
