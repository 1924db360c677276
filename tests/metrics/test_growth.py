"""Slopes, shapes and rates: recovered where they are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqil import exact, growth, metrics
from seqil.errors import InvalidInputError

HORIZONS = np.array([4, 8, 16, 32, 64, 128, 256], dtype=float)
rates = st.floats(-4, -0.5).map(lambda x: 10.0**x)


@given(rates)
def test_errors_that_accumulate_without_recovery_have_slope_two_at_any_horizon(eps):
    J = eps * HORIZONS * (HORIZONS + 1) / 2
    np.testing.assert_allclose(growth.local_slopes(HORIZONS, J), 2, rtol=1e-9)
    slope = growth.log_log_slope(HORIZONS, J)
    assert slope.value == pytest.approx(2)
    assert slope.high - slope.low < 1e-6
    np.testing.assert_allclose(growth.local_slopes(HORIZONS, eps * HORIZONS, scale=np.asarray), 1, rtol=1e-9)


@given(rates)
def test_absorbing_regret_is_that_of_a_leak_without_recovery(eps):
    t = np.arange(1, 257)
    J = metrics.absorbing_regret((1 - eps) ** t)
    np.testing.assert_allclose(J[HORIZONS.astype(int) - 1], exact.leak_recover(eps, 0.0, HORIZONS), rtol=1e-6)


def test_absorbing_regret_counts_the_tokens_from_the_first_error_on():
    first = np.array([0, 2, 3, 3])
    curve, _ = metrics.survival(first, first)
    texts = np.arange(4) >= first[:, None]
    np.testing.assert_allclose(metrics.absorbing_regret(curve), texts.cumsum(1).mean(0))


def sampled(hazard, ends, n, seed=0):
    """First errors and survived tokens of n texts; `ends` gives the length of each."""
    g = np.random.default_rng(seed)
    at, length = g.geometric(hazard, n) - 1, ends(g, n)
    return np.where(at < length, at, -1), np.minimum(at, length)


def regret_and_error(first, survived, T):
    curve, error = (x[:T] for x in metrics.survival(first, survived))
    curve, error = (np.pad(x, (0, T - len(x)), mode="edge") for x in (curve, error))
    return metrics.absorbing_regret(curve)[-1], metrics.absorbing_regret_error(curve, error)


@pytest.mark.parametrize("hazard", [0.02, 0.4])
def test_the_error_of_the_regret_of_whole_texts_is_that_of_their_mean(hazard):
    T = 32
    first, survived = sampled(hazard, lambda g, n: np.full(n, T), 200)
    own = np.where(first >= 0, T - first, 0)
    assert regret_and_error(first, survived, T) == pytest.approx((own.mean(), own.std() / math.sqrt(200)))
    assert metrics.absorbing_regret_error(np.zeros(4), np.zeros(4)) == 0


def test_the_error_of_the_regret_of_censored_texts_is_the_spread_of_its_estimate():
    T, n = 32, 150
    found = [regret_and_error(*sampled(0.03, lambda g, n: g.integers(8, T + 1, n), n, s), T) for s in range(500)]
    regret, error = np.array(found).T
    assert error.mean() == pytest.approx(regret.std(), rel=0.08)
    observed = [sampled(0.03, lambda g, n: np.full(n, T), n, s) for s in range(500)]
    assert error.mean() > 1.1 * np.mean([regret_and_error(*one, T)[1] for one in observed])
    expected = (1 - 0.97 ** np.arange(1, T + 1)).sum()
    assert np.mean(np.abs(regret - expected) <= 1.96 * error) == pytest.approx(0.95, abs=0.03)


@given(rates, st.one_of(st.just(0.0), rates))
def test_two_rates_are_found_again(leak, recover):
    J = exact.leak_recover(leak, recover, HORIZONS)
    found = growth.two_rates(HORIZONS, J)
    assert found.residual < 1e-4
    assert found.leak == pytest.approx(leak, rel=1e-2)
    assert found.recover == pytest.approx(recover, rel=2e-2, abs=1e-5)


def test_two_rates_of_a_simulated_chain():
    g = np.random.default_rng(0)
    bad, state = np.zeros((4000, 128)), np.zeros(4000, dtype=bool)
    for t in range(128):
        u = g.random(4000)
        state = np.where(state, u >= 0.1, u < 0.02)
        bad[:, t] = state
    J = metrics.regret(bad)
    at = np.array([4, 8, 16, 32, 64, 128])
    found = growth.two_rates(at, J[at - 1])
    assert (found.leak, found.recover) == (pytest.approx(0.02, rel=0.1), pytest.approx(0.1, rel=0.15))


def weibull(g, shape, scale, n, cut):
    """First errors and tokens survived, from the discrete law by inversion, cut at a horizon."""
    t = np.floor(scale * (-np.log(g.random(n))) ** (1 / shape)).astype(int)
    return np.where(t < cut, t, -1), np.minimum(t, cut)


@pytest.mark.parametrize("shape", [0.6, 1.0, 1.8])
def test_the_interval_of_a_weibull_shape_covers(shape):
    g = np.random.default_rng(7)
    found = [growth.weibull_shape(*weibull(g, shape, 30.0, 200, 40)) for _ in range(80)]
    assert 0.88 <= np.mean([e.low <= shape <= e.high for e in found]) <= 0.99
    assert np.mean([e.value for e in found]) == pytest.approx(shape, rel=0.03)


def test_a_weibull_shape_maximises_the_likelihood():
    first, survived = weibull(np.random.default_rng(3), 1.4, 20.0, 60, 30)
    e = growth.weibull_shape(first, survived)

    def likelihood(k, scale):
        alive = lambda t: math.exp(-((t / scale) ** k))  # noqa: E731
        return sum(
            math.log(alive(n) - alive(n + 1)) if f >= 0 else math.log(alive(n))
            for f, n in zip(first, survived, strict=True)
        )

    best = max((likelihood(k, scale), k) for k in np.linspace(e.value - 0.1, e.value + 0.1, 41)
               for scale in np.linspace(10, 40, 241))  # fmt: skip
    assert best[1] == pytest.approx(e.value, abs=0.006)
    assert e.n == (first >= 0).sum()


def test_what_has_no_slope():
    slopes = growth.local_slopes([1, 2, 4, 8], [0.0, 1.0, 2.0, math.inf])
    assert np.isnan(slopes).tolist() == [True, False, True]
    assert math.isnan(growth.log_log_slope([1, 2], [1.0, 2.0]).low)
    assert math.isnan(growth.weibull_shape(np.array([3, 3, -1]), np.array([3, 3, 9])).value)
    for make in (lambda: growth.two_rates([1, 2], [0.0, 1.0]), lambda: growth.local_slopes([1], [1.0])):
        with pytest.raises(InvalidInputError, match="two horizons"):
            make()
