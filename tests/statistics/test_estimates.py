"""Estimates and comparisons against scipy, closed forms and counts by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqil import statistics
from seqil.errors import InvalidInputError
from seqil.statistics import bootstrap, comparison


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson(hits, n):
    hits = min(hits, n)
    e = statistics.proportion(hits, n, "rows")
    assert 0 <= e.low <= e.value + 1e-12
    assert e.value - 1e-12 <= e.high <= 1
    for p in (e.low, e.high):  # the ends solve |p - hits/n| = z sqrt(p (1 - p) / n)
        if 1e-6 < p < 1 - 1e-6:
            assert abs(p - hits / n) == pytest.approx(1.959963984540054 * math.sqrt(p * (1 - p) / n), abs=1e-9)


def test_mean_ratio_and_quotient_cover():
    g = np.random.default_rng(0)
    covered = {"mean": 0, "ratio": 0, "quotient": 0}
    for _ in range(600):
        net = g.integers(5, 15, 60)
        actions = net + g.poisson(0.2 * net)
        m, r = statistics.mean(actions / net, "rows"), statistics.ratio(actions, net, "rows")
        covered["mean"] += m.low <= 1.2 <= m.high
        covered["ratio"] += r.low <= 1.2 <= r.high
        q = statistics.quotient(g.exponential(1.2, 60), g.exponential(1.0, 90), "rows")
        covered["quotient"] += q.low <= 1.2 <= q.high
    assert all(0.92 < c / 600 < 0.98 for c in covered.values())


def test_a_quotient_without_an_interval():
    for a, b, value in (([1.0, 3.0], [0.0, 0.0], math.inf), ([1.0, math.inf], [1.0, 1.0], math.inf),
                        ([0.0, 0.0], [1.0, 2.0], 0.0), ([3.0], [2.0], 1.5)):  # fmt: skip
        e = statistics.quotient(a, b, "rows")
        assert e.value == value
        assert math.isnan(e.low)


def test_infinite_values_survive():
    e = statistics.mean([1.0, math.inf], "seeds")
    assert e.value == math.inf
    again = statistics.Estimate.of(e.to_json())
    assert (again.value, again.n, again.unit) == (math.inf, 2, "seeds")
    assert math.isnan(again.low)
    assert str(e) == "∞ (2 seeds)"
    assert str(statistics.Estimate(-math.inf, -math.inf, 0.5, 2, "seeds")) == "-∞ [-∞, 0.5] (2 seeds)"


def test_over_runs():
    runs = [statistics.Estimate(v, v - 0.1, v + 0.1, 100, "sequences") for v in (0.2, 0.4, 0.6)]
    two = statistics.over_runs(runs[:2])
    assert (two.value, two.unit, two.n) == (pytest.approx(0.3), "sequences", 200)
    assert two.high - two.value == pytest.approx(0.1 / math.sqrt(2))
    three = statistics.over_runs(runs)
    assert three.unit == "seeds"
    assert three.high == pytest.approx(0.4 + 4.302652729911275 * 0.2 / math.sqrt(3))


def test_holm():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_an_empty_sample_is_refused():
    with pytest.raises(InvalidInputError, match="at least one value"):
        statistics.mean([], "rows")


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_proportion_is_that_of_scipys_binomial_test(hits, n):
    hits = min(hits, n)
    e, theirs = statistics.proportion(hits, n, "rows"), stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (e.value, e.n, e.unit) == (hits / n, n, "rows")
    assert (e.low, e.high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))


def same(found, expected):
    """Equality where NaN is NaN."""
    return found.to_json() == statistics.Estimate(*expected).to_json()


def test_without_a_trial_or_a_run_there_is_no_number():
    none = (math.nan, math.nan, math.nan, 0)
    assert same(statistics.proportion(0, 0, "rows"), (*none, "rows"))
    assert same(statistics.over_runs([]), (*none, "seeds"))
    assert same(statistics.ratio([1.0, 2.0], [0.0, 0.0], "rows"), (*none[:3], 2, "rows"))


samples = st.lists(st.floats(-5, 5), min_size=2, max_size=12).filter(lambda x: np.ptp(x) > 0.1)


@given(samples)
def test_a_mean_has_scipys_t_interval(values):
    e = statistics.mean(values, "rows")
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (e.value, e.n, e.unit) == (pytest.approx(sum(values) / len(values)), len(values), "rows")
    assert (e.low, e.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


@given(samples)
def test_a_geometric_mean_is_scipys(logs):
    values = np.exp(logs)
    e, around = statistics.geometric_mean(values, "rows"), statistics.mean(logs, "rows")
    assert (e.value, e.n, e.unit) == (pytest.approx(stats.gmean(values)), len(logs), "rows")
    assert (e.low, e.high) == (pytest.approx(math.exp(around.low)), pytest.approx(math.exp(around.high)))


def test_few_runs_are_pooled_and_many_are_averaged():
    runs = [
        statistics.Estimate(v, v - d, v + u, n, "tokens") for v, d, u, n in ((0.2, 0.3, 0.6, 5), (0.4, 0.4, 0.8, 7))
    ]
    two = statistics.over_runs(runs)
    assert (two.value, two.n, two.unit) == (pytest.approx(0.3), 12, "tokens")
    assert (two.low, two.high) == (pytest.approx(0.3 - 0.25), pytest.approx(0.3 + 0.5))
    three = statistics.over_runs([*runs, statistics.Estimate(1.2, 0, 2, 1, "tokens")])
    assert same(three, vars(statistics.mean([0.2, 0.4, 1.2], "seeds")).values())


def test_a_difference_rests_on_the_smaller_sample():
    e = statistics.difference(statistics.Estimate(5, 2, 9, 20, "rows"), statistics.Estimate(3, -1, 6, 10, "others"))
    assert (e.value, e.low, e.high, e.n, e.unit) == (2, 2 - math.hypot(3, 3), 2 + math.hypot(4, 4), 10, "rows")


@given(samples, samples)
def test_the_probability_of_improvement_is_that_of_scipys_mann_whitney_test(ours, theirs):
    expected = stats.mannwhitneyu(ours, theirs).statistic / (len(ours) * len(theirs))
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx(expected)
    assert statistics.probability_of_improvement([1.0, 2.0], [1.0, 3.0]) == 1.5 / 4


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert statistics.interquartile_mean([9.0, 1.0, 2.0, 4.0, 100.0, -50.0, 3.0, 5.0]) == (2 + 3 + 4 + 5) / 4


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_holm_rejects_as_his_steps_do(p_values):
    adjusted = statistics.holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected, order = set(), np.argsort(p_values)
        for rank, i in enumerate(order):
            if p_values[i] * (len(order) - rank) > level:
                break
            rejected.add(i)
        assert rejected == {i for i, p in enumerate(adjusted) if p <= level}


def test_gaps_without_spread_are_judged_by_their_signs():
    for gap, below in ((-0.5, 1 / 8), (0.5, 7 / 8), (0.0, 0.5)):
        c = comparison.paired_difference([10 + gap] * 3, [10.0] * 3)
        assert c.below(0) == pytest.approx(below)
        assert c.above(0) == pytest.approx(1 - below)
    spread = comparison.paired_difference([10.0, 10.2, 10.5], [0.0, 0.0, 0.0])
    assert spread.below(0) == pytest.approx(stats.ttest_1samp([10.0, 10.2, 10.5], 0, alternative="less").pvalue)


def test_a_ratio_of_hazards_is_that_of_errors_per_token():
    ours = [statistics.proportion(e, n, "tokens") for e, n in ((3, 100), (8, 90), (2, 50))]
    theirs = [statistics.proportion(e, n, "tokens") for e, n in ((6, 80), (9, 70), (5, 40))]
    ratios = [3 / 100 / (6 / 80), 8 / 90 / (9 / 70), 2 / 50 / (5 / 40)]
    assert comparison.hazard_ratio(ours, theirs).effect.value == pytest.approx(stats.gmean(ratios))
    flawless = [*ours[:2], statistics.proportion(0, 50, "tokens")]
    ratios = [3.5 / 100.5 / (6.5 / 80.5), 8.5 / 90.5 / (9.5 / 70.5), 0.5 / 50.5 / (5.5 / 40.5)]
    assert comparison.hazard_ratio(flawless, theirs).effect.value == pytest.approx(stats.gmean(ratios))


def test_a_percentile_interval_is_scipys():
    values = np.random.default_rng(3).gamma(2.0, size=40)
    e = bootstrap.percentile(values, "rows")
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    assert (e.value, e.n, e.unit) == (pytest.approx(values.mean()), 40, "rows")
    assert (e.low, e.high) == (pytest.approx(theirs.low, abs=0.02), pytest.approx(theirs.high, abs=0.02))
    other = bootstrap.percentile(values, "rows", generator=np.random.default_rng(9))
    assert other.low != e.low
    assert e == bootstrap.percentile(values, "rows", generator=np.random.default_rng(0))


def test_resamples_of_few_units_are_all_there_are():
    found = bootstrap.resamples(3, 5)
    assert sorted(map(tuple, found.tolist())) == [(a, b, c) for a in range(3) for b in range(3) for c in range(3)]
    many = bootstrap.resamples(9, 2000)
    assert many.shape == (2000, 9)
    assert (many.min(), many.max()) == (0, 8)


def test_the_expanded_percentiles_of_two_seeds_are_their_ends():
    """`Phi(-sqrt(2) t)` with the t of one degree of freedom, 12.7, is no share that 2,000 draws could leave out."""
    e = bootstrap.hierarchical([[1.0], [4.0]], lambda runs: float(np.mean([run.mean() for run in runs])))
    assert (e.value, e.low, e.high, e.n, e.unit) == (2.5, 1.0, 4.0, 2, "seeds")


@pytest.mark.parametrize(
    ("n", "unit", "said"),
    [(1, "prefixes", "1 prefix"), (1, "sequences", "1 sequence"), (1, "texts", "1 text"), (2, "errors", "2 errors")],
)
def test_what_an_estimate_rests_on_agrees_with_its_number(n, unit, said):
    assert str(statistics.Estimate(0.5, math.nan, math.nan, n, unit)) == f"0.5 ({said})"
    assert str(statistics.Estimate(0.5, 0.25, 1.0, n, unit)) == f"0.5 [0.25, 1] ({said})"


@pytest.mark.parametrize(("hits", "n"), [(10, 5), (-1, 5), (math.nan, 5)])
def test_more_than_all_is_no_share(hits, n):
    with pytest.raises(InvalidInputError, match=r"proportion: .* of 5 rows is no share"):
        statistics.proportion(hits, n, "rows")


@given(st.integers(1, 10_000))
def test_none_and_all_are_inside_their_intervals(n):
    none, everything = statistics.proportion(0, n, "rows"), statistics.proportion(n, n, "rows")
    assert none.low == none.value == 0 < none.high
    assert everything.low < everything.value == everything.high == 1
