"""Metrics against scipy, closed forms and counts by hand."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqil import Trajectories, growth, metrics
from seqil.testing.agents import tiny_policy

texts_at_risk = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20)


def errors_of(rows):
    """`first` and `survived`: a text of `n` sound tokens, then an error or its end."""
    return np.array([n if wrong else -1 for n, wrong in rows]), np.array([n for n, _ in rows])


@pytest.mark.filterwarnings("ignore:The confidence interval is undefined")
@given(texts_at_risk)
def test_survival_is_scipys_of_censored_data(rows):
    first, survived = errors_of(rows)
    curve, error = metrics.survival(first, survived)
    wrong = first >= 0
    # A text that ends after n sound tokens was at risk up to position n - 1.
    found = stats.ecdf(stats.CensoredData(uncensored=survived[wrong], right=survived[~wrong] - 0.5)).sf
    T = np.arange(len(curve))
    np.testing.assert_allclose(curve, found.evaluate(T), atol=1e-12)
    if wrong.any() and len(found.quantiles):
        around = found.confidence_interval(0.01, method="linear")
        half = around.high.evaluate(T) - found.evaluate(T)
        known = np.isfinite(half) & (curve > 0) & (found.quantiles[0] <= T)
        np.testing.assert_allclose((stats.norm.ppf(0.505) * error)[known], half[known], atol=1e-9)


@given(texts_at_risk)
def test_hazards_are_counts_of_tokens(rows):
    first, survived = errors_of(rows)
    tokens = [(t, wrong and t == n) for n, wrong in rows for t in range(n + wrong)]
    for begin, end in ((0, None), (2, 6), (5, 30)):
        inside = [error for t, error in tokens if begin <= t and (end is None or t < end)]
        e = metrics.hazard(first, survived, begin, end)
        assert (e.n, e.unit) == (len(inside), "tokens")
        if inside:
            theirs = stats.binomtest(sum(inside), len(inside)).proportion_ci(method="wilson")
            assert (e.value, e.low) == (pytest.approx(np.mean(inside)), pytest.approx(theirs.low, abs=1e-12))
    at_risk, errors = metrics.risk_table(first, survived)
    for t in range(len(at_risk)):
        assert (at_risk[t], errors[t]) == (sum(u == t for u, _ in tokens), sum(e for u, e in tokens if u == t))
    shares = [d / n if n else 0.0 for n, d in zip(at_risk, errors, strict=True)]
    assert metrics.cumulative_hazard(first, survived).tolist() == pytest.approx(np.cumsum(shares).tolist())


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=4), st.integers(1, 3))
def test_ngrams_are_counted_as_lists_are(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text)) if i + n <= len(text)]
    if grams:
        assert metrics.distinct(texts, n) == len(set(grams)) / len(grams)
        counts = list(Counter(grams).values())
        assert metrics.ngram_entropy(texts, n) == pytest.approx(stats.entropy(counts))
    else:
        assert math.isnan(metrics.distinct(texts, n))
        assert metrics.ngram_entropy(texts, n) == 0
    for text, found in zip(texts, metrics.repetition(texts, n), strict=True):
        own = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        assert (
            found == pytest.approx(sum(g in own[:i] for i, g in enumerate(own)) / len(own)) if own else np.isnan(found)
        )


def test_the_quadratic_scale_is_the_root_of_a_sum():
    assert metrics.quadratic(np.arange(1.0, 9)) ** 2 == pytest.approx([sum(range(1, T + 1)) for T in range(1, 9)])


def test_slopes_are_those_of_scipy():
    T, J = np.array([4.0, 8, 16, 32]), np.array([0.3, 1.0, 3.0, 14.0])
    ours, theirs = growth.log_log_slope(T, J, np.asarray), stats.linregress(np.log(T), np.log(J))
    assert (ours.value, ours.n, ours.unit) == (pytest.approx(theirs.slope), 4, "horizons")
    assert ours.high - ours.value == pytest.approx(stats.t.ppf(0.975, 2) * theirs.stderr)
    assert ours.value - ours.low == pytest.approx(ours.high - ours.value)


def test_the_shape_of_first_errors_that_scipy_drew():
    rows = np.floor(stats.weibull_min(1.7, scale=300).rvs(4000, random_state=np.random.default_rng(0))).astype(int)
    first, survived = np.where(rows < 400, rows, -1), np.minimum(rows, 400)
    e = metrics.weibull_shape(first, survived)
    c, _, _ = stats.weibull_min.fit(
        stats.CensoredData(uncensored=rows[rows < 400] + 0.5, right=np.full((rows >= 400).sum(), 400.0)), floc=0
    )
    assert (e.value, e.n, e.unit) == (pytest.approx(c, rel=1e-3), (first >= 0).sum(), "errors")
    assert e.low < 1.7 < e.high
    assert math.log(e.high / e.value) == pytest.approx(math.log(e.value / e.low))
    # Wald: the deviation of log k without censoring is 0.78 / sqrt(n), and little more with it.
    assert math.log(e.high / e.value) == pytest.approx(1.96 * 0.78 / math.sqrt(e.n), rel=0.2)


def test_errors_accumulate_beyond_the_horizon_times_the_step_error():
    assert metrics.accumulated_error(30.0, 0.5) == 60
    assert metrics.excess_accumulated_error(30.0, 0.5, 20) == pytest.approx(200)
    assert metrics.excess_accumulated_error(5.0, 0.5, 20) == pytest.approx(-50)
    assert metrics.excess_accumulated_error(1.0, 0.0, 20) == math.inf


def test_distances_of_texts_are_those_of_their_laws():
    """Samples that hold each text as often as its law says: sums over them are sums over the laws."""
    P, Q = np.array([4, 2, 2]) / 8, np.array([2, 2, 4]) / 8
    teacher, student = np.repeat([0, 1, 2], [4, 2, 2]), np.repeat([0, 1, 2], [2, 2, 4])
    logs = [(np.log(P[x]), np.log(Q[x])) for x in (teacher, student)]
    found = metrics.sequence_distances(*logs)
    middle = (P + Q) / 2
    expected = {
        "kl": stats.entropy(P, Q),
        "reverse_kl": stats.entropy(Q, P),
        "total_variation": np.abs(P - Q).sum() / 2,
        "squared_hellinger": 1 - np.sqrt(P * Q).sum(),
        "jensen_shannon": (stats.entropy(P, middle) + stats.entropy(Q, middle)) / 2,
    }
    assert {name: e.value for name, e in found.items()} == pytest.approx(expected)
    assert {e.unit for e in found.values()} == {"sequences"}


def test_rare_tokens_are_counted_text_by_text():
    p = np.array([[0.5, 1e-4, 0.0, np.nan], [1e-3, 1e-5, 1e-6, 0.9], [np.nan] * 4])
    assert metrics.rare_tokens(p, 1e-2)[:2].tolist() == [1 / 3, 3 / 4]
    assert np.isnan(metrics.rare_tokens(p, 1e-2)[2])
    assert metrics.nats_per_token(np.array([[0.5, 0.25, np.nan], [1.0, 1.0, 0.5]])) == pytest.approx(
        [1.5 * math.log(2), math.log(2) / 3]
    )


def test_regret_sums_what_texts_have_before_their_end():
    values = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0]])
    assert metrics.regret(values).tolist() == [2.0, 5.0, 7.5]


def test_rules_are_charged_for_what_they_feed_at_each_state():
    class Rereads:
        def forwards(self, cells):
            return cells

    policy = tiny_policy()
    t = Trajectories.from_actions(policy.vocabulary, [[0, 1, 2], [3]], [[1, 5, 2, 4], [0, 1]], max_length=4)
    plain, charged = metrics.cost(t), metrics.cost(t, [Rereads(), object()])
    assert (charged.forwards - plain.forwards).tolist() == [3 + 4 + 3 + 4, 1 + 2]
    assert (charged.actions == plain.actions).all()


def test_without_an_error_there_is_no_delay():
    t = Trajectories.from_actions(tiny_policy().vocabulary, [[0]], [[1, 2, 4]])
    delay = metrics.backspaces(t, lambda prompt, text: None).delay
    assert math.isnan(delay.value)
    assert (delay.n, delay.unit) == (0, "errors")


def test_laws_of_the_same_numbers_are_at_no_distance_and_disjoint_ones_at_the_largest():
    p, q = torch.tensor([0.25, 0.75, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    for distance, largest in (
        *((metrics.jensen_shannon, math.log(2)), (metrics.total_variation, 1.0)),
        *((metrics.squared_hellinger, 1.0), (metrics.chi_squared_to_mixture, 1.0)),
    ):
        assert float(distance(p, p)) == pytest.approx(0, abs=1e-7)
        assert float(distance(p, q)) == pytest.approx(largest)
