"""What intervals and tests promise, on simulated studies: seeds x sequences, with a spread between seeds."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqil import bootstrap, comparison, statistics
from seqil.errors import InvalidInputError

SEEDS, SEQUENCES, HORIZON = 5, 400, 64
SHARED, OWN = 0.17, 0.1  # spread of log hazards between seeds: common to both arms, and of each
floats = st.floats(-100, 100, allow_subnormal=False)


def studies(number, errors, ratio=1.0, own=OWN, seed=0):
    """Errors and tokens at risk, int [number, seeds, 2 arms], of which the first has `ratio` times the hazard.

    `errors` first errors per seed are expected of the second arm.
    """
    g = np.random.default_rng(seed)
    hazard = 1 - (1 - errors / SEQUENCES) ** (1 / HORIZON)
    spread = SHARED * g.standard_normal((number, SEEDS, 1)) + own * g.standard_normal((number, SEEDS, 2))
    rates = hazard * np.exp(spread) * [ratio, 1.0]
    first = g.geometric(rates[..., None] * np.ones(SEQUENCES))
    return (first <= HORIZON).sum(-1), np.minimum(first, HORIZON).sum(-1), hazard


def compared(errors, at_risk):
    """The comparison of the two arms of one study."""
    arms = [[statistics.proportion(int(e), int(n), "tokens") for e, n in zip(errors[:, a], at_risk[:, a], strict=True)]
            for a in (0, 1)]  # fmt: skip
    return comparison.hazard_ratio(*arms)


def share(found):
    return sum(found) / len(found)


def within(rate, expected, number):
    """Within three standard errors of a binomial."""
    return abs(rate - expected) <= 3 * math.sqrt(expected * (1 - expected) / number)


# -- false and missed findings


@pytest.mark.parametrize("errors", [5, 100])
@pytest.mark.parametrize("number", [600, pytest.param(6000, marks=pytest.mark.slow)])
def test_equal_arms_differ_at_the_nominal_rate(number, errors):
    hits, at_risk, _ = studies(number, errors)
    found = [compared(*study) for study in zip(hits, at_risk, strict=True)]
    assert within(share([c.differs() for c in found]), 0.05, number)
    assert within(share([c.better(lower=True) for c in found]), 0.025, number)
    gaps = (hits / at_risk)[:, :, 0], (hits / at_risk)[:, :, 1]
    plain = [comparison.paired_difference(a, b) for a, b in zip(*gaps, strict=True)]
    assert within(share([c.differs() for c in plain]), 0.05, number)


@pytest.mark.parametrize(("errors", "own"), [(80, 0.0), (250, OWN)])
@pytest.mark.parametrize("number", [400, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_reduction_of_the_hazard_is_found(number, errors, own):
    hits, at_risk, _ = studies(number, errors, ratio=0.7, own=own)
    found = [compared(*study) for study in zip(hits, at_risk, strict=True)]
    assert share([c.better(lower=True) for c in found]) >= 0.9
    assert not any(c.better(lower=False) for c in found)
    assert 0.93 <= share([c.effect.low <= 0.7 <= c.effect.high for c in found]) <= 0.97


def test_pairs_find_what_unpaired_intervals_do_not():
    hits, at_risk, _ = studies(300, 150, ratio=0.7, own=0.0)
    paired = share([compared(*study).differs() for study in zip(hits, at_risk, strict=True)])
    rates = hits / at_risk
    arms = [[statistics.mean(study[:, a], "seeds") for study in rates] for a in (0, 1)]
    apart = share([ours.high < theirs.low for ours, theirs in zip(*arms, strict=True)])
    assert paired > apart + 0.3


# -- coverage over five seeds


@pytest.mark.parametrize("number", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_intervals_over_five_seeds_cover_but_for_percentiles(number):
    """Student's t over seed means, which the studies use, and the studentised bootstrap; percentiles fail."""
    hits, at_risk, hazard = studies(number, 60)
    mean_hazard = hazard * math.exp((SHARED**2 + OWN**2) / 2)
    rates = (hits / at_risk)[:, :, 1]

    def coverage(interval, some=number):
        return share([(e := interval(x, "seeds")).low <= mean_hazard <= e.high for x in rates[:some]])

    assert 0.93 <= coverage(statistics.mean) <= 0.97
    assert 0.93 <= coverage(statistics.geometric_mean) <= 0.97
    assert 0.92 <= coverage(bootstrap.studentised, 600) <= 0.98
    assert coverage(bootstrap.percentile, 600) < 0.88


