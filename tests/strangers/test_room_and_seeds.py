"""Sizes that no machine holds are refused before they are made, and seeds may be of any integer."""

import time

import gymnasium as gym
import numpy as np
import pytest
import torch

import envs
from seqil.errors import InvalidInputError

ONE = ["TextGenerationEnv", "TextRevisionEnv"]
MANY = ["TextGenerationVectorEnv", "TextRevisionVectorEnv"]
ON_TORCH = ["TorchTextGenerationEnv", "TorchTextRevisionEnv"]


def made(face, **options):
    rows = {"num_envs": 2} if face in MANY else {}
    given = {"vocabulary": {"size": 5, "eos": 4}, "max_length": 3, "prompts": [[0], [1], [2], [3]]}
    return getattr(envs, face)(**{**given, **rows, **options})


SIZES = [
    *((face, {name: n}) for face in ONE + MANY + ON_TORCH for name in ("max_length", "max_prompt_length")
      for n in (4 * 10**10, 10**25)),
    *((face, {"vocabulary": {"size": 10**13, "eos": 4}}) for face in ONE + MANY + ON_TORCH),
    *((face, {"num_envs": n}) for face in MANY for n in (4 * 10**10, 10**25)),
    *((face, {"batch_size": n}) for face in ON_TORCH for n in (4 * 10**10, [4 * 10**5, 10**6])),
    *((face, {"memory": memory, "max_actions": 10**11})
      for face in ("TextGenerationEnv", "TextGenerationVectorEnv", "TorchTextGenerationEnv")
      for memory in ("tried", "history")),
]  # fmt: skip


@pytest.mark.parametrize(("face", "options"), SIZES, ids=str)
def test_what_fits_into_no_memory_is_refused_at_once(face, options):
    made(face)  # which imports what the first needs
    begun = time.process_time()
    with pytest.raises(
        InvalidInputError, match=r"so many cells fit into no memory; lower max_length|is beyond 64 bits; lower it"
    ):
        made(face, **options)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("face", ON_TORCH)
def test_rows_beyond_all_numbers_are_refused(face):
    with pytest.raises(InvalidInputError, match="batch_size="):
        made(face, batch_size=10**25)


def test_a_vocabulary_beyond_all_numbers_is_refused():
    with pytest.raises(InvalidInputError, match=r"ids are int64|size=10+ is beyond 64 bits"):
        made("TextGenerationEnv", vocabulary={"size": 10**25, "eos": 4})


INTEGERS = [np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)]


@pytest.mark.parametrize("seed", INTEGERS, ids=repr)
@pytest.mark.parametrize("face", ONE + MANY)
def test_a_seed_may_be_of_any_integer(face, seed):
    env = made(face)
    assert np.array_equal(env.reset(seed=seed)[0], env.reset(seed=3)[0])


@pytest.mark.parametrize("seed", INTEGERS, ids=repr)
def test_wrappers_and_vectors_of_gymnasium_hand_seeds_on(seed):
    for name in ("TextGeneration", "TextRevision"):
        settings = {"vocabulary": {"size": 5, "eos": 4}, "max_length": 3, "prompts": [[0], [1], [2], [3]]}
        env = gym.make(f"envs:seqil/{name}-v0", **settings)
        assert np.array_equal(env.reset(seed=seed)[0], env.reset(seed=3)[0])


@pytest.mark.parametrize("seed", INTEGERS, ids=repr)
@pytest.mark.parametrize("face", ON_TORCH)
def test_a_seed_of_torchrl_may_be_of_any_integer(face, seed):
    env, other = made(face), made(face, seed=seed)
    following = env.set_seed(seed)
    found = env.reset()["observation"]
    assert torch.equal(found, other.reset()["observation"])
    assert env.set_seed(3) == following
    assert torch.equal(env.reset()["observation"], found)


WRONG = [1.5, "3", True, np.bool_(True), [None, 2.5], -1, np.int64(-1), torch.tensor(2.0)]


@pytest.mark.parametrize("seed", WRONG, ids=repr)
@pytest.mark.parametrize("face", ONE + MANY + ON_TORCH)
def test_a_seed_that_is_none_is_named(face, seed):
    env = made(face)
    with pytest.raises(InvalidInputError, match="seed=") as refused:
        env.set_seed(seed) if face in ON_TORCH else env.reset(seed=seed)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seeds", [[np.int64(3), None], np.array([3, 4]), torch.tensor([3, 4])], ids=repr)
def test_seeds_of_rows_may_be_of_any_integer(seeds):
    env = made("TextGenerationVectorEnv")
    expected = env.reset(seed=[None if seed is None else int(seed) for seed in seeds])[0]
    assert np.array_equal(env.reset(seed=seeds)[0][0], expected[0])
