"""Products with weights that are laid out for oneDNN."""

import pytest
import torch
from torch.nn.functional import gelu, linear

from seqil.models import packed
from seqil.models.packed import Affine

pytestmark = pytest.mark.skipif(packed._OPS is None, reason="this torch has not got the operators of oneDNN")


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_the_product_is_that_of_torch(biased, turned, n, monkeypatch):
    monkeypatch.setattr(packed, "_WORTHWHILE", 3 * 5 * 7)
    g = torch.Generator().manual_seed(n)
    weight = torch.randn(7, 5, generator=g).T if turned else torch.randn(5, 7, generator=g)
    bias, x = torch.randn(5, generator=g) if biased else None, torch.randn(n, 7, generator=g)
    product = Affine(weight, bias, n)
    assert (product.packed is not None) == (n >= 3)
    torch.testing.assert_close(product(x), linear(x, weight, bias))
    torch.testing.assert_close(product.gelu(x), gelu(linear(x, weight, bias), approximate="tanh"))
    torch.testing.assert_close(product(x[:1]), linear(x[:1], weight, bias))  # when rows have ended


@pytest.mark.parametrize("rows", [1, 64])
def test_what_cannot_be_laid_out_is_computed_as_it_is(rows):
    """One row, numbers of another type, under an autocast, and weights too large for a copy."""
    weight, x = torch.ones(512, 2048), torch.ones(64, 2048)
    assert (Affine(weight, None, rows).packed is None) == (rows == 1)
    assert Affine(weight.double(), None, rows).packed is None
    with torch.autocast("cpu", torch.bfloat16):
        product = Affine(weight, None, rows)
        assert product.packed is None
        assert product(x).dtype == torch.bfloat16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_MOST_BYTES", weight.nbytes - 1)
        assert Affine(weight, None, rows).packed is None
