"""Imitation of a noisy expert, offline and online: against enumeration of all texts, and simulation."""

import itertools
import math

import numpy as np
import pytest

from seqil.errors import InvalidInputError
from seqil.theory.closed_forms import NoisyExpert


def wins(right, seen):
    return 1.0 if 2 * right > seen else 0.5 if 2 * right == seen else 0.0


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("texts", "horizon"), [(1, 2), (2, 3), (4, 3), (5, 2)])
def test_offline_is_the_sum_over_all_sets_of_texts(rate, texts, horizon):
    """A text is known by how many bits are right before its first error."""
    known = NoisyExpert(rate)
    chance = [known.right**k * (1 - known.right if k < horizon else 1) for k in range(horizon + 1)]
    expected = 0.0
    for runs in itertools.product(range(horizon + 1), repeat=texts):
        seen = [(sum(k > h for k in runs), sum(k >= h for k in runs)) for h in range(horizon)]
        expected += math.prod(chance[k] for k in runs) * math.prod(wins(*at) for at in seen)
    assert known.offline(texts, horizon) == pytest.approx(expected)


def test_online_is_what_forward_training_comes_to():
    known, rng, runs = NoisyExpert(0.6), np.random.default_rng(0), 20_000
    right = rng.binomial(5, known.right, size=(runs, 4))
    chance = np.vectorize(wins)(right, 5).prod(1)
    assert known.online(20, 4) == pytest.approx(chance.mean(), abs=4 * chance.std() / math.sqrt(runs))
    assert known.online(23, 4) == known.online(20, 4)
    assert known.online(3, 4) == 0.5**4


@pytest.mark.parametrize("labels", range(6))
def test_a_majority_of_labels(labels):
    known = NoisyExpert(0.5)
    expected = sum(
        math.prod(0.75 if x else 0.25 for x in seen) * wins(sum(seen), labels)
        for seen in itertools.product((0, 1), repeat=labels)
    )
    assert known.majority(labels) == pytest.approx(expected)


def test_texts_that_suffice_grow_with_the_horizon_and_explode_offline():
    """The number at which one half is reached, at H, 2 H and 4 H."""
    known = NoisyExpert(0.4)

    def least(way):
        return [next(n for n in itertools.count(1) if way(n, H) > 0.5) for H in (5, 10, 20)]

    offline, online = least(known.offline), least(known.online)
    assert offline[2] / offline[1] > 2 * offline[1] / offline[0]
    assert online[2] / online[1] < online[1] / online[0] < 5
    assert known.offline(500, 40) < 0.1 < 0.5 < known.online(500, 40)


def test_a_rate_is_a_share():
    with pytest.raises(InvalidInputError, match=r"rate=1.5 of a noisy expert must lie in \[0, 1\]"):
        NoisyExpert(1.5)
