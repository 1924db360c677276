"""What checks of arguments leave as it is: gradients, transformations, compilers, and the errors of others."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from seqil import divergences, metrics, statistics
from seqil.errors import InvalidInputError
from seqil.errors.arguments import of_arrays


def test_a_number_that_is_learned_keeps_its_gradient():
    p, q, beta = torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.5]), torch.tensor(0.3, requires_grad=True)
    assert metrics.jensen_shannon(p, q, beta).requires_grad
    many = torch.func.vmap(lambda b: metrics.jensen_shannon(p, q, b))(torch.tensor([0.2, 0.5]))
    assert many[1] == metrics.jensen_shannon(p, q)


def test_what_is_compiled_is_not_looked_at():
    whole = torch.compile(divergences.chi2().phi, fullgraph=True, backend="eager")
    assert torch.equal(whole(torch.ones(2)), divergences.chi2().phi(torch.ones(2)))


def test_errors_of_others_stay_what_they_are():
    def broken(z):
        raise IndexError("my own")

    own = divergences.Divergence("own", 1.0, False, 0.0, broken, broken, lambda z: 1.0)
    with pytest.raises(IndexError, match="my own"):
        own.phi(torch.ones(2))

    @of_arrays
    def deep(x: np.ndarray):
        return deep(x)

    with pytest.raises(RecursionError):
        deep(np.ones(2))

    @of_arrays
    def large(x: np.ndarray):
        raise RuntimeError("can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate") as raised:
        large(np.ones(2))
    assert not isinstance(raised.value, InvalidInputError)


def test_numbers_may_come_in_any_form():
    assert statistics.proportion(3.0, np.float64(10), "x") == statistics.proportion(3, 10, "x")
    assert metrics.regret([[Fraction(1, 2), 1]]).tolist() == [0.5, 1.5]
    assert metrics.risk_table([1.0, -1.0], [1.0, 2.0])[1].tolist() == [0, 1, 0]
