"""Values of the head in chunks against logits all at once."""

import pytest
import torch

from seqil.capacity import limit
from seqil.errors import InvalidInputError
from seqil.policy import values
from seqil.policy.values import head_values

SIZE, EOS = 6, 3


def at_once(hidden, weight, bias, state, action):
    logits = hidden @ weight.T + (0 if bias is None else bias)
    tokens = torch.arange(SIZE) != EOS
    return logits[:, :SIZE][:, tokens].logsumexp(1), logits[:, EOS], logits[:, SIZE], logits[state, action]


def inputs(biased):
    g = torch.Generator().manual_seed(0)
    leaf = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()  # noqa: E731
    hidden, weight = leaf(5, 3), leaf(SIZE + 3, 3)  # a padded head
    state = torch.tensor([0, 2, 2, 4, 1, 3, 0])
    action = torch.tensor([1, EOS, 5, SIZE, SIZE, 0, 1])
    return hidden, weight, leaf(SIZE + 3) if biased else None, state, action


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize("biased", [False, True])
def test_values_and_gradients_in_chunks_are_those_of_all_logits(biased, rows, monkeypatch):
    monkeypatch.setattr(values, "_CHUNK_ELEMENTS", rows * SIZE)
    hidden, weight, bias, state, action = inputs(biased)
    leaves = [x for x in (hidden, weight, bias) if x is not None]
    found = head_values(hidden, weight, bias, state, action, SIZE, EOS, True)
    expected = at_once(hidden, weight, bias, state, action)
    shares = [torch.linspace(-1, 2, len(x), dtype=torch.float64) for x in expected]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    totals = [sum(s @ x for s, x in zip(shares, many, strict=True)) for many in (found, expected)]
    ours, theirs = (torch.autograd.grad(total, leaves) for total in totals)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("barred", [None, torch.tensor([[0, 2, 2], [1, 0, 5]])])
def test_logits_that_are_kept_change_no_bit(dtype, barred, monkeypatch):
    """What is saved for the backward pass grows by the logits of all states, and not at all where they do not fit."""
    monkeypatch.setattr(values, "_CHUNK_ELEMENTS", 2 * SIZE)
    given = [None if x is None else x.detach().to(dtype) for x in inputs(True)[:3]]
    bytes_of_all = 5 * SIZE * dtype.itemsize
    found, saved = [], []
    for room in (bytes_of_all, bytes_of_all - 1):
        monkeypatch.setenv("SEQIL_LOGIT_BYTES", str(room))
        leaves, held = [x.clone().requires_grad_() for x in given], []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: held.append(x.nbytes) or x, lambda x: x):  # noqa: B023
            out = head_values(*leaves, *inputs(True)[3:], SIZE, EOS, True, barred)
            total = sum((x.double() * torch.linspace(-1, 2, len(x))).sum() for x in out)
        saved.append(sum(held))
        gradients = torch.autograd.grad(total, leaves, retain_graph=True)
        found.append([*out, *gradients, *torch.autograd.grad(total, leaves)])  # twice the same
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert saved[0] - saved[1] == bytes_of_all


def test_nothing_is_kept_where_no_gradient_is_asked_for(monkeypatch):
    monkeypatch.setattr(values._HeadValues, "apply", lambda *given: given[-1])
    hidden, weight, bias, state, action = inputs(True)
    assert head_values(hidden, weight, bias, state, action, SIZE, EOS, True)
    with torch.no_grad():
        assert not head_values(hidden, weight, bias, state, action, SIZE, EOS, True)


@pytest.mark.parametrize("name", ["SEQIL_LOGIT_BYTES", "SEQIL_MOST_BYTES"])
@pytest.mark.parametrize("said", ["", "1G", "-1", "1e9", "9" * 5000])
def test_a_limit_is_a_number_of_bytes(name, said, monkeypatch):
    monkeypatch.setenv(name, said)
    with pytest.raises(InvalidInputError, match=f"{name}=.* is no number of bytes; give digits alone"):
        limit(name)
    monkeypatch.setenv(name, "0")
    assert limit(name) == 0


def test_a_second_derivative_is_refused():
    """Its backward pass overwrites what the forward pass kept."""
    hidden, weight, bias, state, action = inputs(True)
    found = head_values(hidden, weight, bias, state, action, SIZE, EOS, True)
    with pytest.raises(InvalidInputError, match="create_graph=True: values of steps are differentiated once"):
        torch.autograd.grad(found[0].sum(), hidden, create_graph=True)
