"""Intervals of shares over few seeds, and rank correlations of few points."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqil.statistics import over_runs, proportion
from seqil.statistics.estimates import mean
from seqil.statistics.ranks import kendall, spearman


def shares(hits, n):
    return [proportion(int(k), n, "texts") for k in hits]


@given(st.lists(st.integers(0, 40), min_size=3, max_size=6), st.integers(40, 400))
def test_intervals_of_counts_lie_within_0_and_1_have_width_and_hold_their_value(hits, n):
    for found in (over_runs(shares(hits, n), "counts"), over_runs(shares([n - k for k in hits], n), "counts")):
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.high > found.low
        assert found.unit == "seeds"


@pytest.mark.parametrize("n", [30, 300])
def test_none_of_n_and_all_of_n_are_mirror_images_with_width(n):
    none, all_ = (over_runs(shares([k] * 3, n), "counts") for k in (0, n))
    assert (none.value, none.low, all_.value, all_.high) == (0, 0, 1, 1)
    assert 1 / n < none.high < 2 / n
    assert all_.low == pytest.approx(1 - none.high)


def test_other_shares_stay_within_0_and_1_and_others_are_as_they_were():
    high = [proportion(9, 10, "texts"), proportion(10, 10, "texts"), proportion(10, 10, "texts")]
    assert over_runs(high).high > 1
    found = over_runs(high, "share")
    assert 0.7 < found.low < found.value < found.high <= 1
    assert over_runs(high) == mean([0.9, 1.0, 1.0], "seeds")


@pytest.mark.parametrize(("p", "between", "n"), [(0.5, 0.0, 300), (0.5, 0.1, 300), (0.02, 0.0, 300), (0.003, 0.0, 300),
                                                 (0.95, 0.02, 300), (0.3, 0.05, 40), (0.9, 0.05, 1000)])  # fmt: skip
@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_of_shares_cover_at_their_level(p, between, n, seeds):
    g, trials = np.random.default_rng(7), 1000
    covered = 0
    for _ in range(trials):
        law = np.full(seeds, p)
        if between:  # seeds have chances of their own, skewed near the ends: Beta with this mean and deviation
            size = p * (1 - p) / between**2 - 1
            law = g.beta(p * size, (1 - p) * size, seeds)
        e = over_runs(shares(g.binomial(n, law), n), "counts")
        covered += e.low <= p <= e.high
    assert covered / trials >= 0.935
    assert covered / trials < 0.9995 or p < 0.01


# -- ranks


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=6))
def test_the_p_value_is_the_share_of_all_pairings(points):
    x, y = (list(v) for v in zip(*points, strict=True))
    value, low, high, p = spearman(x, y)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert all(map(math.isnan, (value, low, high, p)))
        return
    assert value == pytest.approx(stats.spearmanr(x, y).statistic)
    ranks = np.array([stats.rankdata(x), *permutations(stats.rankdata(y))])
    every = np.corrcoef(ranks)[0, 1:]
    assert p == pytest.approx(np.mean(abs(every) >= abs(value) - 1e-9))
    assert low <= high


def test_four_points_in_order_are_no_proof():
    value, low, high, p = spearman([1, 2, 3, 4], [10, 20, 30, 40])
    assert (value, p) == (1, pytest.approx(2 / 24))
    assert (low, high) == (1, 1)
    assert spearman([1, 2, 3, math.inf], [1, 2, 3, 4])[0] == 1


def test_nine_points_in_order_are_as_rare_as_that():
    assert spearman(range(9), range(9))[3] == pytest.approx(2 / math.factorial(9), rel=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=12))
def test_kendalls_coefficient_is_scipys_and_its_interval_that_of_resampled_pairs(points):
    x, y = np.array(points, dtype=np.float64).T
    found = kendall(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert all(map(math.isnan, found))
        return
    assert (found[0], found[3]) == pytest.approx(tuple(stats.kendalltau(x, y)), nan_ok=True)
    rows = np.random.default_rng(0).integers(0, len(x), (2000, len(x)))
    again = np.array([stats.kendalltau(x[row], y[row]).statistic for row in rows[:200]])
    assert np.nanmin(again) - 1e-9 <= found[2]
    assert np.nanmax(again) + 1e-9 >= found[1]


def test_kendalls_interval_of_a_cloud():
    g = np.random.default_rng(0)
    x = g.random(20)
    y = x + g.random(20)

    def tau(a, b):
        return stats.kendalltau(a, b).statistic

    resampling = {"paired": True, "vectorized": False, "n_resamples": 2000, "method": "percentile"}
    own = stats.bootstrap((x, y), tau, rng=np.random.default_rng(1), **resampling).confidence_interval
    assert kendall(x, y)[1:3] == pytest.approx((own.low, own.high), abs=0.03)


def test_beyond_nine_points_pairings_are_drawn():
    g = np.random.default_rng(0)
    x = g.random(20)
    y = x + 2 * g.random(20)
    value, low, high, p = spearman(x, y)
    exact = stats.permutation_test((y,), lambda y: stats.spearmanr(x, y).statistic, permutation_type="pairings",
                                   n_resamples=999, rng=np.random.default_rng(1))  # fmt: skip
    assert p == pytest.approx(exact.pvalue, abs=0.02)
    assert low < value < high
    assert spearman(x, y) == (value, low, high, p)
