"""The environments under Gymnasium's own checker, as users make them."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from small_environments import SETTINGS, V, agree, every

import envs
from envs.tasks import Automaton
from seqil import Vocabulary
from seqil.errors import InvalidInputError

ID = "envs:seqil/TextGeneration-v0"


@every
def test_gymnasium_finds_no_fault(settings):
    made = gym.make(ID, vocabulary=V, render_mode="ansi", **settings)
    check_env(made.unwrapped)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(made.spec.to_json()))
    assert agree(again.reset(seed=3)[0], made.reset(seed=3)[0])


@every
@pytest.mark.parametrize("mode", AutoresetMode)
def test_the_vector_environment_is_many_single_ones_bit_by_bit(settings, mode):
    one = gym.make_vec(ID, 3, "vector_entry_point", vocabulary=V, autoreset_mode=mode, **settings)
    many = SyncVectorEnv([lambda: envs.TextGenerationEnv(V, **settings)] * 3, autoreset_mode=mode)
    assert one.autoreset_mode == one.metadata["autoreset_mode"] == mode
    random = np.random.default_rng(0)
    assert all(agree(a, b) for a, b in zip(one.reset(seed=5), many.reset(seed=5), strict=True))
    for _ in range(60):
        actions = random.integers(0, one.single_action_space.n, 3)
        found, expected = one.step(actions), many.step(actions)
        assert all(agree(a, b) for a, b in zip(found, expected, strict=True))
        over = found[2] | found[3]
        if mode is AutoresetMode.DISABLED and over.any():
            pairs = [e.reset(options={"reset_mask": over.copy()}) for e in (one, many)]
            assert all(agree(a, b) for a, b in zip(*pairs, strict=True))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_in_mid_episode_are_independent(copied):
    env = envs.TextGenerationEnv(V, **SETTINGS["plain"])
    before, _ = env.reset(seed=0)
    first = env.step(1)
    other = copied(env)
    kept = first[0].copy()
    assert agree(env.step(5)[0], before)
    assert agree(other.step(2)[0][: first[4]["length"]], kept[: first[4]["length"]])
    assert agree(first[0], kept)
    assert agree([env.reset()[0] for _ in range(9)], [other.reset()[0] for _ in range(9)])


def test_what_is_returned_is_not_what_is_kept():
    env = envs.TextGenerationVectorEnv(V, num_envs=2, autoreset_mode="SameStep", **SETTINGS["plain"])
    for returned in (env.reset(seed=0)[0], env.step(np.array([1, 1]))[0]):
        returned[:] = 3
    observation, _, _, _, info = env.step(np.array([4, 0]))
    final = info["final_obs"][0].copy()
    info["action_mask"][:], observation[:] = 7, 7
    again = env.step(np.array([0, 0]))
    assert (again[0] != 7).all()
    assert (again[4]["action_mask"] <= 1).all()
    assert (info["final_obs"][0] == final).all()


def test_prompts_tasks_and_rewards():
    task = Automaton(horizon=4)
    env = envs.TextGenerationEnv(task.vocabulary, max_length=4, min_length=4, task="automaton", render_mode="ansi")
    prompt = task.prompts(1, "test", 0)[0]
    answer = task.demonstrations(1, "test", 0).actions[0].tolist()
    observation, _ = env.reset(options={"prompt": prompt})
    assert observation[:2].tolist() == prompt
    rewarded = envs.TextGenerationEnv(
        V, max_length=3, prompts=[[0]], reward=lambda prompt, tokens: 10 * len(prompt) + len(tokens)
    )
    rewarded.reset()
    assert rewarded.step(1)[1] == 0
    assert rewarded.step(4)[1:4] == (12.0, True, False)
    judged = envs.TextGenerationEnv(task.vocabulary, max_length=4, min_length=4, task=task)
    for text, success in ((answer, 1), ([*answer[:-2], answer[-2] ^ 1, answer[-1]], None)):
        judged.reset(options={"prompt": prompt})
        for action in text:
            _, reward, terminated, _, info = judged.step(action)
        assert terminated
        assert info["success"] == reward
        if success is not None:
            assert reward == success


def test_render_strikes_deletions_out():
    env = envs.TextGenerationEnv(V, max_length=3, prompts=[[0]], render_mode="ansi")
    env.reset()
    for action in (1, 2, 5, 5, 5, 3):  # the third deletion is illegal
        env.step(action)
    assert env.render() == " 0" + "".join(c + "\u0336" for c in " 1 2") + " 3"


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"prompts": None}, "needs prompts"),
        ({"prompts": [[7]]}, "prompt token 7"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_actions": 0}, "max_actions=0"),
        ({"max_prompt_length": 1}, "max_prompt_length=1"),
        ({"task": "nope"}, "unknown task 'nope'"),
        ({"task": "automaton"}, "the task is over"),
    ],
)
def test_bad_settings_are_named(change, culprit):
    for make in (
        lambda **s: envs.TextGenerationEnv(V, **s),
        lambda **s: envs.TextGenerationVectorEnv(V, num_envs=2, **s),
        lambda **s: envs.TorchTextGenerationEnv(V, **s),
    ):
        with pytest.raises(InvalidInputError, match=culprit):
            make(**{**SETTINGS["plain"], **change})


def test_misuse_is_told():
    env = envs.TextGenerationEnv(V, **SETTINGS["plain"])
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)
    env.reset()
    with pytest.raises(InvalidInputError, match="action 6 is out of range"):
        env.step(6)
    with pytest.raises(InvalidInputError, match="at most 2 fit"):
        env.reset(options={"prompt": [0, 0, 0]})
    env.reset(seed=0)
    env.step(4)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)
    vector = envs.TextGenerationVectorEnv(V, num_envs=2, autoreset_mode=AutoresetMode.DISABLED, **SETTINGS["plain"])
    vector.reset(seed=0)
    vector.step(np.array([4, 0]))
    with pytest.raises(ResetNeeded, match="row 0"):
        vector.step(np.array([0, 0]))
    assert Vocabulary.of(V) == vector._episodes.vocabulary


NO_ACTION = [1.7, -1, 6, "a", None, float("nan"), [1], [1, 2], np.array([1]), 2**70, [1, [2]]]


@pytest.mark.parametrize("action", NO_ACTION, ids=str)
def test_a_refused_action_changes_nothing(action):
    one = envs.TextGenerationEnv(V, **SETTINGS["plain"])
    two = envs.TextGenerationVectorEnv(V, num_envs=2, **SETTINGS["plain"])
    for env, wrong, right in ((one, action, 2), (two, [0, action], np.array([2, 0]))):
        env.reset(seed=0)
        twin = copy.deepcopy(env)
        with pytest.raises(InvalidInputError, match="action") as refused:
            env.step(wrong)
        assert len(str(refused.value).splitlines()) == 1
        assert all(agree(a, b) for a, b in zip(env.step(right), twin.step(right), strict=True))


@pytest.mark.parametrize("action", [1, np.int64(1), np.int32(1), np.array(1), torch.tensor(1)], ids=repr)
def test_every_kind_of_integer_is_an_action(action):
    env = envs.TextGenerationEnv(V, **SETTINGS["no backspace"])
    env.reset()
    assert env.step(action)[0][1] == 1


def test_seeds_may_be_of_numpy():
    env = envs.TextGenerationVectorEnv(V, num_envs=3, **SETTINGS["plain"])

    def drawn(seed):
        return [env.reset(seed=seed)[0], *(env.reset()[0] for _ in range(5))]

    for seed in (np.int64(3), np.array([3, 4, 5]), (3, 4, 5), [np.int64(3), 4, 5]):
        assert agree(drawn(seed), drawn(3))
    with pytest.raises(InvalidInputError, match="3 rows need as many seeds, not 2"):
        env.reset(seed=np.array([1, 2]))


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"promt": [1]}, "unknown reset option 'promt'; known: 'prompt'"),
        ({"prompt": 3}, "lists of integer ids"),
        ({"prompt": "ab"}, "lists of integer ids"),
        ({"prompt": [1.5]}, "lists of integer ids"),
        ({"prompt": [9]}, "prompt token 9"),
        ({"prompt": [0, 0, 0]}, "at most 2 fit"),
    ],
)
def test_a_refused_reset_changes_nothing(options, culprit):
    for env in (
        envs.TextGenerationEnv(V, **SETTINGS["plain"]),
        envs.TextGenerationVectorEnv(V, num_envs=2, **SETTINGS["plain"]),
    ):
        env.reset(seed=0)
        twin = copy.deepcopy(env)
        with pytest.raises(InvalidInputError, match=culprit):
            env.reset(seed=5, options=options)
        assert agree([env.reset()[0] for _ in range(9)], [twin.reset()[0] for _ in range(9)])


def test_nothing_that_was_returned_changes_later():
    """Observations and infos are the caller's: steps do not write into them, nor the caller into the environment."""
    env = envs.TextGenerationVectorEnv(Vocabulary(4, 3), prompts=[[0], [1, 2]], num_envs=3, max_length=4)
    kept = []
    observation, info = env.reset(seed=0)
    for actions in ([0, 1, 2], [4, 0, 1], [3, 4, 0], [0, 0, 0]):
        kept.append((observation, info, copy.deepcopy((observation, info))))
        observation, *_, info = env.step(np.array(actions))
    for observation, info, (then, info_then) in kept:
        np.testing.assert_array_equal(observation, then)
        assert str(info) == str(info_then)  # it nests arrays of objects after an episode
    reference = copy.deepcopy(env)
    observation, *_, info = env.step(np.array([1, 1, 1]))
    reference.step(np.array([1, 1, 1]))
    observation[:] = 0
    info["action_mask"][:] = 1
    info["length"][:] = 0
    for ours, theirs in zip(env.step(np.array([4, 4, 4]))[:4], reference.step(np.array([4, 4, 4]))[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ask", [lambda e: e.text(), lambda e: e.action_masks()])
def test_nothing_is_said_of_an_episode_before_it_begins(ask):
    env = envs.TextGenerationEnv(V, max_length=3, prompts=[[0]])
    with pytest.raises(ResetNeeded, match="no episode has begun; call reset"):
        ask(env)
    env.reset(seed=0)
    ask(env)


def test_a_vector_environment_neither():
    env = envs.TextGenerationVectorEnv(V, num_envs=2, max_length=3, prompts=[[0]])
    for ask in (lambda: env.text(0), env.action_masks):
        with pytest.raises(ResetNeeded, match="no episode has begun"):
            ask()


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ("ab", "decode: 'ab' is not a list of ids"),
        ([0.5], "is not a list of ids"),
        ([-1], f"decode: -1 is no token; ids go from 0 to {V['size'] - 1}$"),
        ([V["size"]], f"decode: {V['size']} is no token; .*; empty cells hold {V['size']}, env.unwrapped.text"),
    ],
)
def test_ids_that_are_no_tokens_are_not_decoded(ids, says):
    with pytest.raises(InvalidInputError, match=says):
        envs.TextGenerationEnv(V, max_length=3, prompts=[[0]]).decode(ids)


def test_a_task_in_the_place_of_a_vocabulary_is_told_where_it_belongs():
    with pytest.raises(InvalidInputError, match=r"is not a Vocabulary; give its .vocabulary, or task="):
        envs.TextGenerationEnv(Automaton())
    with pytest.raises(InvalidInputError, match=r"--task-option path=VALUE, in Python with Text\(path=…\)"):
        gym.make(ID, task="text")
