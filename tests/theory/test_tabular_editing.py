"""The stationary law of a tabular editor against power iteration, detailed balance and a walk of edits."""

from itertools import product

import numpy as np
import pytest
import torch

import seqil
from envs.tasks import Potentials
from seqil.errors import InvalidInputError
from seqil.theory.tabular_editing import editing_chain, editing_law


def iterated(matrix):
    """The law that half a step of the chain, taken again and again, comes to."""
    lazy = (matrix + np.eye(len(matrix))) / 2
    for _ in range(40):
        lazy = lazy @ lazy
        lazy /= lazy.sum(1, keepdims=True)
    return lazy[0]


@pytest.mark.parametrize(("tokens", "cells"), [(2, 1), (2, 5), (3, 4), (5, 2)])
@pytest.mark.parametrize("beta", [0.0, 0.7, -1.5, 3.0])
def test_it_is_what_power_iteration_comes_to(tokens, cells, beta):
    scores = np.random.default_rng(tokens).normal(size=(tokens,) * cells)
    law, matrix = editing_law(scores, beta).reshape(-1), editing_chain(scores, beta)
    assert law.sum() == pytest.approx(1)
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(law @ matrix, law, atol=1e-14)
    flow = law[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-16)
    np.testing.assert_allclose(iterated(matrix), law, atol=1e-9)
    if beta == 0:
        np.testing.assert_allclose(law, 1 / law.size)


def test_of_4096_texts_of_potentials_it_is_stationary():
    task = Potentials(length=6, size=5)
    texts = [list(text) for text in product(range(4), repeat=6)]
    state = seqil.begin_with(task.vocabulary, [[4]] * len(texts), texts, 6, 6)
    scores = task.attribute(state).numpy().reshape((4,) * 6)
    law = editing_law(scores, 1.0)
    assert np.abs(law.reshape(-1) @ editing_chain(scores, 1.0) - law.reshape(-1)).sum() / 2 < 1e-12
    assert float((law * scores).sum()) > float(scores.mean()) + scores.std()


def test_the_matrix_is_that_of_the_substitutions_of_edits():
    v, scores, beta = seqil.Vocabulary(4, 3), np.random.default_rng(0).normal(size=(3, 3)), 0.8
    edits, matrix = seqil.Edits(v, 2, ("substitute",)), editing_chain(scores, beta)
    for number, text in enumerate(product(range(3), repeat=2)):
        state = seqil.begin_with(v, [[3]], [text], 2, 2)
        actions = seqil.legal_edits(edits, state)[0, : edits.stop].nonzero()[:, 0]
        after = seqil.revise(edits, state.select([0] * len(actions)), actions).texts()
        weights = np.array([np.exp(beta * (scores[tuple(other)] - scores[text])) for other in after])
        expected = np.zeros(9)
        expected[[3 * a + b for a, b in after]] = weights / weights.sum()
        np.testing.assert_allclose(matrix[number], expected, atol=1e-15)


def test_a_cold_editor_goes_back_and_forth_between_the_neighbours_of_the_largest_sum():
    """Which do not hold the best text here, and nothing overflows."""
    scores = 1e4 * np.random.default_rng(1).random((3, 3))
    law, texts = editing_law(scores, 1.0), list(product(range(3), repeat=2))
    pairs = [(a, b) for a in texts for b in texts if (a[0] == b[0]) != (a[1] == b[1])]
    one, other = max(pairs, key=lambda pair: scores[pair[0]] + scores[pair[1]])
    assert (law[one], law[other]) == pytest.approx((0.5, 0.5))
    assert law[np.unravel_index(scores.argmax(), scores.shape)] < 1e-12


@pytest.mark.parametrize("function", [editing_law, editing_chain])
@pytest.mark.parametrize(
    ("scores", "beta", "said"),
    [
        (np.zeros((2, 3)), 1.0, r"a dimension for each cell and two tokens at least; got \(2, 3\)"),
        (np.zeros((1, 1)), 1.0, r"got \(1, 1\)"),
        (None, 1.0, "got None"),
        ([[0.0, 1.0], [1.0, np.nan]], 1.0, "a score is not finite"),
        (np.zeros((2, 2)), np.inf, "beta or a score is not finite"),
        (np.zeros((2, 2)), "1", "beta='1' is not a float"),
    ],
)
def test_what_are_no_scores_is_refused(function, scores, beta, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        function(scores, beta)
    assert "\n" not in str(refused.value)


def test_a_chain_that_fits_into_no_memory_is_refused_and_its_law_is_not():
    scores = torch.zeros((4,) * 10).numpy()
    with pytest.raises(InvalidInputError, match=r"a chain on 1,048,576 texts would take 16,384 GiB"):
        editing_chain(scores, 1.0)
    assert editing_law(scores, 1.0).sum() == pytest.approx(1)
