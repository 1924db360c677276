"""Every divergence: its formula, its shape, and its dual."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from seqil.errors import InvalidInputError
from seqil.learning.divergences import DIVERGENCES, chi2_mixture

FORMULAS = {
    "chi2_mixture": (lambda z: z - z * z / 4, -math.inf),
    "chi2": (lambda z: z - z * z / 4, -math.inf),
    "forward_kl": (lambda z: math.log(1 + z), -0.9),
    "reverse_kl": (lambda z: 1 - math.exp(-z), -20),
    "jensen_shannon": (lambda z: math.log(2 - math.exp(-z)), -0.65),
    "twice_squared_hellinger": (lambda z: z / (1 + z), -0.9),
}
VALUES = {  # sum over states of sup_z D phi(z) - P z
    "chi2": lambda d, p: (p - d) ** 2 / d,
    "forward_kl": lambda d, p: d * math.log(d / p) - d + p,
    "reverse_kl": lambda d, p: p * math.log(p / d) - p + d,
    "jensen_shannon": lambda d, p: d * math.log(2 * d / (d + p)) + p * math.log(2 * p / (d + p)),
    "twice_squared_hellinger": lambda d, p: (math.sqrt(d) - math.sqrt(p)) ** 2,
}
names = pytest.mark.parametrize("name", FORMULAS)


def test_the_table_is_complete():
    assert set(DIVERGENCES) == set(FORMULAS)
    assert [name for name, make in DIVERGENCES.items() if make(0.1).mixture] == ["chi2_mixture"]
    assert all(make(0.1).name == name for name, make in DIVERGENCES.items())


@names
@given(z=st.floats(-0.6, 30))
def test_phi_is_its_formula_and_penalty_the_rest(name, z):
    d, (formula, _) = DIVERGENCES[name](1.0), FORMULAS[name]
    x = torch.tensor(z, dtype=torch.float64)
    assert d.phi(x).item() == pytest.approx(formula(z), abs=1e-12, rel=1e-12)
    assert d.penalty(x).item() == pytest.approx(z - formula(z), abs=1e-12, rel=1e-12)


@names
def test_below_the_edge_the_tangent_goes_on(name):
    d, (formula, edge) = DIVERGENCES[name](1.0), FORMULAS[name]
    if edge == -math.inf:
        return
    slope = (formula(edge + 1e-6) - formula(edge - 1e-6)) / 2e-6
    z = torch.tensor([edge - 1.0, edge - 7.0], dtype=torch.float64)
    expected = [formula(edge) - slope * k for k in (1.0, 7.0)]
    np.testing.assert_allclose(d.phi(z), expected, rtol=1e-5)


@names
@given(a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6), w=st.floats(0, 1))
def test_the_penalty_is_convex_and_nowhere_negative(name, a, b, w):
    penalty = DIVERGENCES[name](1.0).penalty
    x, y, middle = (penalty(torch.tensor(z, dtype=torch.float64)).item() for z in (a, b, w * a + (1 - w) * b))
    assert min(x, y) >= 0
    assert middle <= w * x + (1 - w) * y + 1e-9 * (1 + abs(x) + abs(y))


@names
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_with_zero_slope_and_finite_everywhere(name, dtype):
    d = DIVERGENCES[name](1.0)
    z = torch.tensor([0.0, -1e4, 1e4, -1e6, 1e6, 1e-30, -0.9, -0.65, -20.0], dtype=dtype, requires_grad=True)
    for function, at_zero in ((d.penalty, 0.0), (d.phi, 1.0)):
        y = function(z)
        (slope,) = torch.autograd.grad(y.sum(), z)
        assert y.isfinite().all()
        assert slope.isfinite().all()
        assert (y[0].item(), slope[0].item()) == (0.0, at_zero)


@names
def test_float32_keeps_its_digits_near_zero(name):
    z = torch.logspace(-8, 1, 200)
    z = torch.cat([z, -z[z < 0.6]])
    penalty = DIVERGENCES[name](1.0).penalty
    torch.testing.assert_close(penalty(z).double(), penalty(z.double()), rtol=3e-6, atol=0)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("d", "p"), [(0.3, 0.2), (0.2, 0.3), (0.5, 0.05), (0.11, 0.1)])
def test_its_dual_is_the_divergence(name, d, p):
    phi = DIVERGENCES[name](1.0).phi

    def negative(z):
        return -(d * phi(torch.tensor(z, dtype=torch.float64)).item() - p * z)

    found = minimize_scalar(negative, bounds=(-0.9 if "chi2" != name != "reverse_kl" else -20, 20), method="bounded")
    assert -found.fun == pytest.approx(VALUES[name](d, p), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("forward_kl", 10.0), ("jensen_shannon", 22.6801), ("twice_squared_hellinger", 100.0), ("reverse_kl", 4.8517e8)],
)
def test_with_its_tangent_the_dual_is_the_divergence_up_to_a_ratio_and_infinite_beyond(name, bound):
    divergence = DIVERGENCES[name](0.3)
    assert divergence.largest_ratio == pytest.approx(bound, rel=1e-4)
    z = torch.tensor(-np.logspace(-3, 12, 60_001))
    d = 0.01 / bound

    def gain(p):
        return d * divergence.phi(z) - p * z

    assert gain(0.99 * bound * d).max().item() == pytest.approx(VALUES[name](d, 0.99 * bound * d), rel=1e-3)
    beyond = gain(1.01 * bound * d)
    assert beyond.argmax() == len(z) - 1
    assert beyond[-1].item() == pytest.approx(0.01 * bound * d * 1e12, rel=0.05)


@pytest.mark.parametrize("name", ["chi2", "chi2_mixture"])
def test_without_a_tangent_there_is_no_bound(name):
    assert DIVERGENCES[name](1.0).largest_ratio == math.inf


def test_the_mixture_is_twice_the_chi2_to_the_even_mixture():
    d, p = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    phi = chi2_mixture(1.0)
    z = torch.tensor(2 * (d - p) / (d + p))
    dual = (torch.tensor(d) * phi.phi(z) - torch.tensor(p) * z - torch.tensor(p) * phi.penalty(z)).sum().item()
    mixture = (d + p) / 2
    assert dual == pytest.approx(2 * ((d - mixture) ** 2 / mixture).sum(), rel=1e-12)


@names
def test_it_pickles(name):
    z = torch.linspace(-25, 5, 31)
    divergence = DIVERGENCES[name](0.1)
    assert torch.equal(pickle.loads(pickle.dumps(divergence)).penalty(z), divergence.penalty(z))


@names
@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_alpha_is_named(name, alpha):
    with pytest.raises(InvalidInputError, match=f"{name}: alpha="):
        DIVERGENCES[name](alpha)
