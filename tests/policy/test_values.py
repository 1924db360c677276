"""Values of the head in chunks against logits all at once."""

import pytest
import torch

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
