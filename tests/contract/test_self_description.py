"""What environments say of themselves: vocabulary, task, limits, texts and words, of every face."""

import gymnasium
import numpy as np
import pytest

import envs
import seqil
from envs.tasks import Sudoku4

IDS = ["envs:seqil/TextGeneration-v0", "envs:seqil/TextRevision-v0"]
OWN = """
from envs.tasks import Sudoku4
class Worded(Sudoku4):
    name = "worded"
    def decode(self, tokens):
        return "".join("abcd.\\n"[token % 6] for token in tokens)
"""


def faces(name):
    return (
        gymnasium.make(name, task="sudoku4").unwrapped,
        gymnasium.make_vec(name, num_envs=2, task="sudoku4").unwrapped,
        getattr(envs, f"Torch{name.split('/')[1].removesuffix('-v0')}Env")(task="sudoku4"),
    )


@pytest.mark.parametrize("name", IDS)
def test_every_face_says_what_it_is(name):
    task = Sudoku4()
    for env in faces(name):
        assert env.vocabulary == task.vocabulary
        assert env.task.name == "sudoku4"
        assert (env.max_length, env.min_length) == (task.max_length, task.min_length)
        assert env.max_actions == task.budget()
        assert env.decode([0, 1, 2]) == task.decode([0, 1, 2])
        if "Revision" in name:
            assert env.edits == seqil.Edits(task.vocabulary, task.max_length)


def test_without_a_task_ids_are_shown():
    env = envs.TextGenerationEnv({"size": 5, "eos": 4}, max_length=3, prompts=[[0, 2]])
    assert env.task is None
    assert env.decode([3, 4]) == " 3 4"


def test_the_texts_of_rows_are_those_of_single_environments():
    one, rows = (gymnasium.make(IDS[0], task="sudoku4").unwrapped,
                 gymnasium.make_vec(IDS[0], num_envs=2, task="sudoku4").unwrapped)  # fmt: skip
    one.reset(seed=1)
    rows.reset(seed=0)
    one.step(2)
    rows.step(np.array([3, 2]))
    assert rows.text(1) == one.text()
    assert rows.text(0)[1] == [3]


@pytest.mark.parametrize("name", IDS)
def test_a_task_of_ones_own_is_named_by_its_file_and_shown_in_its_words(name, tmp_path, monkeypatch):
    (tmp_path / "my_task.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    env = gymnasium.make(name, task="my_task.py:Worded", render_mode="ansi")
    env.reset(seed=0)
    assert set(env.render()) <= set("abcd.\n")
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.task.name == "worded"
    assert again.reset(seed=0)[0].tolist() == env.reset(seed=0)[0].tolist()


def test_masks_of_rows_and_of_three_numbers_draw_legal_actions():
    large = {"vocabulary": {"size": 1001, "eos": 0}, "max_length": 4, "prompts": [[1]]}
    for options in ({"task": "sudoku4"}, large):
        rows = gymnasium.make_vec(IDS["vocabulary" in options], num_envs=3, **options)
        _, info = rows.reset(seed=0)
        rows.action_space.seed(0)
        if "vocabulary" in options:
            one = rows.single_action_space
            one.seed(0)
            ends = np.cumsum(one.nvec)[:-1]
            actions = np.stack([one.sample(tuple(np.split(mask, ends))) for mask in info["action_mask"]])
        else:
            actions = rows.action_space.sample(tuple(info["action_mask"]))
        *_, info = rows.step(actions)
        assert not info["illegal"].any()