@pytest.mark.parametrize("within_seeds", [0.0, 1.0])
def test_the_hierarchical_bootstrap_is_not_too_short(within_seeds):
    """It covers 93 % where all spread is between seeds, and more where sequences add to it."""
    g = np.random.default_rng(0)

    def covers():
        centres = g.standard_normal(SEEDS)
        runs = [c + within_seeds * math.sqrt(20) * g.standard_normal(20) for c in centres]
        e = bootstrap.hierarchical(runs, lambda drawn: float(np.mean([run.mean() for run in drawn])), draws=200,
                                   generator=g)  # fmt: skip
        return e.low <= 0 <= e.high

    rate = share([covers() for _ in range(150)])
    assert rate >= (0.97 if within_seeds else 0.87)  # three standard errors of 150 studies below .93


# -- algebra


@given(st.lists(floats, min_size=1, max_size=4))
def test_few_units_are_resampled_in_every_way(x):
    rows = bootstrap.resamples(len(x), 10)
    assert sorted(map(tuple, rows.tolist())) == list(product(range(len(x)), repeat=len(x)))


def test_the_studentised_interval_of_three_values_by_hand():
    x = [0.2, 0.5, 1.4]
    rows = [r for r in product(x, repeat=3) if len(set(r)) > 1]
    t = [(np.mean(r) - np.mean(x)) / np.std(r, ddof=1) for r in rows]
    e = bootstrap.studentised(x, "seeds")
    assert e.low == pytest.approx(np.mean(x) - np.quantile(t, 0.975) * np.std(x, ddof=1))
    assert e.high == pytest.approx(np.mean(x) - np.quantile(t, 0.025) * np.std(x, ddof=1))


def test_many_units_are_resampled_at_random_and_repeatably():
    rows = bootstrap.resamples(9, 50)
    assert rows.shape == (50, 9)
    assert (rows == bootstrap.resamples(9, 50)).all()
    assert set(np.unique(rows)) <= set(range(9))


@given(st.lists(floats, min_size=3, max_size=5), st.floats(-50, 50), st.floats(0.1, 10))
def test_bootstraps_move_and_scale_with_the_values(x, shift, scale):
    values = np.array(x)
    for interval in (bootstrap.percentile, bootstrap.studentised, statistics.mean):
        e, moved = interval(values, "seeds"), interval(shift + scale * values, "seeds")
        if math.isnan(e.low) or np.ptp(values) < 1e-3:
            continue
        expected = [shift + scale * z for z in (e.value, e.low, e.high)]
        np.testing.assert_allclose([moved.value, moved.low, moved.high], expected, rtol=1e-6, atol=1e-6 * np.ptp(x))
        assert e.low <= e.value <= e.high


@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=2, max_size=6))
def test_comparisons_are_antisymmetric_and_agree_with_their_intervals(pairs):
    a, b = map(list, zip(*pairs, strict=True))
    for compare in (comparison.paired_difference, comparison.paired_ratio):
        one, other = compare(a, b), compare(b, a)
        assert one.p == pytest.approx(other.p, abs=1e-9)
        outside = not one.effect.low <= one.neutral <= one.effect.high
        if abs(one.p - 0.05) > 1e-6 and one.effect.high > one.effect.low:
            assert one.differs() == outside
        assert not (one.better(lower=True) and one.better(lower=False))
        assert one.better(lower=True) == other.better(lower=False)
    assert comparison.paired_ratio(a, b).effect.value == pytest.approx(1 / comparison.paired_ratio(b, a).effect.value)


