"""The environments of edits: one law, three faces, and that of tokens where edits are at the end."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from small_environments import REVISIONS, V, agree
from torchrl.envs.utils import check_env_specs

import envs
import seqil
from envs.revisions import mistaken
from envs.tasks import Automaton
from envs.wrappers import MaskedObservation, OneHotObservation
from seqil import Vocabulary
from seqil.errors import InvalidInputError
from seqil.revision.edit_experts import edit_distances

ID = "envs:seqil/TextRevision-v0"
every = pytest.mark.parametrize("settings", REVISIONS.values(), ids=REVISIONS)
SMALL = Vocabulary(**V)
LARGE = {"vocabulary": {"size": 1001, "eos": 3}, "max_length": 3, "prompts": [[0]]}


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
    many = SyncVectorEnv([lambda: envs.TextRevisionEnv(V, **settings)] * 3, autoreset_mode=mode)
    random = np.random.default_rng(0)
    assert all(agree(a, b) for a, b in zip(one.reset(seed=5), many.reset(seed=5), strict=True))
    for _ in range(40):
        actions = random.integers(0, one.single_action_space.n, 3)
        found, expected = one.step(actions), many.step(actions)
        assert all(agree(a, b) for a, b in zip(found, expected, strict=True))
        over = found[2] | found[3]
        if mode is AutoresetMode.DISABLED and over.any():
            pairs = [e.reset(options={"reset_mask": over.copy()}) for e in (one, many)]
            assert all(agree(a, b) for a, b in zip(*pairs, strict=True))


@every
@pytest.mark.parametrize("size", [[], [2, 2]])
def test_torchrl_finds_no_fault(settings, size):
    check_env_specs(envs.TorchTextRevisionEnv(V, batch_size=size, **settings))


@every
def test_every_face_is_revise(settings):
    faces = [
        Single(envs.TextRevisionEnv(V, **settings)),
        Torch(envs.TorchTextRevisionEnv(V, batch_size=[1], **settings)),
    ]
    edits, limits = _edits(settings), (settings["max_length"], settings.get("min_length", 0))
    random = np.random.default_rng(1)
    for seed, face in [(seed, face) for seed in range(8) for face in faces]:
        cells, mask, illegal, over = face.reset(seed)
        prompt = next(p for p in settings["prompts"] if cells[: len(p)] == p)
        text = [token for token in cells[len(prompt) :] if token != SMALL.size]
        if settings.get("start") != "noise":
            assert (
                text
                == dict(zip(map(tuple, settings["prompts"]), settings.get("drafts", [[]] * 3), strict=False))[
                    tuple(prompt)
                ]
            )
        state, wrong = seqil.begin_with(SMALL, [prompt], [text], *limits), 0
        while True:
            legal = seqil.legal_edits(edits, state)[0]
            written = state.texts(prompt=True)[0]
            assert cells == written + [SMALL.size] * (len(cells) - len(written))
            assert mask == legal.tolist()
            assert illegal == wrong
            if over:
                break
            action = int(random.integers(edits.num_actions)) if random.random() < 0.5 else int(legal.int().argmax())
            wrong += not legal[action]
            state = seqil.revise(edits, state, torch.tensor([action]))
            cells, mask, illegal, over = face.step(action)


class Single:
    """What is seen of the Gymnasium face: cells, mask, illegal edits, and whether it is over."""

    def __init__(self, env):
        self.env = env

    def reset(self, seed):
        return self._seen(*self.env.reset(seed=seed), False)

    def step(self, action):
        observation, _, terminated, truncated, info = self.env.step(action)
        return self._seen(observation, info, terminated or truncated)

    def _seen(self, observation, info, over):
        return observation.tolist(), info["action_mask"].astype(bool).tolist(), int(info["illegal"]), over


class Torch:
    """The same of one row of the face for TorchRL."""

    def __init__(self, env):
        self.env = env

    def reset(self, seed):
        self.row = self.env.reset()
        return self._seen()

    def step(self, action):
        self.row = self.env.step(self.row.set("action", torch.tensor([action])))["next"]
        return self._seen()

    def _seen(self):
        row = self.row[0]
        return row["observation"].tolist(), row["action_mask"].tolist(), row["illegal"].item(), row["done"].item()


def _edits(settings):
    return seqil.Edits(SMALL, settings["max_length"], tuple(settings.get("kinds", seqil.mdp.edits.KINDS)),
                       settings.get("positions", "any"))  # fmt: skip


@given(
    actions=st.lists(st.integers(0, 5), max_size=14),
    limits=st.integers(1, 3).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
)
def test_with_edits_at_the_end_it_is_the_environment_of_tokens(actions, limits):
    common = {"max_length": limits[0], "min_length": limits[1], "prompts": [[4, 2]], "max_actions": 8, "task": Judge()}
    ours = envs.TextRevisionEnv(V, kinds=["insert", "delete"], positions="end", render_mode="ansi", **common)
    theirs = envs.TextGenerationEnv(V, render_mode="ansi", **common)
    edits = seqil.Edits(SMALL, limits[0])
    found, expected = ours.reset(), theirs.reset()
    for action in actions:
        relabel = _relabelling(edits, int(found[-1]["length"] - found[-1]["prompt_length"]))
        assert found[-1]["action_mask"][relabel].tolist() == expected[-1]["action_mask"].tolist()
        found, expected = ours.step(relabel[action]), theirs.step(action)
        assert all(agree(a, b) for a, b in zip(found[:-1], expected[:-1], strict=True))
        assert {k: v for k, v in found[-1].items() if k != "action_mask"} == {
            k: v for k, v in expected[-1].items() if k != "action_mask"
        }
        assert ours.render() == theirs.render()
        if found[2] or found[3]:
            return


def _relabelling(edits, n):
    """The edit at the end of n tokens that each action of tokens is; any illegal one where there is none."""
    at, v = min(n, edits.max_length - 1), edits.vocabulary
    found = [edits.stop if token == v.eos else edits.insert(at, token) for token in range(v.size)]
    return [*found, edits.delete(max(n - 1, 0))]


class Judge(Automaton):
    """Anything that ends in a 1."""

    vocabulary = SMALL

    def success(self, prompt, tokens):
        return len(tokens) > 1 and tokens[-2] == 1

    def decode(self, tokens):
        return "".join(f" {t}" for t in tokens)


def test_drafts_are_the_tasks_demonstrations_or_ones_own():
    task = Automaton(horizon=4)
    env = envs.TextRevisionEnv(task=task, start="draft", mistakes=0)
    texts = task.demonstrations(task.at_most(1000, "train"), "train", 0).replay().texts()
    for seed in range(5):
        env.reset(seed=seed)
        prompt, text = env._episodes.text(0)
        assert [*text, task.vocabulary.eos] in texts
        assert task.first_error(prompt, [*text, task.vocabulary.eos]) is None
    env.reset(options={"prompt": env._episodes.prompts[3]})
    assert [*env._episodes.text(0)[1], task.vocabulary.eos] in texts
    with pytest.raises(InvalidInputError, match="has no draft"):
        envs.TextRevisionEnv(V, **REVISIONS["drafts"]).reset(options={"prompt": [3]})


@pytest.mark.parametrize("task", ["sudoku4", "chain", "automaton", "scan", "countdown"])
@pytest.mark.parametrize("limits", [{}, {"kinds": ["substitute"]}, {"kinds": ["insert", "delete"], "positions": "end"}])
def test_a_draft_of_a_task_is_not_right_yet(task, limits):
    env = envs.TextRevisionEnv(task=task, start="draft", **limits)
    right = dict(zip(map(tuple, env._episodes.prompts), env._episodes.drafts, strict=True))
    for seed in range(10):
        env.reset(seed=seed)
        prompt, text = env.text()
        assert text != right[tuple(prompt)]
        _, reward, *_ = env.step(env.edits.stop)
        assert reward == 0
    env = envs.TextRevisionEnv(task=task, start="draft", mistakes=0, **limits)
    env.reset(seed=0)
    assert env.step(env.edits.stop)[1] == 1


def test_mistakes_that_leave_a_right_text_are_drawn_again():
    env = envs.TextRevisionEnv(
        task=Judge(), max_length=4, prompts=[[0]], start="draft", drafts=[[2, 3, 1]], mistakes=0.1
    )
    for seed in range(60):
        env.reset(seed=seed)
        assert env.step(env.edits.stop)[1] == 0


def test_mistakes_are_a_share_of_the_draft_and_none_where_data_are_to_be_improved():
    assert envs.TextRevisionEnv(task="potentials", start="draft")._episodes.mistakes == 0
    draft = [0, 1, 2, 3] * 5
    common = {"max_length": 20, "prompts": [[0]], "start": "draft", "drafts": [draft], "kinds": ["substitute"]}
    for mistakes, changed in ((None, 0), (0, 0), (0.01, 1), (0.5, 10)):
        for env in (envs.TextRevisionEnv(V, mistakes=mistakes, **common), Torch(
            envs.TorchTextRevisionEnv(V, mistakes=mistakes, **common)
        )):  # fmt: skip
            cells = env.reset(seed=1)[0]
            differ = sum(a != b for a, b in zip(list(cells)[1:21], draft, strict=True))
            assert (differ == changed) if changed < 2 else (0 < differ <= changed)


@given(
    eos=st.integers(0, 4),
    cells=st.lists(st.integers(1, 4), max_size=6),
    kinds=st.lists(st.sampled_from(seqil.mdp.edits.KINDS), min_size=1, unique=True),
    number=st.integers(0, 4),
    positions=st.sampled_from(["any", "end"]),
    seed=st.integers(0, 99),
)
def test_mistakes_can_be_taken_back_by_as_many_edits(eos, cells, kinds, number, positions, seed):
    text, v = [(eos + cell) % 5 for cell in cells], Vocabulary(5, eos)
    random, edits = np.random.default_rng(seed), seqil.Edits(v, 6, tuple(kinds), positions)
    found = mistaken(edits, text, number, lambda limit: int(random.integers(limit)))
    assert len(found) <= 6
    assert eos not in found
    if number == 1 and 0 < len(text) < 6:
        assert found != text
    one, other = (torch.tensor([x], dtype=torch.int64).reshape(1, -1) for x in (found, text))
    assert edit_distances(kinds, one, other)[0, -1, -1] <= number
    if positions == "end":
        kept = next(
            (i for i, (a, b) in enumerate(zip(found, text, strict=False)) if a != b), min(len(found), len(text))
        )
        assert max(len(found), len(text)) - kept <= number


def test_render_strikes_out_where_it_stood():
    env = envs.TextRevisionEnv(V, max_length=3, prompts=[[0]], start="draft", drafts=[[1, 2]], render_mode="ansi")
    env.reset()
    edits = env.edits
    for action in (edits.substitute(0, 3), edits.insert(1, 2), edits.delete(2), edits.delete(2), edits.stop):
        env.step(action)  # the second deletion is illegal

    def struck(text):
        return "".join(c + "\u0336" for c in text)

    assert env.render() == " 0" + struck(" 1") + " 3 2" + struck(" 2") + " 4"


def test_many_tokens_make_three_numbers_of_an_action():
    env, v = envs.TextRevisionEnv(**LARGE), Vocabulary(**LARGE["vocabulary"])
    check_env(env, skip_render_check=True)
    assert env.action_space.nvec.tolist() == [4, 3, 1001]
    _, info = env.reset()
    assert info["action_mask"].shape == (4 + 3 + 1001,)
    observation, *_, info = env.step(np.array([0, 0, 7]))
    assert observation.tolist()[:3] == [0, 7, v.size]
    assert env.step([2, 0, 7])[-1]["illegal"] == 1  # it stands there
    assert env.step([3, 2, 5])[2]
    check_env_specs(envs.TorchTextRevisionEnv(batch_size=[2], **LARGE))
    rows = envs.TextRevisionVectorEnv(num_envs=2, **LARGE)
    rows.reset(seed=0)
    assert rows.step(np.array([[0, 0, 7], [3, 0, 0]]))[2].tolist() == [False, True]


def test_copies_and_wrappers_are_as_of_tokens():
    env = envs.TextRevisionEnv(V, **REVISIONS["noise"])
    before, _ = env.reset(seed=0)
    copies = copy.deepcopy(env), pickle.loads(pickle.dumps(env))
    for other in copies:
        other.step(2)
        assert agree(env._episodes.observed[0], before)
    for other in copies:
        assert agree([env.reset(seed=k)[0] for k in range(4)], [other.reset(seed=k)[0] for k in range(4)])
    wrapped = MaskedObservation(OneHotObservation(env))
    observation, info = wrapped.reset(seed=0)
    assert wrapped.observation_space.contains(observation)
    assert agree(observation["action_mask"], info["action_mask"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"start": "middle"}, "start 'middle'"),
        ({"start": "draft"}, "needs drafts"),
        ({"drafts": [[1]]}, "drafts are not read"),
        ({"start": "draft", "drafts": [[1], [2]]}, "2 texts for 1 prompt;"),
        ({"start": "draft", "drafts": [[4]]}, "text 0 holds 4"),
        ({"kinds": ["swap"]}, "unknown kind of edit 'swap'"),
        ({"positions": "front"}, "positions 'front'"),
        ({"render_mode": "human"}, "render_mode='human'"),
        ({"prompts": None}, "the environment needs prompts"),
    ],
)
def test_bad_settings_are_refused_in_one_line(settings, said):
    with pytest.raises(InvalidInputError, match=said):
        envs.TextRevisionEnv(V, **{"max_length": 3, "prompts": [[0]], **settings})


@pytest.mark.parametrize("action", [999, -1, 1.5, [1, 2]])
def test_what_is_no_action_is_refused_and_changes_nothing(action):
    env = envs.TextRevisionEnv(V, max_length=3, prompts=[[0]])
    env.reset()
    with pytest.raises(InvalidInputError):
        env.step(action)
    large = envs.TextRevisionEnv(**LARGE)
    large.reset()
    for wrong in (5, [4, 0, 0], [0, 0, 0.5]):
        with pytest.raises(InvalidInputError):
            large.step(wrong)
    assert large._episodes.taken[0] == 0
