"""Inverse-CDF sampling counts every weight, however many there are and however rare."""

import numpy as np
import pytest
import torch

from seqil.rollouts.sampler import Sampler, SamplerAhead, inverse_cdf, stream_keys, uniforms

GOLDEN = [
    0.41057280587773737,
    0.838158578422941,
    0.41057280587773737,
    0.21617453663074382,
]  # splitmix64 in plain integers
SIZES = [1, 5, 4096, 4097, 50_258]


def drawn(weights, shares):
    index, weight = inverse_cdf(weights.expand(len(shares), -1), torch.tensor(shares, dtype=torch.float64))
    assert torch.equal(weight, weights[index])
    return index.numpy()


@pytest.mark.parametrize("size", SIZES)
def test_it_inverts_the_cumulative_weights(size):
    g = torch.Generator().manual_seed(size)
    weights = torch.rand(size, generator=g) * (torch.rand(size, generator=g) < 0.3)
    weights[size // 2] = 1.0
    shares = [0.0, 1 - 2.0**-53, *torch.rand(300, generator=g, dtype=torch.float64).tolist()]
    cumulative = np.cumsum(weights.numpy().astype(np.float64))
    points = np.array(shares) * cumulative[-1]
    found = drawn(weights, shares)
    assert (weights.numpy()[found] > 0).all()
    assert found[0] == np.flatnonzero(weights.numpy())[0]
    assert found[1] == np.flatnonzero(weights.numpy())[-1]
    rounding = 0.0 if size <= 4096 else 1e-7 * cumulative[-1]  # the sums of blocks are in float32
    below = np.where(found > 0, cumulative[found - 1], 0)
    assert ((below - rounding <= points) & (points <= cumulative[found] + rounding)).all()


@pytest.mark.parametrize("size", SIZES[2:])
def test_events_of_probability_1e_7_happen_as_often_as_they_should(size):
    """A grid of 10^8 shares, read where it matters: at a thousand rare weights beside and far behind a certain one."""
    rare, grid = [*range(101, 201), *range(size - 1800, size, 2)], 10**8
    weights = torch.zeros(size)
    weights[100] = 1.0
    weights[rare] = 1e-7
    first = grid - 2 * 10_000
    index = drawn(weights, ((torch.arange(first, grid, dtype=torch.float64) + 0.5) / grid).tolist())
    counts = np.bincount(index, minlength=size)
    hit = counts[rare]
    assert counts.sum() - counts[100] == hit.sum()
    assert set(hit) == {9, 10}


def test_uniforms_depend_on_key_stream_and_step_alone():
    streams, steps = torch.tensor([3, 2**40, 3, 5]), torch.tensor([0, 7, 0, 2**33])
    together = uniforms(stream_keys(2**61, streams), steps)
    alone = [uniforms(stream_keys(2**61, streams[i : i + 1]), steps[i : i + 1]) for i in range(4)]
    assert torch.equal(together, torch.cat(alone))
    assert together.unique().numel() == 3
    assert together.tolist() == pytest.approx(GOLDEN, abs=0)


def test_uniforms_are_uniform():
    """Kolmogorov-Smirnov over streams and over steps: the 99.99 % bound."""
    n = 20_000
    for streams, steps in ((torch.arange(n), torch.zeros(n).long()), (torch.zeros(n).long(), torch.arange(n))):
        ordered = uniforms(stream_keys(1, streams), steps).sort().values
        assert float((ordered - torch.arange(n) / n).abs().max()) < 2.23 / n**0.5


def test_uniforms_that_are_computed_ahead_are_the_same():
    """For rows at different steps, beyond the steps that are computed at once, and for steps that are asked again."""
    g, streams = torch.Generator().manual_seed(0), torch.tensor([4, 0, 2**40, 4])
    one, ahead = (kind(torch.Generator().manual_seed(7), 1.0, streams) for kind in (Sampler, SamplerAhead))
    for _ in range(40):
        rows = torch.randperm(4, generator=g)[: int(torch.randint(1, 5, (), generator=g))]
        steps = torch.randint(0, 200, (len(rows),), generator=g)
        logits = torch.randn(len(rows), 50, generator=g)
        expected, found = one(logits, rows, steps), ahead(logits, rows.numpy(), steps.numpy())
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])
