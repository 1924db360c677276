"""SCAN against the published file, its splits by their counts, and the meaning of commands as a homomorphism."""

import hashlib
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from envs.tasks import Scan
from envs.tasks.grammars.scan import PRIMITIVES, action, commands, meaning
from seqil import start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task

COMMANDS = list(commands())
SENTENCES = [words for words in COMMANDS if not {"and", "after"} & {*words}]
PUBLISHED = "6be4b39bc8bf3a20be810b6991250d0493e608560609db6765dd679e1ed1c98e"
"""SHA-256 of the lines of tasks.txt of github.com/brendenlake/SCAN, sorted."""
ANY = st.sampled_from(COMMANDS)


@pytest.mark.parametrize("options", [{}, {"split": "length", "copies": 1}])
def test_it_keeps_the_contract(options):
    check_task(Scan(**options))


def test_commands_and_their_meanings_are_the_published_ones():
    lines = sorted(f"IN: {' '.join(words)} OUT: {' '.join(meaning(words))}\n" for words in COMMANDS)
    assert len(lines) == 20_910
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == PUBLISHED
    meanings = {tuple(meaning(words)) for words in COMMANDS}
    assert len(meanings) == 9228
    assert max(map(len, meanings)) == 48


@pytest.mark.parametrize(
    ("split", "shown", "held_out"),
    [("jump", 14_670, 7706), ("around_right", 15_225, 5685), ("length", 16_990, 3920)],
)
def test_splits_have_the_published_sizes(split, shown, held_out):
    task = Scan(split)
    stream = [item for number in range(-(-(shown + held_out) // 1000)) for item in task.chunk(0, number)]
    items = Counter((tuple(task.decode(item.prompt).split()), item.split) for item in stream)
    assert items.total() == shown + held_out == sum(task.available(name) for name in ("train", "valid", "test"))
    assert {words for words, _ in items} == {*COMMANDS}
    assert len(items) == 20_910
    tested = {words for words, name in items if name == "test"}
    assert len(tested) == task.available("test") == held_out
    kept = {words for words, name in items if name != "test"}
    assert all(any(words[i : i + len(part)] == part for i in range(len(words))) for words in tested
               for part in [{"jump": ("jump",), "around_right": ("around", "right"), "length": ()}[split]])  # fmt: skip
    if split == "jump":
        assert items[("jump",), "train"] == shown // 10
        assert {words for words in kept if "jump" in words} == {("jump",)}
        assert len(kept) == 13_204
    if split == "length":
        assert max(len(meaning(words)) for words in kept) == 22
        assert min(len(meaning(words)) for words in tested) == 24


def test_a_sum_of_all_splits_is_all_and_more_is_refused():
    task = Scan("simple")
    prompts = [tuple(p) for name in ("train", "valid", "test") for p in task.prompts(task.available(name), name, 3)]
    assert len({*prompts}) == len(prompts) == 20_910
    with pytest.raises(InvalidInputError, match="scan: 2000 items were asked for, the test split has 992; ask for"):
        task.prompts(2000, "test", 0)
    with pytest.raises(InvalidInputError, match="split 'left'"):
        Scan("left")
    with pytest.raises(InvalidInputError, match="copies=-1"):
        Scan(copies=-1)


@given(words=ANY, renamed=st.permutations(PRIMITIVES))
def test_other_primitives_mean_other_actions_and_nothing_else(words, renamed):
    names = dict(zip(PRIMITIVES, renamed, strict=True))
    acts = {action(a): action(b) for a, b in names.items()}
    renamed_words = [names.get(word, word) for word in words]
    assert meaning(renamed_words) == [acts.get(act, act) for act in meaning(words)]


@given(words=ANY)
def test_the_other_side_is_the_mirror(words):
    sides = {"left": "right", "right": "left", "I_TURN_LEFT": "I_TURN_RIGHT", "I_TURN_RIGHT": "I_TURN_LEFT"}
    assert meaning([sides.get(word, word) for word in words]) == [sides.get(act, act) for act in meaning(words)]


@given(a=st.sampled_from(SENTENCES), b=st.sampled_from(SENTENCES))
def test_joints_join(a, b):
    assert meaning([*a, "and", *b]) == meaning(a) + meaning(b) == meaning([*b, "after", *a])


def test_meanings_by_hand():
    for words, acts in {
        "jump": "I_JUMP",
        "turn around right": "I_TURN_RIGHT I_TURN_RIGHT I_TURN_RIGHT I_TURN_RIGHT",
        "look opposite left twice": "I_TURN_LEFT I_TURN_LEFT I_LOOK I_TURN_LEFT I_TURN_LEFT I_LOOK",
        "run thrice after walk right": "I_TURN_RIGHT I_WALK I_RUN I_RUN I_RUN",
    }.items():
        assert meaning(words.split()) == acts.split()


def test_the_judge_is_exact_and_goes_on_after_an_error():
    task = Scan()
    v, prompt = task.vocabulary, task.encode("run twice and walk left")
    right = [*task.encode("I_RUN I_RUN I_TURN_LEFT I_WALK"), v.eos]
    assert task.answer(prompt) == right
    assert task.success(prompt, right)
    wrong = [right[0], task.encode("I_LOOK")[0], *right[2:]]
    assert not task.success(prompt, wrong)
    assert task.first_error(prompt, wrong) == 1
    assert task.first_error(prompt, [*right[:2], v.eos]) == 2
    state = start(v, [prompt], task.max_length)
    actions = {task.words.index(word) for word in task.words if word.startswith("I_")}
    assert {*task.confusions(state)[0].nonzero()[:, 0].tolist()} == actions - {right[0]}
    for token in (right[0], wrong[1]):
        state = transition(v, state, torch.tensor([token]))
    assert task.has_error(state).all()
    assert task.next_distribution(state)[0, right[2]] == 1


def test_copies_are_shown_and_never_asked_for():
    task = Scan(copies=2)
    assert task.vocabulary.size == 20 + 2 * 8
    assert task.available("train") == 13_983 + 2 * 13_983 - 2 * (14_670 // 10 - 1)
    plain = Scan()
    for split in ("valid", "test"):
        assert task.available(split) == plain.available(split)
    shown = [task.decode(p).split() for p in task.prompts(1000, "train", 0)]
    copied = [words for words in shown if any("_" in word for word in words)]
    assert 0.5 < len(copied) / len(shown) < 0.8
    for words in copied:
        acts = task.decode(task.answer(task.encode(" ".join(words)))).split()
        base = [word.partition("_")[0] for word in words]
        assert [act.rstrip("_12") for act in acts] == meaning(base)
        assert {act[-1] for act in acts if act[-1] in "12"} == {word[-1] for word in words if "_" in word}
    assert not any("_" in task.decode(p) for p in task.prompts(300, "test", 0))


def test_what_is_no_command_is_refused():
    task = Scan()
    for text in ("walk walk", "twice", "I_WALK", "walk and", "turn", "turn twice", "walk twice and"):
        with pytest.raises(InvalidInputError, match="is not a command of SCAN"):
            task.answer(task.encode(text))
    with pytest.raises(InvalidInputError, match="is not a command of SCAN"):
        task.first_error([*task.encode("walk"), task.vocabulary.eos], [])
    with pytest.raises(InvalidInputError, match="no token for '_1"):
        task.encode("walk_1")
