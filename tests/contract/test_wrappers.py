"""Environments as a task has them, start tokens, what is shown to people, and the adapters for clients."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as stock
from small_environments import SETTINGS, V, agree
from tensordict import TensorDict

import envs
from envs.tasks import Sudoku4
from envs.wrappers import MaskedObservation, OneHotObservation, stable_baselines_vec_env
from seqil import Vocabulary
from seqil.errors import InvalidInputError, MissingExtraError

W = Vocabulary.of(V)
ID = "envs:seqil/TextGeneration-v0"


def test_a_task_brings_vocabulary_and_lengths():
    task = Sudoku4()
    env = gym.make("seqil/TextGeneration-v0", task="sudoku4").unwrapped
    assert env.action_space.n == task.vocabulary.num_actions
    observation, info = env.reset(seed=0)
    assert observation[: info["prompt_length"]].tolist() in task.prompts(1000, "train", 0)
    assert not env.action_masks()[task.vocabulary.eos]  # its texts have a fixed length
    rows = gym.make_vec("seqil/TextGeneration-v0", num_envs=2, task="sudoku4")
    assert rows.single_action_space == env.action_space
    assert envs.TorchTextGenerationEnv(task="sudoku4").action_spec.n == env.action_space.n
    again = gym.make(gym.envs.registration.EnvSpec.from_json(gym.make(ID, task="sudoku4").spec.to_json()))
    assert np.array_equal(again.reset(seed=0)[0], observation)
    with pytest.raises(InvalidInputError, match="needs a vocabulary, or a task"):
        envs.TextGenerationEnv(prompts=[[0]], max_length=3)
    with pytest.raises(InvalidInputError, match="needs max_length, or a task"):
        envs.TextGenerationEnv(V, prompts=[[0]])


def test_an_empty_prompt_is_the_start_token():
    settings = {"max_length": 3, "prompts": [[]]}
    one, rows = envs.TextGenerationEnv(V, **settings), envs.TextGenerationVectorEnv(V, num_envs=2, **settings)
    for observation, info in (one.reset(seed=0), one.reset(options={"prompt": []}), rows.reset(seed=0)):
        assert (observation.reshape(-1, observation.shape[-1])[:, 0] == W.eos).all()
        assert (info["prompt_length"] == 1).all()
    theirs = envs.TorchTextGenerationEnv(V, batch_size=2, **settings)
    empty = TensorDict(prompt=torch.full((2, 1), W.size), batch_size=2)
    for data in (theirs.reset(), theirs.reset(empty)):
        assert (data["observation"][:, 0] == W.eos).all()
    assert not one.action_masks()[W.backspace]  # the start token stays
    assert one.step(1)[4]["length"] == 2


def test_people_see_text_as_it_is_written(capsys):
    env = gym.make(ID, vocabulary=V, render_mode="human", **SETTINGS["plain"])
    env.reset(options={"prompt": [0]})
    for action in (1, W.backspace, 2, W.eos):
        env.step(action)
    assert capsys.readouterr().out == " 0 1⌫⌫ 2\n"
    env.reset(options={"prompt": [0]})
    env.step(3)
    env.close()
    assert capsys.readouterr().out == " 0 3\n"
    assert env.unwrapped.render() is None


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync"])
def test_stock_vector_wrappers_take_both_kinds_of_rows(mode):
    env = gym.make_vec(ID, 2, mode, vocabulary=V, **SETTINGS["plain"])
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env = stock.NormalizeReward(stock.RecordEpisodeStatistics(stock.FlattenObservation(env)))
    env.reset(seed=0)
    returned = 0
    for action in (1, W.eos, 0, 2, W.eos, 0):
        *_, info = env.step(np.array([action, action]))
        returned += int(info.get("_episode", np.zeros(2)).sum())
    assert returned == 4


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped")
def test_one_hot_cells():
    plain = envs.TextGenerationEnv(V, **SETTINGS["plain"])
    env = OneHotObservation(envs.TextGenerationEnv(V, **SETTINGS["plain"]))
    check_env(env, skip_render_check=True)
    cells, _ = plain.reset(seed=1)
    found, _ = env.reset(seed=1)
    assert found.dtype == np.float32
    assert np.array_equal(found.reshape(len(cells), -1).argmax(1), cells)
    assert found.sum() == len(cells)
    network = torch.nn.Linear(env.observation_space.shape[0], 2)
    assert network(torch.from_numpy(found)).shape == (2,)
    with pytest.raises(InvalidInputError, match="takes a TextGenerationEnv"):
        OneHotObservation(env)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped")
def test_the_mask_beside_the_observation():
    env = MaskedObservation(envs.TextGenerationEnv(V, **SETTINGS["plain"]), "obs", "mask")
    check_env(env, skip_render_check=True)
    found, info = env.reset(seed=0)
    assert set(found) == {"obs", "mask"}
    for action in (1, W.backspace, W.backspace):
        found, *_, info = env.step(action)
        assert np.array_equal(found["mask"], info["action_mask"])
    assert env.observation_space.contains(found)
    with_floats = MaskedObservation(OneHotObservation(envs.TextGenerationEnv(V, **SETTINGS["plain"])))
    assert with_floats.reset(seed=0)[0]["observation"].dtype == np.float32
    with pytest.raises(InvalidInputError, match="the same key 'a'"):
        MaskedObservation(env, "a", "a")


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped")
@pytest.mark.parametrize("name", [ID, "envs:seqil/TextRevision-v0"])
@pytest.mark.parametrize(
    "wrap",
    [
        OneHotObservation,
        MaskedObservation,
        lambda env: MaskedObservation(env, "obs", mask="mask"),
        lambda env: MaskedObservation(OneHotObservation(env), "observations"),
    ],
)
def test_a_wrapped_environment_is_made_again_by_its_spec(name, wrap):
    env = wrap(gym.make(name, task="sudoku4", max_actions=70))
    check_env(env, skip_render_check=True)
    expected, _ = env.reset(seed=3)
    for spec in (env.spec, gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):
        again = gym.make(spec)
        assert again.observation_space == env.observation_space
        assert agree(again.reset(seed=3)[0], expected)
        assert again.unwrapped.max_actions == 70
    rows = gym.make_vec(env.spec, 2, "sync")
    assert rows.single_observation_space == env.observation_space


@pytest.mark.parametrize("keys", [(3, "mask"), ("obs", None)])
def test_a_key_that_is_no_word_is_refused(keys):
    with pytest.raises(InvalidInputError, match="is not a key of a dict"):
        MaskedObservation(gym.make(ID, task="sudoku4"), *keys)


def same_step(rows=3):
    return envs.TextGenerationVectorEnv(V, num_envs=rows, autoreset_mode=AutoresetMode.SAME_STEP, **SETTINGS["plain"])


def test_stable_baselines_over_the_vector_environment():
    common = pytest.importorskip("stable_baselines3.common.vec_env")
    ours, reference = stable_baselines_vec_env(same_step()), same_step()
    theirs = common.DummyVecEnv([lambda: envs.TextGenerationEnv(V, **SETTINGS["plain"])] * 3)
    for env in (ours, theirs):
        env.seed(4)
    assert np.array_equal(ours.reset(), theirs.reset())
    assert np.array_equal(ours.reset_infos[1]["action_mask"], theirs.reset_infos[1]["action_mask"])
    reference.reset(seed=4)
    random, overs = np.random.default_rng(0), 0
    for _ in range(60):
        actions = random.integers(0, W.num_actions, 3)
        found, expected = ours.step(actions), theirs.step(actions)
        for a, b in zip(found[:3], expected[:3], strict=True):
            assert np.array_equal(a, b)
            assert a.dtype == b.dtype
        for a, b in zip(found[3], expected[3], strict=True):
            assert set(a) - {"TimeLimit.truncated"} == set(b) - {"TimeLimit.truncated"}
            assert a.get("TimeLimit.truncated", False) == b["TimeLimit.truncated"]
            for key in set(a) & set(b):
                assert np.array_equal(a[key], b[key]), key
        overs += int(found[2].sum())
        assert np.array_equal(np.stack(ours.env_method("action_masks")), np.stack(theirs.env_method("action_masks")))
    assert overs > 5
    assert ours.has_attr("action_masks")
    assert ours.env_is_wrapped(gym.Wrapper) == [False] * 3


def test_stable_baselines_learns_on_it():
    stable_baselines3 = pytest.importorskip("stable_baselines3")
    before = torch.get_rng_state()
    model = stable_baselines3.PPO(
        "MlpPolicy", stable_baselines_vec_env(same_step()), n_steps=32, batch_size=32, seed=0, device="cpu"
    )
    model.learn(96)
    torch.set_rng_state(before)
    assert model.num_timesteps == 96


def test_what_a_vec_env_needs_is_said(monkeypatch):
    env = envs.TextGenerationVectorEnv(V, num_envs=2, **SETTINGS["plain"])
    with pytest.raises(InvalidInputError, match="starts rows anew at once"):
        stable_baselines_vec_env(env)
    monkeypatch.setitem(__import__("sys").modules, "stable_baselines3.common.vec_env", None)
    with pytest.raises(MissingExtraError, match="needs Stable-Baselines3"):
        stable_baselines_vec_env(same_step())


def test_the_state_of_a_torchrl_environment_is_all_of_it():
    settings = SETTINGS["plain"]
    one, other = (envs.TorchTextGenerationEnv(V, batch_size=3, seed=s, **settings) for s in (0, 1))
    data = one.reset()
    for actions in ([1, 2, 0], [W.backspace, W.eos, 1]):
        data = one.step(data.set("action", torch.tensor(actions)))["next"]
    other.reset()
    other.load_state_dict(one.state_dict())
    action = torch.tensor([2, 0, W.backspace])
    found, expected = (env.step(TensorDict(action=action, batch_size=3))["next"] for env in (other, one))
    assert (found == expected).all()
    again = [env.reset()["observation"] for env in (one, other) for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(again[:4], again[4:], strict=True))
    fewer = envs.TorchTextGenerationEnv(V, batch_size=2, **settings)
    with pytest.raises(InvalidInputError, match="the state has tokens of shape"):
        fewer.load_state_dict(one.state_dict())
