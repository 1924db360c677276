"""Products by oneDNN: of weights that are laid out for it, and of layers in training."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_policy
from torch import nn
from torch.autograd import forward_ad
from torch.nn.functional import gelu, linear
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from transformers.pytorch_utils import Conv1D

from seqil import rollout
from seqil.models import products
from seqil.models.products import Affine, add_product_over_rows, product, quick_products
from seqil.randomness import seeded

pytestmark = pytest.mark.skipif(products._OPS is None, reason="this torch has not got the operators of oneDNN")


@pytest.fixture(autouse=True)
def _an_amd(monkeypatch):
    """Whatever the tests run on."""
    monkeypatch.setattr(products, "_MKL_IS_SLOW", True)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_the_product_is_that_of_torch(biased, turned, n, monkeypatch):
    monkeypatch.setattr(products, "_WORTHWHILE", 3 * 5 * 7)
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
        patch.setattr(products, "_MOST_BYTES", weight.nbytes - 1)
        assert Affine(weight, None, rows).packed is None


@pytest.mark.parametrize(
    ("lines", "maker"), [("processor : 0\nvendor_id\t: AuthenticAMD\n", "AuthenticAMD"), ("CPU part : 0xd40\n", "")]
)
def test_the_maker_of_the_processor(lines, maker, monkeypatch):
    monkeypatch.setattr(products.Path, "read_text", lambda *_, **__: lines)
    assert products._maker() == maker


def test_the_maker_where_nothing_is_listed(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr(products.Path, "read_text", refuse)
    monkeypatch.setattr(products.platform, "processor", lambda: "AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD")
    assert products._maker() == "AuthenticAMD"


def test_nothing_is_laid_out_where_the_products_of_torch_are_quicker(monkeypatch):
    monkeypatch.setattr(products, "_MKL_IS_SLOW", False)
    assert Affine(torch.ones(512, 2048), None, 64).packed is None


SIZES = st.integers(1, 9)
LAYERS = {
    "linear": lambda inner, outer: nn.Linear(inner, outer),
    "no bias": lambda inner, outer: nn.Linear(inner, outer, bias=False),
    "GPT-2": lambda inner, outer: Conv1D(outer, inner),
}


@pytest.fixture
def _always(monkeypatch):
    monkeypatch.setattr(products, "_WORTH_A_FUNCTION", 1)


def a_layer(inner, outer, rows=3):
    """One that is learned, and what it reads."""
    with seeded(0):
        return nn.Linear(inner, outer), torch.randn(rows, inner, requires_grad=True)


def through_onednn(y):
    """Whether a tensor was made by our function, behind views."""
    made = y.grad_fn
    while "View" in type(made).__name__:
        made = made.next_functions[0][0]
    return "_Affine" in type(made).__name__


def derivatives(y, by, weigh):
    """The first ones of a curved function of y, and those of the sum of their squares."""
    first = torch.autograd.grad((y.sin() * weigh).sum(), by, create_graph=True)
    return [*first, *torch.autograd.grad(sum((d**2).sum() for d in first), by)]


@pytest.mark.usefixtures("_always")
@given(st.sampled_from([*LAYERS]), st.lists(SIZES, min_size=1, max_size=2), SIZES, SIZES, st.integers(0, 99))
def test_a_layer_and_its_first_and_second_derivatives_are_torchs(layer, rows, inner, outer, seed):
    g = torch.Generator().manual_seed(seed)
    with seeded(seed):
        module = LAYERS[layer](inner, outer)
    x = torch.randn(*rows, inner, generator=g, requires_grad=True)
    expected, weigh = module(x), torch.randn(*rows, outer, generator=g)
    with quick_products(100, 100):
        found = module(x)
        with torch.no_grad():
            torch.testing.assert_close(module(x), expected)
    assert through_onednn(found)
    torch.testing.assert_close(found, expected)
    by = [x, *module.parameters()]
    torch.testing.assert_close(derivatives(found, by, weigh), derivatives(expected, by, weigh), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("rows", [3, 1024 + 3])
def test_a_bias_may_lie_anywhere(rows):
    layer, x = a_layer(5, 7, rows)
    table = torch.arange(14.0).view(7, 2)
    for bias in (table[:, 0], table[:1, 1].expand(7)):
        with quick_products(100, 100):
            found = linear(x, layer.weight, bias)
        assert through_onednn(found)
        torch.testing.assert_close(found, linear(x, layer.weight, bias), rtol=1e-5, atol=1e-5)
        laid_out = Affine(layer.weight.detach(), bias, rows)
        laid_out.packed, laid_out.least = products._OPS[0](layer.weight.detach(), rows), 2
        torch.testing.assert_close(laid_out(x.detach()), linear(x, layer.weight, bias).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("_always")
def test_a_wrong_width_is_told_by_torch():
    with quick_products(100, 100), pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        a_layer(5, 7)[0](torch.ones(3, 4))


@pytest.mark.usefixtures("_always")
def test_what_is_frozen_gets_no_gradient():
    layer, x = a_layer(5, 7)
    layer.requires_grad_(False)
    with quick_products(100, 100):
        layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(3, 5))
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def by_checkpoint(layer, x):
    return checkpoint(layer, x, use_reentrant=False)


def by_functional_gradient(layer, x):
    return torch.func.grad(lambda x: layer(x).sum())(x)


def by_rows(layer, x):
    return torch.vmap(layer)(x)


def by_tangent(layer, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.detach()))).tangent


def by_autocast(layer, x):
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x)


def by_double(layer, x):
    return linear(x.double(), layer.weight.double())


def by_count(layer, x):
    with FlopCounterMode(display=False) as counter:
        layer(x)
    return torch.tensor(counter.get_total_flops())


def by_sparse_weight(layer, x):
    with torch.no_grad():
        return linear(x, layer.weight.to_sparse_csr())


def by_one_bias(layer, x):
    return linear(x, layer.weight, layer.bias[:1])


def by_overlap(layer, x):
    return linear(x, layer.weight.detach().view(-1).as_strided((7, 5), (2, 1)))


def by_nested_rows(layer, x):
    return linear(torch.nested.nested_tensor([x.detach(), x.detach()[:2]]), layer.weight, layer.bias).to_padded_tensor(
        0
    )


@pytest.mark.usefixtures("_always")
@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated", "ignore:Sparse CSR", "ignore:The PyTorch API of nested"
)
@pytest.mark.parametrize(
    "how",
    [
        by_checkpoint,
        by_functional_gradient,
        by_rows,
        by_tangent,
        by_autocast,
        by_double,
        by_count,
        by_sparse_weight,
        by_one_bias,
        by_overlap,
        by_nested_rows,
    ],
    ids=lambda f: f.__name__,
)
def test_who_transforms_functions_or_counts_what_is_saved_has_torchs_own(how):
    layer, x = a_layer(5, 7)
    expected = how(layer, x)
    with quick_products(100, 100):
        found = how(layer, x)
    assert torch.equal(found, expected)
    assert found.dtype == expected.dtype
    if found.requires_grad:
        found.sum().backward()  # outside, where a checkpoint computes the layer again


@pytest.mark.usefixtures("_always")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("n", [*range(1, 41), 1000, 1023, 1024, 1025])
def test_products_of_any_number_of_rows(turned, n):
    """Without a graph, over the rows, and with a graph."""
    g = torch.Generator().manual_seed(n)
    x, w, over = (torch.randn(4, m, generator=g).T if turned else torch.randn(m, 4, generator=g) for m in (n, 5, n))
    total = torch.ones(4, 4)
    torch.testing.assert_close(product(x, w), x @ w.T)
    add_product_over_rows(total, x, over)
    torch.testing.assert_close(total, 1 + x.T @ over, rtol=1e-5, atol=1e-4)
    layer, read = a_layer(4, 5, n)
    expected = derivatives(layer(read), [read, *layer.parameters()], w.new_ones(n, 5))
    with quick_products(1000, 100):
        found = derivatives(layer(read), [read, *layer.parameters()], w.new_ones(n, 5))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("_always")
def test_few_shapes_are_compiled_whatever_the_numbers_of_rows(monkeypatch):
    """Up to 1,024 rows eight below each double: of a layer, of both of its gradients, and of rollouts."""
    shapes, (lay_out, run) = set(), products._OPS
    counted = lambda x, w, *given: shapes.add((*x.shape, *w.shape)) or run(x, w, *given)  # noqa: E731
    monkeypatch.setattr(products, "_OPS", (lay_out, counted))
    monkeypatch.setattr(products, "_WORTHWHILE", 1)
    layer, laid_out = a_layer(4, 5)[0], Affine(torch.ones(7, 4), None, 1024)
    for n in range(2, 1025):
        x = torch.ones(n, 4, requires_grad=True)
        with quick_products(1000, 1000):
            layer(x).sum().backward()
        laid_out(x.detach())
    assert 4 * 10 < len(shapes) <= 4 * 8 * 9


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_learns_the_same(family, monkeypatch):
    """Values of steps and the gradients of all weights."""

    called, by_onednn = [], products._by_onednn
    monkeypatch.setattr(products, "_by_onednn", lambda *given: called.append(1) or by_onednn(*given))
    texts = rollout(tiny_policy(family), [[0], [1, 2]], generator=torch.Generator().manual_seed(0), max_length=6)

    def learned(least):
        monkeypatch.setattr(products, "_WORTH_A_FUNCTION", least)
        policy = copy.deepcopy(tiny_policy(family)).float().requires_grad_()
        values = policy.step_values(texts)
        (values.q.sin().sum() + values.v_next.cos().sum()).backward()
        return values.q.detach(), {name: p.grad for name, p in policy.named_parameters() if p.grad is not None}

    expected = learned(10**9)
    assert not called
    torch.testing.assert_close(learned(1), expected, rtol=1e-4, atol=1e-4)
    assert called


def test_few_narrow_states_and_other_processors_are_left_to_torch(monkeypatch):
    layer, x = a_layer(300, 300, 64)
    with quick_products(64, 300):
        assert through_onednn(layer(x))
        assert not through_onednn(layer(x[:2]))
    with quick_products(2, 300):
        assert not through_onednn(layer(x))
    monkeypatch.setattr(products, "_MKL_IS_SLOW", False)
    with quick_products(64, 300):
        assert not through_onednn(layer(x))
