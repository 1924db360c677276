"""MAUVE: laws of the histograms, of the quantisation and of the features."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from seqil import mauve
from seqil.errors import InvalidInputError
from seqil.testing.agents import tiny_policy

histograms = st.integers(2, 6).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 20), min_size=k, max_size=k).filter(any) for _ in range(2)])
)


def texts(g, n, chances):
    """Texts of ten tokens over as many symbols as chances."""
    return g.choice(len(chances), (n, 10), p=chances).tolist()


@given(histograms)
def test_the_area_is_symmetric_between_0_and_1_and_1_only_of_equals(pq):
    p, q = map(np.array, pq)
    area = mauve.frontier_area(p, q)
    assert 0 < area <= 1 + 1e-9
    assert area == pytest.approx(mauve.frontier_area(q, p), abs=1e-9)
    assert area == pytest.approx(mauve.frontier_area(3 * p, q), abs=1e-9)
    equal = np.allclose(p / p.sum(), q / q.sum())
    assert (area > 1 - 1e-9) == equal


@given(histograms)
def test_merging_cells_hides_differences(pq):
    p, q = map(np.array, pq)
    merged = [np.append(x[2:], x[0] + x[1]) for x in (p, q)]
    assert mauve.frontier_area(*merged, mixtures=400) >= mauve.frontier_area(p, q, mixtures=400) - 1e-6
    assert mauve.frontier_integral(*merged) <= mauve.frontier_integral(p, q) + 1e-12


@given(histograms)
def test_the_frontier_integral_is_the_integral_of_the_frontier(pq):
    p, q = (np.array(x) / sum(x) for x in pq)

    def weighted(w):
        r = w * p + (1 - w) * q
        return sum(2 * (w * a * np.log(a / c) if a else 0) + 2 * ((1 - w) * b * np.log(b / c) if b else 0)
                   for a, b, c in zip(p, q, r, strict=True))  # fmt: skip

    assert mauve.frontier_integral(p, q) == pytest.approx(quad(weighted, 0, 1)[0], abs=1e-7)
    assert -1e-12 <= mauve.frontier_integral(p, q) <= 1 + 1e-12


def test_clusters_that_lie_apart_are_found():
    g = np.random.default_rng(0)
    centres = np.eye(4)[:3]
    of_a, of_b = [0] * 30 + [1] * 10, [1] * 20 + [2] * 20
    a, b = (centres[rows] + 0.01 * g.standard_normal((40, 4)) for rows in (of_a, of_b))
    counts = mauve.quantised(a, b, 3)
    assert sorted(zip(*(c.tolist() for c in counts), strict=True)) == [(0, 20), (10, 20), (30, 0)]
    assert all((x == y).all() for x, y in zip(counts, mauve.quantised(a, b, 3), strict=True))


@pytest.mark.parametrize("features", [None, lambda texts: np.eye(3)[[t[0] for t in texts]]], ids=["n-grams", "own"])
def test_texts_of_one_law_are_nearer_than_texts_of_two(features):
    g = np.random.default_rng(0)
    data, same, near, far = (
        texts(g, 300, c) for c in ([0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0, 0.1, 0.9])
    )
    found = [
        mauve.mauve(sample, data, features, clusters=12 if features is None else 3) for sample in (same, near, far)
    ]
    assert found[0] > 0.9
    assert found[0] > found[1] > found[2]
    assert mauve.mauve(data, data, features, clusters=3) == pytest.approx(1)


def test_what_does_not_compare():
    with pytest.raises(InvalidInputError, match="as many of both"):
        mauve.mauve([[0]], [[0], [1]])
    with pytest.raises(InvalidInputError, match=r"clusters=5 must lie in 1\.\.4"):
        mauve.mauve([[0], [1]], [[0], [1]], clusters=5)


# -- feature maps


@given(st.lists(st.lists(st.integers(0, 50_000), max_size=8), min_size=1, max_size=5))
def test_hashed_ngrams_count_every_ngram(rows):
    found = mauve.ngram_features(orders=(1, 3), width=64)(rows)
    assert found.sum(1).tolist() == [len(row) + max(0, len(row) - 2) for row in rows]
    wide = mauve.ngram_features(orders=(2,), width=1 << 20)(rows)
    for row, counts in zip(rows, wide, strict=True):
        grams = [tuple(row[i : i + 2]) for i in range(len(row) - 1)]
        assert sorted(counts[counts > 0]) == sorted(float(grams.count(gram)) for gram in set(grams))


def test_hidden_features_are_means_over_the_tokens_of_the_text():
    policy = tiny_policy().eval()
    prompts, rows = [[0], [1, 2], [3]], [[1, 2, 4], [0, 4], [2]]
    found = mauve.hidden_features(policy, prompts, batch_size=2)(rows)
    for prompt, text, mean in zip(prompts, rows, found, strict=True):
        with torch.no_grad():
            states = policy.model.base_model(torch.tensor([prompt + text])).last_hidden_state[0]
        np.testing.assert_allclose(mean, states[len(prompt) :].mean(0), atol=1e-5)
