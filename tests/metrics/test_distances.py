"""Distances between laws: against scipy, at the edges of the simplex, and their gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.special import rel_entr

from seqil.metrics import distances


@st.composite
def laws(draw):
    """Two laws, with zeros among them."""
    n = draw(st.integers(2, 5))
    weights = [draw(st.lists(st.integers(0, 6), min_size=n, max_size=n).filter(any)) for _ in range(2)]
    return tuple(torch.tensor([w / sum(row) for w in row], dtype=torch.float64) for row in weights)


@given(laws())
def test_distances_are_scipys(pq):
    p, q = pq
    a, b = (x.numpy() for x in pq)
    m = (a + b) / 2
    expected = {
        distances.kl(p, q.log()): rel_entr(a, b).sum(),
        distances.reverse_kl(p, q.log()): rel_entr(b, a).sum(),
        distances.jensen_shannon(p, q): distance.jensenshannon(a, b) ** 2,
        distances.total_variation(p, q): distance.cityblock(a, b) / 2,
        distances.squared_hellinger(p, q): ((np.sqrt(a) - np.sqrt(b)) ** 2).sum() / 2,
        distances.chi_squared_to_mixture(p, q): ((a - m)[m > 0] ** 2 / m[m > 0]).sum(),
    }
    for found, right in expected.items():
        assert found.item() == pytest.approx(right, abs=1e-12)


@given(laws(), st.floats(0.05, 0.95))
def test_a_skewed_jensen_shannon_is_that_of_the_skewed_mixture(pq, beta):
    p, q = pq
    a, b = (x.numpy() for x in pq)
    m = beta * a + (1 - beta) * b
    right = beta * rel_entr(a, m).sum() + (1 - beta) * rel_entr(b, m).sum()
    assert distances.jensen_shannon(p, q, beta).item() == pytest.approx(right, abs=1e-12)


@given(laws())
def test_no_distance_is_below_0_and_all_are_0_of_equals(pq):
    for p in pq:
        for found in (*(f(p, p.log()) for f in (distances.kl, distances.reverse_kl)),
                      *(f(p, p) for f in (distances.jensen_shannon, distances.squared_hellinger))):  # fmt: skip
            assert 0 <= found.item() < 1e-12
    half = pq[0].float()
    assert (distances.kl(half, (half * (1 + 1e-7)).log()) >= 0).all()  # rounding alone would leave it below


@pytest.mark.parametrize("name", ["total_variation", "squared_hellinger", "jensen_shannon", "chi_squared_to_mixture"])
def test_symmetric_ones_have_gradients_without_nan_at_the_edges(name):
    f = getattr(distances, name)
    p = torch.tensor([0.0, 0.25, 0.75], dtype=torch.float64)
    x = torch.tensor([0.3, -0.4, 0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: f(p, x.softmax(0)), x)
    at_the_edge = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    f(p, at_the_edge).backward()
    assert not at_the_edge.grad.isnan().any()


@pytest.mark.parametrize("name", distances.STEP_DIVERGENCES)
def test_what_an_agent_learns_by_is_what_is_measured_and_keeps_its_dtype(name):
    p = torch.tensor([[0.0, 0.4, 0.6], [0.1, 0.9, 0.0]], dtype=torch.float64)
    log_q = torch.tensor([[0.2, 0.3, 0.5], [0.5, 0.5, 0.0]], dtype=torch.float64).log()
    smooth = distances.SMOOTHING
    spread = (1 - smooth) * p + smooth * torch.tensor([[1 / 3] * 3, [0.5, 0.5, 0]], dtype=torch.float64)
    a, b, s = p.numpy(), log_q.exp().numpy(), spread.numpy()
    right = {
        "forward_kl": rel_entr(a, b).sum(1),
        "reverse_kl": rel_entr(b, s).sum(1),
        "jensen_shannon": distance.jensenshannon(a, b, axis=1) ** 2,
    }[name]
    f = distances.STEP_DIVERGENCES[name]
    assert f(p, log_q).tolist() == pytest.approx(right)
    assert f(p.float(), log_q.float()).dtype == torch.float32


def test_a_lack_of_support_is_infinite_and_has_a_gradient_elsewhere():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    assert distances.kl(p, q.log()) == math.inf
    assert distances.reverse_kl(p, q.log()) == pytest.approx(math.log(2))
    assert distances.reverse_kl(q, p.log()) == math.inf
    assert distances.STEP_DIVERGENCES["reverse_kl"](q, p.log()).isfinite()
