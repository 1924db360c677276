"""hmm: the filter against sums over hidden paths, and what becomes of errors."""

import numpy as np
import pytest
import torch
from sampled_texts import trajectories

from envs.tasks import HMM
from seqil import metrics, start


def brute_force(task, text):
    """Probability of a text of 4 tokens and each next one, by a sum over the 8^5 hidden paths."""
    paths = torch.cartesian_prod(*[torch.arange(8)] * 5)
    A, E = torch.from_numpy(task.transition), torch.from_numpy(task.emission)
    p = torch.full((len(paths),), 1 / 8, dtype=torch.float64)
    for t in range(4):
        p = p * E[paths[:, t], text[t]] * A[paths[:, t], paths[:, t + 1]]
    return p @ E[paths[:, 4]]


def test_hmm_filter_against_the_sum_over_hidden_paths():
    task = HMM(horizon=8)
    g = torch.Generator().manual_seed(0)
    texts = [*torch.randint(0, 23, (25, 4), generator=g).tolist()]
    texts += [row[:4] for row in torch.cat([*_whole(task, 25)], 1).tolist()]
    possible = 0
    for text in texts:
        joint = brute_force(task, text)
        state = trajectories(task, [text[:1]], [text[1:]]).replay()
        assert bool(task.has_error(state)) == (task.first_error(text[:1], text[1:]) is not None) == (joint.sum() == 0)
        if joint.sum() > 0:
            possible += 1
            torch.testing.assert_close(task.next_distribution(state)[0, :23], joint / joint.sum())
    assert 25 < possible < 50


def _whole(task, n):
    t = task.demonstrations(n, "train", 0)
    return t.prompts, t.actions


def test_hmm_tables():
    task = HMM()
    assert (task.transition.sum(0) == 1).all()  # so that the uniform law is stationary
    assert ((task.emission > 0).sum(1) == 12).all()
    assert (task.emission > 0).any(0).all()
    for state in range(8):
        assert ((task.emission[state] > 0) & (task.emission[(state + 1) % 8] > 0)).sum() == (9 if state < 7 else 10)
    assert {*np.rint(48 * task.emission).ravel().tolist()} == {0, 3, 4, 5}


def test_hmm_filter_starts_anew_after_an_error():
    task = HMM()
    prompt = task.demonstrations(1, "train", 0).actions[0, :10].tolist()
    token = next(x for x in range(23) if task.first_error(prompt, [x]) == 0)
    wrong, alone = trajectories(task, [prompt], [[token]]), start(task.vocabulary, [[token]], 64)
    assert torch.equal(task.next_distribution(wrong.replay()), task.next_distribution(alone))


def test_hmm_prompts_may_hold_what_no_path_explains():
    task, g = HMM(horizon=4), torch.Generator().manual_seed(0)
    ids = torch.randint(0, 23, (300, 12), generator=g).tolist()
    final = trajectories(task, [x[:10] for x in ids], [x[10:] for x in ids]).replay()
    expected = []
    for text in ids:
        states, errors = np.ones(8), []
        for k, token in enumerate(text):
            states = (states @ task.transition > 0) * task.emission[:, token]
            if not states.any():
                errors.append(k)
                states = task.emission[:, token]
        expected.append(next((k - 10 for k in errors if k >= 10), None))
    assert [task.first_error(x[:10], x[10:]) for x in ids] == expected
    assert task.has_error(final).tolist() == [error is not None for error in expected]
    assert {*expected} == {None, 0, 1}


def test_hmm_what_is_possible_stays_so_however_unlikely():
    task = HMM(horizon=2000)
    shared = (task.emission[:-1] == 3 / 48) & (task.emission[1:] == 5 / 48)
    state, token = np.argwhere(shared)[0].tolist()
    only = np.flatnonzero(
        (task.emission[state] > 0) & (task.emission[state + 1] == 0) & (task.emission[state - 6] == 0)
    )
    final = trajectories(task, [[token]], [[token] * 1500]).replay()
    assert task.first_error([token], [token] * 1500 + only[:1].tolist()) is None
    assert 1e-204 < task.next_distribution(final)[0, only[0]] < 1e-50


def test_hmm_window_is_a_dial_of_misspecification():
    """The numbers of the docstring: who forgets all but the last tokens starts the filter at them."""
    task = HMM()
    t = task.demonstrations(20_000, "train", 0)
    text = torch.cat([t.prompts, t.actions[:, :32]], 1)
    law = task.next_distribution(start(task.vocabulary, text, 64))
    for window, nats, impossible in (
        *((1, 0.34, 0.12), (2, 0.18, 0.07), (4, 0.062, 0.025), (8, 0.010, 0.005), (16, 0.0004, 0.0002)),
    ):
        short = task.next_distribution(start(task.vocabulary, text[:, -window:], 64))
        assert metrics.kl(law, short.log()).mean().item() == pytest.approx(nats, rel=0.08 if window < 16 else 0.3)
        assert short[law == 0].sum().item() / len(text) == pytest.approx(impossible, rel=0.08 if window < 16 else 0.3)
    assert (law[:, :23] == 0).sum(1).double().mean().item() == pytest.approx(4, abs=0.3)
