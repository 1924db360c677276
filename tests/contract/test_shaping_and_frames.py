"""Rewards of one's own for every action, on every face; pictures of texts; texts without a prompt."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.wrappers import AddRenderObservation
from tensordict import TensorDict

import envs
from envs.frames import HEIGHT, WIDTH, frame
from seqil import Vocabulary
from seqil.errors import InvalidInputError

V = Vocabulary(size=4, eos=3)
SETTINGS = {"max_length": 3, "prompts": [[0], [1]], "max_actions": 10}
ACTIONS = (1, 2, V.backspace, 2, 0, V.backspace, 1, V.eos)


def length(prompt, tokens):
    """A potential: tokens that stand, weighed by their place, so that no two texts on a way share it by chance."""
    return sum((at + 1) * (token + 1) for at, token in enumerate(tokens)) + 100 * prompt[0]


def difference(prompt, before, after):
    return length(prompt, after) - length(prompt, before)


def test_rewards_of_actions_telescope():
    env = envs.TextGenerationEnv(V, step_reward=difference, reward=lambda prompt, tokens: 1000.0, **SETTINGS)
    env.reset(options={"prompt": [1]})
    paid = [env.step(action)[1] for action in ACTIONS]
    prompt, tokens = env.text()
    assert (prompt, tokens) == ([1], [1, 2, 1, V.eos])
    assert paid[:3] == [2.0, 6.0, -6.0]
    assert sum(paid) == length(prompt, tokens) - length(prompt, []) + 1000


def test_an_illegal_action_changes_no_text():
    seen = []
    env = envs.TextGenerationEnv(V, step_reward=lambda *three: seen.append(three) or 0.5, **SETTINGS)
    env.reset(options={"prompt": [0]})
    assert env.step(V.backspace)[1] == 0.5
    assert seen == [([0], [], [])]


def test_every_face_pays_the_same():
    random = np.random.default_rng(0)
    many = envs.TextGenerationVectorEnv(V, num_envs=3, step_reward=difference, **SETTINGS)
    one = envs.TextGenerationEnv(V, step_reward=difference, **SETTINGS)
    torch_env = envs.TorchTextGenerationEnv(V, batch_size=3, step_reward=difference, **SETTINGS)
    observed, _ = many.reset(seed=0)
    prompts = [int(row[0]) for row in observed]
    state = torch_env.reset(TensorDict(prompt=torch.tensor(prompts)[:, None], batch_size=[3]))
    actions = random.integers(0, V.num_actions, (8, 3))
    rewards, alive = [], np.ones(3, dtype=bool)
    for row in actions:
        _, paid, terminated, truncated, _ = many.step(row)
        state = torch_env.step(state.set("action", torch.tensor(row)))["next"]
        rewards.append(np.where(alive, paid, 0))
        np.testing.assert_array_equal(state["reward"][:, 0].numpy()[alive], rewards[-1][alive])
        alive &= ~(terminated | truncated)
    for row in range(3):
        one.reset(options={"prompt": [prompts[row]]})
        for t, action in enumerate(actions[:, row]):
            _, paid, terminated, truncated, _ = one.step(action)
            assert paid == rewards[t][row]
            if terminated or truncated:
                break
    assert np.abs(rewards).sum() > 0


def test_what_is_no_function_and_what_cannot_be_paid_afterwards_is_refused():
    with pytest.raises(InvalidInputError, match="step_reward=1"):
        envs.TextGenerationEnv(V, step_reward=1.0, **SETTINGS)
    with pytest.raises(InvalidInputError, match="reward='success' is not a function of prompt and text"):
        envs.TextGenerationEnv(V, reward="success", **SETTINGS)
    from seqil import Trajectories

    env = envs.TorchTextGenerationEnv(V, batch_size=1, step_reward=difference, **SETTINGS)
    texts = Trajectories.from_actions(V, [[0]], [[1, V.eos]], max_length=3)
    with pytest.raises(InvalidInputError, match="step_reward is paid action by action"):
        env.replay(texts)


def red(picture):
    return int(((picture[..., 0] > 150) & (picture[..., 1] < 100)).sum())


def test_frames_show_what_stands_and_what_was_deleted():
    env = gym.make("seqil/TextGeneration-v0", vocabulary=V, render_mode="rgb_array", **SETTINGS)
    env.reset(seed=0)
    pictures = [env.render()]
    for action in ACTIONS[:3]:
        env.step(action)
        pictures.append(env.render())
    assert {(p.shape, p.dtype) for p in pictures} == {((HEIGHT, WIDTH, 3), np.dtype(np.uint8))}
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(pictures))
    assert [red(p) > 0 for p in pictures] == [False, False, False, True]


def test_a_long_text_keeps_its_end_in_sight():
    many, more = ("\n".join(map(str, range(n))) for n in (40, 41))
    assert not np.array_equal(frame("", [(many, False)]), frame("", [(more, False)]))
    wide = frame("", [("W" * 200, False)])
    assert (wide[:, -8:] == wide[0, 0]).all()  # broken before the rim
    assert not (wide[60:] == wide[0, 0]).all()


def test_gymnasiums_wrapper_of_pictures_takes_them():
    env = AddRenderObservation(
        gym.make("seqil/TextGeneration-v0", task="sudoku4", render_mode="rgb_array"), render_only=True
    )
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)


def test_a_text_without_a_prompt_begins_at_the_start_token():
    env = envs.TextGenerationEnv(V, max_length=3, prompts=[[]])
    observation, info = env.reset(seed=0)
    assert (observation[0], info["prompt_length"], info["length"]) == (V.eos, 1, 1)
    assert info["action_mask"].tolist() == [1, 1, 1, 1, 0]