@given(
    st.lists(st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)), min_size=2, max_size=6, unique=True),
    st.floats(0.6, 0.9),
    st.floats(1.1, 1.6),
)
def test_claims_about_bounds_agree_with_the_intervals_at_twice_their_level(pairs, low, high):
    a, b = map(list, zip(*pairs, strict=True))
    for compare in (comparison.paired_difference, comparison.paired_ratio):
        c = compare(a, b)
        twice = stats.t.ppf(0.95, len(a) - 1) / stats.t.ppf(0.975, len(a) - 1)
        scale = (np.log, np.exp) if c.neutral else (np.asarray, np.asarray)
        value, end = scale[0](c.effect.value), scale[0](c.effect.high)
        ends = [float(scale[1](value + sign * twice * (end - value))) for sign in (-1, 1)]
        if min(abs(end - bound) for end in ends for bound in (low, high)) < 1e-6 or ends[1] - ends[0] < 1e-6:
            continue
        assert (c.below(high) < 0.05) == (ends[1] < high)
        assert (c.above(low) < 0.05) == (ends[0] > low)
        assert (c.within(low, high) < 0.05) == (low < ends[0] and ends[1] < high)
        assert (c.beyond(low, high) < 0.05) == (c.effect.high < low or c.effect.low > high)
        assert c.below(high) + c.above(high) == pytest.approx(1)


def test_bounds_are_compared_with_scipys_one_sided_test():
    ours, theirs = [0.31, 0.36, 0.29, 0.4, 0.33], [0.35, 0.37, 0.3, 0.38, 0.36]
    c = comparison.paired_ratio(ours, theirs)
    logs = np.log(np.divide(ours, theirs))
    assert c.below(1.1) == pytest.approx(stats.ttest_1samp(logs, math.log(1.1), alternative="less").pvalue)
    assert c.above(0.9) == pytest.approx(stats.ttest_1samp(logs, math.log(0.9), alternative="greater").pvalue)
    assert c.p == pytest.approx(stats.ttest_rel(np.log(ours), np.log(theirs)).pvalue)
    one = comparison.paired_difference([1.0], [2.0])
    assert all(map(math.isnan, (one.p, one.below(0), one.above(0), one.within(-1, 1), one.beyond(-1, 1))))


def test_equal_values_are_no_difference_and_infinite_ones_no_test():
    same = comparison.paired_difference([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.p, same.differs(), same.effect.value) == (1.0, False, 0.0)
    assert comparison.paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]).p == 2 * 0.5**3  # the sign test
    assert comparison.paired_difference([1.0, 2.0], [2.0, 3.0]).below(0) == 0.5**2
    for ours, theirs in (([0.3, 0.4, 0.5], [0.2, 0.3, 0.4]), ([0.301, 0.402, 0.503], [0.3, 0.401, 0.502])):
        assert comparison.paired_difference(ours, theirs).p == 0.25  # equal up to rounding
    infinite = comparison.paired_difference([1.0, math.inf], [1.0, 2.0])
    assert infinite.effect.value == math.inf
    assert math.isnan(infinite.p)
    assert not infinite.differs()
    assert math.isnan(comparison.paired_ratio([0.0, 1.0], [1.0, 1.0]).p)
    assert math.isnan(comparison.paired_difference([1.0], [2.0]).p)
    with pytest.raises(InvalidInputError, match="seed by seed"):
        comparison.paired_difference([1.0], [2.0, 3.0])


def _shares(counts, n):
    return [statistics.proportion(k, n, "sequences") for k in counts]


