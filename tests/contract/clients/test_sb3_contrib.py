"""sb3-contrib: MaskablePPO learns a task of three tokens and takes legal actions only."""

import pytest

from envs.wrappers import OneHotObservation
from examples.three_tokens import make_env

pytestmark = pytest.mark.clients


def test_maskable_ppo_learns_three_tokens():
    from sb3_contrib import MaskablePPO

    from examples.stable_baselines_ppo import success, train

    assert success(train(MaskablePPO, 512)) < 0.2
    model = train(MaskablePPO, 15_360)
    assert success(model) > 0.9
    assert not illegal(model, masked=True)


def test_its_masks_are_what_keeps_actions_legal():
    from sb3_contrib import MaskablePPO

    from examples.stable_baselines_ppo import train

    model = train(MaskablePPO, 512)
    assert not illegal(model, masked=True)
    assert illegal(model, masked=False)


def illegal(model, masked: bool) -> int:
    """Illegal actions in twenty episodes."""
    env, count = OneHotObservation(make_env()), 0
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        over = False
        while not over:
            masks = {"action_masks": env.get_wrapper_attr("action_masks")()} if masked else {}
            observation, _, terminated, truncated, info = env.step(model.predict(observation, **masks)[0])
            over = terminated or truncated
        count += int(info["illegal"])
    return count
