"""The examples that need no extra learn, at half of their default length; TorchRL's wrapper around our environments."""

import pytest
from torchrl.envs import GymWrapper
from torchrl.envs.utils import check_env_specs

from examples.three_tokens import make_env, make_vec


@pytest.mark.parametrize("make", [make_env, lambda: make_vec(3)], ids=["one", "vector"])
def test_torchrl_wraps_the_gymnasium_environments(make):
    env = GymWrapper(make(), categorical_action_encoding=True)
    check_env_specs(env)
    run = env.rollout(30, break_when_any_done=False)
    assert run["next", "done"].any()
    assert run["action"].shape == run.batch_size


@pytest.mark.filterwarnings(
    "ignore:Creating .*WeightUpdater which inherits:DeprecationWarning"
)  # TorchRL's own classes
def test_torchrl_ppo():
    from examples.torchrl_ppo import main

    assert main(frames=512) < 0.2
    assert main(frames=7680) > 0.6


def test_cleanrl_ppo():
    from examples.cleanrl_ppo import main

    assert main(updates=1) < 0.2
    assert main(updates=15) > 0.6


def test_a_walk_by_learned_values_has_more_right_texts_than_plain_samples():
    from examples.learned_walk import main

    (found,) = main(seeds=1, updates=60, texts=100)
    assert found["drawn"][0] + 0.1 < min(found[way][0] for way in ("walk", "values, no step back", "best of 18"))
    assert found["walk by the judge"][0] == 1
    assert (found["drawn"][1], found["best of 18"][1]) == (1.0, 36.0)
    assert found["values, no step back"][1] < found["walk"][1]