def test_shares_without_a_spread_are_told_apart_by_their_counts():
    all_of_them = comparison.share_difference(_shares([300] * 3, 300), _shares([0] * 3, 300))
    q = 0.5 / 301
    se = math.sqrt(2 * q * (1 - q) / 300 / 3)
    assert 2 * stats.t.sf(1 / se, 2) < 1e-3
    assert all_of_them.p == 2 * 0.25**3  # a run may be right or wrong as a whole
    close = comparison.share_difference(_shares([30] * 3, 300), _shares([3] * 3, 300))
    spread = math.sqrt(sum(x * (1 - x) for x in (30.5 / 301, 3.5 / 301)) / 300)
    assert close.p == pytest.approx(max(2 * stats.t.sf(0.09 / spread * math.sqrt(3), 2), 2 * 0.25**3))
    assert (all_of_them.effect.value, all_of_them.effect.high) == (1.0, 1.0)
    assert all_of_them.effect.low == pytest.approx(1 - stats.t.ppf(0.975, 2) * se)
    none = comparison.share_difference(_shares([0] * 3, 300), _shares([0] * 3, 300))
    assert none.p == 1.0
    assert none.below(0.1) == 0.5**3  # the sign test: at a floor the counts of three seeds say nothing
    assert comparison.share_difference(_shares([4] * 3, 300), _shares([3] * 3, 300)).p > 0.3
    ours, theirs = _shares([10, 20, 40], 300), _shares([30, 30, 35], 300)
    plain = comparison.paired_difference([e.value for e in ours], [e.value for e in theirs])
    counted = comparison.share_difference(ours, theirs)
    assert (counted.p, counted.effect) == (plain.p, plain.effect)
    assert math.isnan(comparison.share_difference(_shares([1], 9), _shares([2], 9)).p)


def test_equal_shares_differ_no_more_often_than_they_may():
    """Rare successes, whose gaps are often alike: 5 % of studies of three seeds at most, by simulation."""
    g = np.random.default_rng(0)
    for share, n in ((0.003, 300), (0.02, 50), (0.5, 20)):
        drawn = g.binomial(n, share, size=(1500, 2, 3))
        told = [comparison.share_difference(_shares(a, n), _shares(b, n)).p < 0.05 for a, b in drawn]
        assert np.mean(told) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)


def test_runs_that_are_all_right_or_all_wrong_are_told_apart_no_more_often_than_they_may():
    """One law decides all texts of a run: by simulation."""
    g = np.random.default_rng(1)
    for q in (0.1, 0.5):
        drawn = 300 * (g.random((1500, 2, 3)) < q)
        found = [comparison.share_difference(_shares(a, 300), _shares(b, 300)) for a, b in drawn]
        for level in (0.05, 0.03):
            for told in ([c.p < level for c in found], [c.below(0.02) < level for c in found]):
                assert np.mean(told) < level + 3 * math.sqrt(level * (1 - level) / 1500)


def test_half_an_error_stands_for_none():
    few = [statistics.proportion(e, 100, "tokens") for e in (0, 1, 2)]
    more = [statistics.proportion(e, 100, "tokens") for e in (3, 4, 5)]
    ratio = comparison.hazard_ratio(few, more).effect.value
    assert ratio == pytest.approx((0.5 * 1.5 * 2.5 / (3.5 * 4.5 * 5.5)) ** (1 / 3))


def test_holm_leaves_out_what_was_not_tested():
    adjusted = statistics.holm([0.01, math.nan, 0.04])
    assert adjusted[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(adjusted[1])


def test_the_difference_of_independent_estimates_covers():
    g = np.random.default_rng(0)
    covered = []
    for _ in range(600):
        a, b = statistics.mean(g.normal(1.0, 1.0, 40), "rows"), statistics.mean(g.normal(0.3, 2.0, 60), "rows")
        e = statistics.difference(a, b)
        covered.append(e.low <= 0.7 <= e.high)
    assert 0.92 < share(covered) < 0.98


def test_bootstraps_of_an_empty_sample_are_refused():
    with pytest.raises(InvalidInputError, match="at least one value"):
        bootstrap.percentile([], "seeds")
    with pytest.raises(InvalidInputError, match="at least one run"):
        bootstrap.hierarchical([[1.0], []], lambda runs: 0.0)


def test_one_run_has_a_value_and_no_interval():
    e = bootstrap.hierarchical([[1.0, 2.0]], lambda runs: float(runs[0].mean()))
    assert e.value == 1.5
    assert math.isnan(e.low)
    assert math.isnan(bootstrap.studentised([1.0, 1.0, 1.0], "seeds").low)
