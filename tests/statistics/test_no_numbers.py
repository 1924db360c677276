"""What are no numbers, no pairs or no texts is refused in one line; estimates without a value stay what they are."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from seqil import metrics, statistics
from seqil.errors import InvalidInputError
from seqil.metrics.entries import by_difference, by_ratio
from seqil.statistics import bootstrap, comparison

PAIRED = [comparison.paired_difference, comparison.paired_ratio]
OF_A_LIST = [
    lambda x: statistics.mean(x, "seeds"),
    lambda x: statistics.geometric_mean(x, "seeds"),
    statistics.interquartile_mean,
    lambda x: bootstrap.percentile(x, "seeds"),
    lambda x: bootstrap.studentised(x, "seeds"),
    lambda x: bootstrap.hierarchical([x, x], lambda runs: 0.0),
    lambda x: statistics.probability_of_improvement(x, [1.0]),
    lambda x: statistics.ratio(x, [1.0], "seeds"),
]


def told(call, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("values", [["a"], ["1"], [None], [1j], "12", None, [[1], [1, 2]], [{}]], ids=repr)
def test_what_are_no_numbers_is_refused(values):
    for call in OF_A_LIST:
        told(lambda call=call: call(values), "are no numbers; give")
    for paired in PAIRED:
        told(lambda paired=paired: paired(values, [1.0]), "ours=.* are no numbers")
        told(lambda paired=paired: paired([1.0], values), "theirs=.* are no numbers")


@pytest.mark.parametrize("paired", PAIRED)
def test_pairs_with_nan_are_refused_by_their_seed(paired):
    told(lambda: paired([1, math.nan, 2], [1, 2, 3]), "ours: the value of seed 1 is NaN; leave that seed out of both")
    told(lambda: paired([1, 2], np.array([1, math.nan])), "theirs: the value of seed 1 is NaN")
    told(lambda: paired([1, 2], [1]), "seed by seed")
    told(lambda: paired(1.0, 2.0), "seed by seed")


@pytest.mark.parametrize("values", [(1, 2), np.array([1, 2]), torch.tensor([1, 2]), [Fraction(1), Fraction(2)]])
def test_numbers_may_be_of_any_kind(values):
    assert comparison.paired_difference(values, [0.0, 0.0]).gaps == (1.0, 2.0)
    assert statistics.mean(values, "seeds").value == 1.5
    assert statistics.mean([True, False], "texts").value == 0.5


def test_infinite_values_have_no_interval():
    assert math.isnan(comparison.paired_difference([math.inf, 1.0], [math.inf, 1.0]).p)


@pytest.mark.parametrize("compare", [by_difference, by_ratio, comparison.share_difference])
def test_estimates_without_a_value_compare_to_nothing(compare):
    none, some = statistics.proportion(0, 0, "texts"), statistics.proportion(1, 2, "texts")
    assert math.isnan(compare([some, none], [some, some]).p)


OF_TEXTS = {
    "mauve": lambda texts: metrics.mauve(texts, [[1], [2]]),
    "repetition": metrics.repetition,
    "distinct": lambda texts: metrics.distinct(texts, 2),
    "ngram_entropy": lambda texts: metrics.ngram_entropy(texts, 2),
    "exact_matches": lambda texts: metrics.exact_matches(texts, [[1], [2]]),
}


@pytest.mark.parametrize("name", OF_TEXTS)
@pytest.mark.parametrize(
    "texts", [None, 3, "12", ["1", "2"], [1, 2], [[0.5], [1]], [None, [1]], [[True], [1]]], ids=repr
)
def test_what_are_no_texts_is_refused(name, texts):
    told(lambda: OF_TEXTS[name](texts), rf"{name}: texts=.* must be lists of integer ids")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: metrics.mauve([[1]], None), "mauve: references=None"),
        (lambda: metrics.mauve([[1]], [[1], [2]]), "1 text and 2 references; give as many"),
        (lambda: metrics.exact_matches([[1]], [[1], [2]]), "1 text and 2 references; give as many"),
        (lambda: metrics.mauve([], []), "there are no texts"),
        (lambda: metrics.mauve([[1]], [[1]], 3), "features=3 is not a function of texts"),
        (lambda: metrics.mauve([[1]], [[1]], lambda texts: None), "features: None are no numbers"),
        (lambda: metrics.mauve([[1]], [[1]], lambda texts: np.zeros(1)), r"features returned values of shape \(1,\)"),
        (lambda: metrics.mauve([[1]], [[1]], lambda texts: np.full((1, 2), np.nan)), "return finite"),
        (lambda: metrics.mauve([[1]], [[1]], clusters=0.5), "clusters=0.5"),
        (lambda: metrics.mauve([[1]], [[1]], clusters=0), "clusters=0 must lie in"),
        (lambda: metrics.mauve([[1]], [[1]], scale=-1.0), "scale=-1"),
        (lambda: metrics.mauve([[1]], [[1]], scale=math.nan), "scale=nan"),
        (lambda: metrics.mauve([[1]], [[1]], seed="a"), "seed='a'"),
        (lambda: metrics.mauve([[1]], [[1]], seed=-1), "seed=-1"),
        (lambda: metrics.distinct([[1]], 0), "n=0: an n-gram"),
        (lambda: metrics.repetition([[1]], 1.5), "n=1.5"),
        (lambda: metrics.ngram_entropy([[1]], None), "n=None"),
    ],
)
def test_sides_and_options_that_do_not_fit_are_refused(call, said):
    told(call, said)


def test_texts_may_be_of_arrays():
    assert metrics.exact_matches([np.array([1, 2]), torch.tensor([3])], [[1, 2], [4]]).tolist() == [True, False]
