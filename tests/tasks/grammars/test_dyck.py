"""dyck: words by enumeration, odds by counting."""

import itertools
from fractions import Fraction
from functools import cache
from math import comb, lgamma, log

import numpy as np
import pytest
import torch
from sampled_texts import every_text, taken, trajectories

from envs.tasks.grammars.dyck import Dyck, odds


def balanced(word):
    """By deleting matching pairs."""
    while len(word) != len(word := word.replace("()", "").replace("[]", "")):
        pass
    return not word


def catalan(n):
    return comb(2 * n, n) // (n + 1)


def test_dyck_words_by_enumeration():
    task = Dyck(kinds=2, length=8)
    words = [word for word in itertools.product(range(4), repeat=8) if balanced(task.decode(word))]
    assert len(words) == 2**4 * catalan(4)
    found = {(first, *text): p / 2 for first in (0, 1) for text, p in every_text(task, [first]).items()}
    assert found.keys() == set(words)
    np.testing.assert_allclose([*found.values()], 1 / len(words), rtol=1e-12)


def test_dyck_judge_by_enumeration():
    task = Dyck(kinds=2, length=6)
    words = [word for word in itertools.product(range(4), repeat=6) if word[0] < 2]
    right = [balanced(task.decode(word)) for word in words]
    assert [task.success(word[:1], [*word[1:], 4]) for word in words] == right
    assert [task.first_error(word[:1], [*word[1:], 4]) is None for word in words] == right
    begun = {word[:k] for word, good in zip(words, right, strict=True) if good for k in range(7)}
    for word in words:
        expected = next((k - 2 for k in range(2, 7) if word[:k] not in begun), None)
        assert task.first_error(word[:1], word[1:]) == expected
    assert task.first_error([0], [2, 4]) == 1


def test_dyck_odds_against_counting():
    @cache
    def ways(height, left):
        if height < 0 or height > left:
            return 0
        return 1 if left == 0 else ways(height + 1, left - 1) + ways(height - 1, left - 1)

    for left in range(1, 65):
        for height in range(left % 2, left + 1, 2):
            up, down = odds(np.int64(height), np.int64(left))
            assert Fraction(int(up), int(up + down)) == Fraction(ways(height + 1, left - 1), ways(height, left))
    assert ways(0, 64) == catalan(32)


@pytest.mark.parametrize(("kinds", "length"), [(1, 64), (2, 32), (6, 512)])
def test_dyck_words_are_uniform(kinds, length):
    task, n = Dyck(kinds, length), length // 2
    t = task.demonstrations(8, "train", 0)
    found = taken(task, t).log().sum(1) - log(kinds)
    count = lgamma(2 * n + 1) - 2 * lgamma(n + 1) - log(n + 1) + n * log(kinds)
    torch.testing.assert_close(found, torch.full_like(found, -count), rtol=1e-11, atol=0)
    assert count == pytest.approx(log(catalan(n) * kinds**n), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(", [9 / 28, 9 / 28, 10 / 28, 0]),  # the law: 9 of the 14 words of one kind go on with a second bracket
        ("[(", [2 / 9, 2 / 9, 5 / 9, 0]),
        ("(]", [0.5, 0.5, 0, 0]),
        ("[(]", [0.3, 0.3, 0, 0.4]),
        ("())", [0.5, 0.5, 0, 0]),
        ("[((((", [0, 0, 1, 0]),
        ("[(((((", [0, 0, 1, 0]),
    ],
)
def test_dyck_goes_on_after_an_error(text, expected):
    task = Dyck(kinds=2, length=8)
    ids = ["([)]".index(bracket) for bracket in text]
    law = task.next_distribution(trajectories(task, [ids[:1]], [ids[1:]]).replay())[0]
    torch.testing.assert_close(law, torch.tensor([*expected, 0], dtype=torch.float64))
