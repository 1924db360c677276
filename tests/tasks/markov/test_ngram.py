"""ngram: its rows, closed forms and lack of errors."""

import itertools
from math import log

import numpy as np
import pytest
import torch
from sampled_texts import altered, probabilities, taken

from envs.tasks import NGram
from seqil import exact


def test_ngram_rows():
    for task in (NGram(), NGram(order=1, size=32, concentration=0.05), NGram(order=3, size=16, concentration=20.0)):
        assert task.law.min() >= 1e-3
        assert task.law.shape == ((task.vocabulary.size - 1) ** task.order, task.vocabulary.size - 1)
        millionths = task.law * 1e6
        torch.testing.assert_close(millionths, millionths.round(), atol=1e-8, rtol=0)
        assert (millionths.round().sum(1) == 10**6).all()


@pytest.mark.parametrize("concentration", [0.1, 0.5, 2.0])
def test_ngram_rows_are_dirichlet_draws(concentration):
    task = NGram(order=2, size=33, concentration=concentration)
    n = 32
    shares = (task.law - 1e-3) / (1 - n * 1e-3)
    for power, moment in (
        (2, (concentration + 1) / (n * concentration + 1) / n),
        (3, (concentration + 1) * (concentration + 2) / (n * concentration + 1) / (n * concentration + 2) / n),
    ):
        found = shares.pow(power).mean(1)
        assert abs(found.mean() - moment) < 4 * found.std() / len(found) ** 0.5
    assert abs(shares.mean(0) - 1 / n).max() < 4.5 * shares.std() / len(shares) ** 0.5


def test_ngram_closed_forms_against_enumeration():
    teacher, student = (NGram(order=2, size=4, horizon=4, concentration=c) for c in (0.5, 1.0))
    texts = [list(text) for text in itertools.product(range(3), repeat=4)]
    kl, entropies, last = 0.0, [], torch.zeros(3, 3, dtype=torch.float64)
    for prompt in itertools.product(range(3), repeat=2):
        p, q = (probabilities(task, list(prompt), [[*text, 3] for text in texts]) for task in (teacher, student))
        assert float(p.sum()) == pytest.approx(1, abs=1e-12)
        kl += float((p * (p / q).log()).sum()) / 9
        by_length = [p.reshape(3**k, -1).sum(1) for k in range(5)]
        entropies.append([-float((x * x.log()).sum()) for x in by_length])
        last += p.reshape(9, 3, 3).sum(0) / 9
    (initial, P), (_, Q) = teacher.chain(), student.chain()
    assert exact.sequence_kl(initial, P, Q, 4) == pytest.approx(kl, abs=1e-12)
    np.testing.assert_allclose(exact.marginals(initial, P, 5)[4], last.numpy().ravel(), atol=1e-12)
    steps = np.diff(np.mean(entropies, 0))  # of token t given the tokens before it
    rows = exact.kl_rows(P, np.where(P > 0, 1 / 3, 0))
    np.testing.assert_allclose(exact.expected_errors(initial, P, log(3) - rows, 4), steps, atol=1e-12)


def test_ngram_entropy_rate_is_where_the_entropy_of_a_step_tends_to():
    task = NGram()
    initial, P = task.chain()
    far = exact.marginals(initial, P, 200)[-1]
    np.testing.assert_allclose(exact.stationary(P), far, atol=1e-12)
    rows = -(task.law * task.law.log()).sum(1).numpy()
    assert exact.entropy_rate(P) == pytest.approx(far @ rows, abs=1e-12)
    nll = -taken(task, task.demonstrations(2000, "train", 0)).log()[:, 8:64].mean(1)
    assert abs(nll.mean() - exact.entropy_rate(P)) < 4 * nll.std() / len(nll) ** 0.5


def test_ngram_has_no_errors():
    task = NGram()
    final = altered(task, 20, seed=0).replay()
    assert not task.judged
    assert not task.has_error(final).any()
    assert task.first_error([1, 2], [3, 15]) is task.success([1, 2], [3, 15]) is task.confusions(final) is None
