"""The random walk on a hidden digraph: its law against closed forms, its judge against brute force."""

import numpy as np
import pytest
import torch

from envs.tasks import GraphWalk
from seqil import exact, start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task


@pytest.fixture(scope="module")
def task():
    return GraphWalk()


def test_it_keeps_the_contract(task):
    check_task(task)


def test_every_node_has_four_successors_and_reaches_every_node(task):
    law = task.law[:200, :200]
    assert not law.diagonal().any()
    assert ((law > 0).sum(1) == 4).all()
    assert set(law.unique().tolist()) == {0.0, 0.25}
    assert not task.law[200].any()
    assert not task.law[:, 200].any()
    reached = torch.eye(200, dtype=torch.float64) + law
    for _ in range(8):
        reached = (reached @ reached > 0).double()
    assert reached.all()


def test_next_distribution_is_the_row_of_the_last_node_whatever_came_before(task):
    state = start(task.vocabulary, [[n] for n in range(200)], 64, 64)
    torch.testing.assert_close(task.next_distribution(state)[:, :200], task.law[:200, :200])
    jump = torch.arange(200).flip(0)
    torch.testing.assert_close(
        task.next_distribution(transition(task.vocabulary, state, jump))[:, :200], task.law[:200, :200].flip(0)
    )


def test_demonstrations_follow_the_law(task):
    t = task.demonstrations(4000, "train", 0)
    cells = torch.cat([t.prompts, t.actions[:, :-1]], 1)
    pairs = torch.stack([cells[:, :-1].flatten(), cells[:, 1:].flatten()])
    counts = torch.zeros(200, 200, dtype=torch.float64)
    counts.index_put_(tuple(pairs), torch.ones(pairs.shape[1], dtype=torch.float64), accumulate=True)
    n, p = counts.sum(1, keepdim=True), task.law[:200, :200]
    z = ((counts - n * p) / (n * p * (1 - p)).sqrt())[p > 0]
    assert not counts[p == 0].any()
    assert z.abs().max() < 5
    assert z.square().mean() == pytest.approx(1, abs=0.15)
    visited = exact.marginals(np.full(200, 1 / 200), p.numpy(), 65)
    for step in (0, 1, 2, 64):
        seen = torch.bincount(cells[:, step], minlength=200).double()
        expected = 4000 * torch.from_numpy(visited[step])
        assert ((seen - expected).square() / expected).sum() < 200 + 4 * 20  # chi-square, 199 degrees of freedom


def test_survival_of_a_leaking_student_is_its_closed_form(task):
    law = task.law[:200, :200].numpy()
    student = 0.9 * law + 0.1 / 200
    kept = 0.9 + 0.1 * 4 / 200
    np.testing.assert_allclose(exact.survival(np.full(200, 1 / 200), law, student, 64), kept ** np.arange(65))
    g = torch.Generator().manual_seed(0)
    cells = torch.randint(200, (4000, 1), generator=g)
    for _ in range(8):
        following = torch.multinomial(torch.from_numpy(student)[cells[:, -1]], 1, generator=g)
        cells = torch.cat([cells, following], 1)
    first = [task.first_error(row[:1], row[1:]) for row in cells.tolist()]
    for t in (1, 4, 8):
        assert np.mean([e is None or e >= t for e in first]) == pytest.approx(kept**t, abs=0.03)


def test_first_error_by_brute_force(task):
    g = torch.Generator().manual_seed(0)
    for row in torch.randint(0, 200, (200, 8), generator=g).tolist():
        expected = next((i for i in range(7) if task.law[row[i], row[i + 1]] == 0), None)
        assert task.first_error(row[:1], row[1:]) == expected
    prompt, text = task.prompts(1, "test", 0)[0], task.demonstrations(1, "test", 0).actions[0].tolist()
    assert task.success(prompt, text)
    assert not task.success(prompt, text[:-1])
    assert not task.success(prompt, [*text[:9], prompt[0], *text[10:]])
    assert task.first_error(prompt, [*text[:3], 200]) == 3


def test_confusions_skip_a_node(task):
    law = task.law[:200, :200]
    state = start(task.vocabulary, [[n] for n in range(200)], 64, 64)
    skips = task.confusions(state)
    for node in range(200):
        after = {int(m) for m in law[node].nonzero()}
        beyond = {int(m) for a in after for m in law[a].nonzero()} - after
        assert set(skips[node].nonzero()[:, 0].tolist()) == beyond


def test_what_cannot_be_is_named(task):
    with pytest.raises(InvalidInputError, match="graph_walk: horizon=0"):
        GraphWalk(0)
    for ask in (task.next_distribution, task.confusions, task.has_error):
        with pytest.raises(InvalidInputError, match=r"^graph_walk: prompt \[3, 200\] is not "):
            ask(start(task.vocabulary, [[3], [3, 200]], 64, 64))
    with pytest.raises(InvalidInputError, match=r"^graph_walk: prompt \[200\] is not "):
        task.first_error([200], [3])
    with pytest.raises(InvalidInputError, match="unknown split 'all'"):
        task.prompts(1, "all", 0)
