"""Minari: demonstrations go there and come back, with their environment, without jax."""

import sys

import numpy as np
import pytest
import torch

from envs.tasks import Automaton
from examples.three_tokens import PROMPTS, SETTINGS, VOCABULARY
from seqil import Trajectories

pytestmark = pytest.mark.clients


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def assert_same(given: Trajectories, found: Trajectories) -> None:
    for name in ("prompts", "actions", "lengths", "ended", "max_length", "min_length"):
        ours, theirs = getattr(given, name), getattr(found, name)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs, name


def test_demonstrations_with_deletions_come_back():
    import gymnasium as gym

    from examples.minari_dataset import ABOUT, load, save
    from examples.three_tokens import ID

    texts = [[1, 2, 4, 4, 0, 3], [3], [2, 4, 0, 1, 2, 3]]
    given = Trajectories.from_actions(VOCABULARY, [[0], [2, 2], [1]], texts, max_length=3)
    env = gym.make(ID, **{**SETTINGS, "prompts": [*PROMPTS, [2, 2]]})
    dataset = save("seqil/three-v0", env, given, algorithm_name="none", **ABOUT)
    assert dataset.total_steps == 13
    again, found = load("seqil/three-v0")
    assert_same(given, found)
    for action in (None, 1, 4, 0, 2, 1, 3):
        a, b = (e.reset(seed=1) if action is None else e.step(action) for e in (env, again))
        assert np.array_equal(a[0], b[0])
        assert a[1:-1] == b[1:-1]


def test_the_example_recovers_a_task(capsys):
    from examples.minari_dataset import load, main

    main(n=3, dataset_id="seqil/few-v0")
    assert "3 demonstrations" in capsys.readouterr().out
    env, demonstrations = load("seqil/few-v0")
    assert_same(Automaton().demonstrations(3, "train", 0), demonstrations)
    env.reset(options={"prompt": demonstrations.prompts[0].tolist()})
    for action in demonstrations.actions[0].tolist():
        _, reward, terminated, _, _ = env.step(action)
    assert terminated
    assert reward == 1
    assert not [name for name in sys.modules if name.partition(".")[0] == "jax"]
