"""Products with weights that are laid out for oneDNN."""

import pytest
import torch
from torch.nn.functional import gelu, linear

from seqil.models import packed
from seqil.models.packed import Affine

pytestmark = pytest.mark.skipif(packed._OPS is None, reason="this torch has not got the operators of oneDNN")


@pytest.fixture(autouse=True)
def _an_amd(monkeypatch):
    """Whatever the tests run on."""
    monkeypatch.setattr(packed, "_MKL_IS_SLOW", True)


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


@pytest.mark.parametrize(
    ("lines", "maker"), [("processor : 0\nvendor_id\t: AuthenticAMD\n", "AuthenticAMD"), ("CPU part : 0xd40\n", "")]
)
def test_the_maker_of_the_processor(lines, maker, monkeypatch):
    monkeypatch.setattr(packed.Path, "read_text", lambda *_, **__: lines)
    assert packed._maker() == maker


def test_the_maker_where_nothing_is_listed(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(packed.Path, "read_text", refuse)
    monkeypatch.setattr(packed.platform, "processor", lambda: "AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD")
    assert packed._maker() == "AuthenticAMD"


def test_nothing_is_laid_out_where_the_products_of_torch_are_quicker(monkeypatch):
    monkeypatch.setattr(packed, "_MKL_IS_SLOW", False)
    assert Affine(torch.ones(512, 2048), None, 64).packed is None
