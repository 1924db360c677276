"""What a clone of masked noise writes, against a count of noised demonstrations and a simulation of the clone."""

import numpy as np
import pytest
import torch

from benchmarks.compounding_error.analysis.predicted import Rarity
from envs.tasks import NGram
from seqil import metrics, noise
from seqil.mdp.trajectory import Trajectories

TASKS = {order: NGram(order=order, size=size, horizon=10) for order, size in ((1, 9), (2, 6))}


def rarity(task, below=0.05):
    return Rarity(task.law.numpy(), task.max_length, below)


def simulated(task, b, n, seed=0):
    """Share of rare tokens of texts that are written by the law and whose last token is deleted with chance `b`."""
    g, law, rare = np.random.default_rng(seed), task.law.numpy(), 0
    for _ in range(n):
        contexts, tokens = [int(g.integers(len(law)))], []
        while len(tokens) < task.max_length or (tokens and g.random() < b[contexts[-2], tokens[-1]]):
            if tokens and (len(tokens) == task.max_length or g.random() < b[contexts[-2], tokens[-1]]):
                contexts.pop(), tokens.pop()
                continue
            tokens.append(int(g.choice(law.shape[1], p=law[contexts[-1]])))
            contexts.append((contexts[-1] * law.shape[1] + tokens[-1]) % len(law))
        rare += sum(law[c, x] < 0.05 for c, x in zip(contexts, tokens, strict=False))
    return rare / n / (task.max_length + 1)


@pytest.mark.parametrize("order", TASKS)
def test_the_predicted_share_is_that_of_a_simulation_and_less_than_the_teachers(order):
    task = TASKS[order]
    found = rarity(task)
    predicted = found.cloned(0.2)
    assert predicted < 0.6 * found.teacher
    assert simulated(task, found.deletion(0.2), 1500) == pytest.approx(predicted, rel=0.08)
    assert simulated(task, np.zeros(task.law.shape), 1500) == pytest.approx(found.teacher, rel=0.08)


@pytest.mark.parametrize("order", TASKS)
def test_without_noise_it_is_the_teachers_own_and_falls_with_the_rate(order):
    task = TASKS[order]
    found = rarity(task)
    texts = task.demonstrations(2000, "train", 0)
    own = metrics.rare_tokens(metrics.taught(task.next_distribution, texts), below=0.05)
    assert found.teacher == pytest.approx(own.mean(), abs=4 * own.std() / len(own) ** 0.5)
    shares = [found.cloned(rate) for rate in (0.0, 1e-9, 0.01, 0.05, 0.2)]
    assert shares[1] == pytest.approx(shares[0], rel=1e-5)
    assert shares[1:] == sorted(shares[1:], reverse=True)


def test_the_clone_deletes_as_often_as_noised_demonstrations_do():
    task, rate = TASKS[1], 0.2
    v, n = task.vocabulary, task.law.shape[1]
    t = noise.mistype(
        v, task.demonstrations(4000, "train", 0), rate, noise.uniform(v), torch.Generator().manual_seed(0)
    )
    deleted, stayed = counts(t, v, n)
    total = deleted + stayed
    share, expected = deleted / np.maximum(total, 1), rarity(task).deletion(rate)
    error = np.sqrt(expected * (1 - expected) / np.maximum(total, 1))
    assert (np.abs(share - expected)[total > 50] < 4.5 * error[total > 50]).all()


def counts(t: Trajectories, v, n):
    """Deletions and other demonstrated actions after each pair of tokens."""
    deleted, stayed = np.zeros((n, n)), np.zeros((n, n))
    rows = zip(t.prompts.tolist(), t.actions.tolist(), t.imitate.tolist(), t.lengths.tolist(), strict=True)
    for prompt, actions, imitate, length in rows:
        text = list(prompt)
        for action, counted in zip(actions[:length], imitate[:length], strict=True):
            if counted and len(text) > 1:
                (deleted if action == v.backspace else stayed)[tuple(text[-2:])] += 1
            if action == v.backspace:
                text.pop()
            elif action != v.eos:
                text.append(action)
    return deleted, stayed
