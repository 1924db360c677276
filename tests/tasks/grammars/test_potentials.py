"""Potentials: law, maximum and teacher by enumeration."""

from itertools import product

import numpy as np
import pytest
import torch

import seqil
from envs.tasks import Potentials
from envs.tasks.grammars.potentials import LEVELS
from seqil.errors import InvalidInputError
from seqil.testing import check_task

SMALL = Potentials(length=5, size=3, edge=0.5)
TEXTS = [list(text) for text in product(range(3), repeat=5)]
SCORES = np.array([SMALL.score(text) for text in TEXTS])


def test_it_is_a_task():
    check_task(SMALL)


def test_the_score_is_standard_and_its_law_is_counted():
    assert SCORES.mean() == pytest.approx(0, abs=1e-12)
    assert SCORES.std() == pytest.approx(1)
    z, p = SMALL.law()
    expected = {round(s, 9): 0.0 for s in SCORES}
    for s in SCORES:
        expected[round(s, 9)] += 1 / len(SCORES)
    assert {round(a, 9): b for a, b in zip(z.tolist(), p.tolist(), strict=True)} == pytest.approx(expected)
    assert SMALL.best == pytest.approx(SCORES.max())
    assert 4 < Potentials().best < 9


def test_the_teacher_goes_on_like_the_data():
    for text in ([], [1], [2, 0], [0, 1, 2], [1, 1, 2, 2]):
        prefixes = seqil.begin_with(SMALL.vocabulary, [[3]], [text], 5, 5)
        count = np.zeros(4)
        for other, score in zip(TEXTS, SCORES, strict=True):
            if other[: len(text)] == text and score <= SMALL.edge:
                count[other[len(text)]] += 1
        law = SMALL.next_distribution(prefixes)[0].numpy()
        np.testing.assert_allclose(law, count / count.sum() if count.sum() else np.r_[np.ones(3) / 3, 0])


TOLD = Potentials(length=5, size=3, edge=0.5, told=True)


def test_with_prompts_that_tell_it_is_a_task():
    check_task(TOLD)


@pytest.mark.parametrize("asked", [-2.0, -0.6, 0.0, 0.2, 0.5])
@pytest.mark.parametrize("text", [[], [1], [2, 0], [0, 1, 2], [1, 1, 2, 2]])
def test_the_teacher_goes_on_like_the_data_that_the_prompt_speaks_of(asked, text):
    prompt = TOLD.asking(asked)
    count = np.zeros(4)
    for other, score in zip(TEXTS, SCORES, strict=True):
        if other[: len(text)] == text and TOLD.asking(score) == prompt and score <= TOLD.edge:
            count[other[len(text)]] += 1
    law = TOLD.next_distribution(seqil.begin_with(TOLD.vocabulary, [prompt], [text], 5, 5))[0].numpy()
    np.testing.assert_allclose(law, count / count.sum() if count.sum() else np.r_[np.ones(3) / 3, 0])


def test_prompts_say_which_levels_their_text_reaches():
    t = TOLD.demonstrations(50, "train", 0)
    for prompt, text in zip(t.prompts.tolist(), t.replay().texts(eos=False), strict=True):
        assert prompt == [3, *(int(TOLD.score(text) >= level) for level in LEVELS)]
    assert TOLD.asking(4.0)[1:] == [1] * 12
    plain = seqil.start(TOLD.vocabulary, [[3]], 5, 5)
    foreign = [[3, *[0, 1] * 6], [0, *[0] * 12]]  # levels that rise, and another start
    for prompts, said in ((plain, "levels"), *((seqil.start(TOLD.vocabulary, [p], 5, 5), "levels") for p in foreign)):
        with pytest.raises(InvalidInputError, match=said):
            TOLD.next_distribution(prompts)
    with pytest.raises(InvalidInputError, match="make the task with told=True"):
        SMALL.asking(1.0)


def test_data_are_below_the_edge_and_success_is_far_above_it():
    t = SMALL.demonstrations(200, "train", 0)
    z = SMALL.attribute(t.replay())
    assert z.tolist() == pytest.approx([SMALL.score(text) for text in t.replay().texts(eos=False)])
    assert z.max() <= SMALL.edge
    best = TEXTS[int(SCORES.argmax())]
    low = Potentials(length=5, size=3, edge=SMALL.best - 2.1)
    assert low.success([3], [*best, 3])
    assert not SMALL.success([3], [*best[:4], 3])
    assert not low.success([3], t.replay().texts()[0])
    with pytest.raises(InvalidInputError, match="size"):
        Potentials(size=40)
    assert torch.equal(
        z, SMALL.attribute(seqil.begin_with(SMALL.vocabulary, [[3]] * 200, t.replay().texts(eos=False), 5, 5))
    )
