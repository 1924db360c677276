"""What is exact on the page of `revise` is what enumeration says."""

import random
from itertools import permutations, product

import numpy as np
import pytest
import torch

from benchmarks.compounding_error.analysis import ceilings
from envs.tasks import Dyck, Potentials, Sudoku4
from envs.tasks.base.markov import MarkovTask
from seqil import Vocabulary
from seqil.theory.conditionals import gibbs


class Small(MarkovTask):
    """Three tokens, each forbidden behind some pair."""

    name = "small"
    vocabulary = Vocabulary(size=4, eos=3)

    def __init__(self, horizon=3):
        law = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(1)).double()
        law[torch.arange(3)[:, None], torch.arange(3), (torch.arange(3)[:, None] + torch.arange(3)) % 3] = 0
        law[3], law[:, 3], law[..., 3] = 0, 0, 0
        super().__init__(law / law.sum(-1, keepdim=True).clamp(min=1e-300), horizon)

    def chunk(self, seed, number):
        raise NotImplementedError

    def prompts(self, n, split, seed):
        return [[0, 1]] * n


def enumerated(task, prompt):
    """Probability of every text of a Markov task: an array [V - 1, …, V - 1]."""
    size, n = task.vocabulary.size - 1, task.max_length
    law = np.zeros((size,) * n)
    for text in product(range(size), repeat=n):
        cells_ = [*prompt, *text]
        law[text] = np.prod([task.law[tuple(cells_[i : i + 3])].item() for i in range(n)])
    return law


def of_marginals(law):
    """The product of the marginals of a law of texts."""
    n = law.ndim
    found = np.ones_like(law)
    for cell in range(n):
        marginal = law.sum(tuple(i for i in range(n) if i != cell))
        found *= marginal.reshape([-1 if i == cell else 1 for i in range(n)])
    return found


def test_factorised_markov_texts():
    task = Small()
    for prompt in ([0, 1], [2, 2]):
        law = enumerated(task, prompt)
        assert law.sum() == pytest.approx(1)
        expected = of_marginals(law)[law > 0].sum()
        assert 0.1 < expected < 0.95
        assert ceilings.factorised(task, [prompt])[0] == pytest.approx(expected, abs=1e-6)
    law = enumerated(task, [0, 1])
    joint, product_ = ceilings.nats(task)
    assert joint == pytest.approx(-(law[law > 0] * np.log(law[law > 0])).sum() / 3, abs=1e-5)
    assert product_ == pytest.approx(-(law * np.log(of_marginals(law).clip(1e-300))).sum() / 3, abs=1e-5)


def test_factorised_brackets():
    task = Dyck(kinds=2, length=8)
    law = np.zeros((4,) * 7)
    for text in product(range(4), repeat=7):
        law[text] = task.success([1], [*text, task.vocabulary.eos])
    law /= law.sum()
    assert ceilings.factorised(task, [[1]])[0] == pytest.approx(of_marginals(law)[law > 0].sum())


def test_factorised_grids():
    task = Sudoku4(low=12, high=12)
    for prompt in (*task.prompts(8, "test", 0), [4, 4, *task.grids[0, 2:].tolist()]):
        blanks = [i for i, token in enumerate(prompt) if token == 4]
        law = np.zeros((4,) * len(blanks))
        for digits in product(range(4), repeat=len(blanks)):
            text = list(prompt)
            for at, digit in zip(blanks, digits, strict=True):
                text[at] = digit
            law[digits] = task.success(prompt, [*text, task.vocabulary.eos])
        law /= law.sum()
        assert ceilings.factorised(task, [prompt])[0] == pytest.approx(of_marginals(law)[law > 0].sum())


@pytest.mark.parametrize("block", [1, 2])
def test_exact_blocks_are_the_enumerated_chain(block):
    """One sweep: all orders of the cells alike, the cells of a block each on their own."""
    task = Small()
    task.law = task.law.clamp(min=1e-9)
    task.law[..., 3] = 0
    law = enumerated(task, [0, 1])
    law /= law.sum()
    state = of_marginals(law).reshape(-1)
    after = np.zeros_like(state)
    for order in permutations(range(3)):
        moved = state
        for at in range(0, 3, block):
            moved = moved @ gibbs(law, [order[at : at + block]], joint=False)
        after += moved / 6
    right = (law > 1e-6).reshape(-1)
    (found,) = ceilings.exact_blocks(task, block, (1,), texts=3000)
    assert state[right].sum() + 0.05 < after[right].sum()  # the sweep is seen
    assert found.value == pytest.approx(after[right].sum(), abs=0.035)


def test_walks_are_those_of_all_paths():
    """Every sequence of coins, two tokens and eos, at most seven actions."""
    ended = spent = 0.0
    for coins in product((0, 1), repeat=7):
        depth = actions = 0
        while actions < 7 and depth < 3:
            depth += 1 if depth == 0 or coins[actions] else -1
            actions += 1
        ended += (depth == 3) / 2**7
        spent += actions / 2**7
    assert ceilings.walked(2, 7) == pytest.approx((ended, spent))
    share, mean = ceilings.walked(4, 3000)
    assert (share, mean) == (pytest.approx(1), pytest.approx(25))


def test_uniform_texts_beyond_the_edge():
    task = Potentials(length=5, size=4, edge=-0.5)
    texts = list(product(range(4), repeat=5))
    share = sum(task.score(text) > task.edge + 2 for text in texts) / len(texts)
    assert 0 < share < 0.2
    assert ceilings.beyond(task, 1) == pytest.approx(share)
    assert ceilings.beyond(task, 3) == pytest.approx(1 - (1 - share) ** 3)


@pytest.mark.parametrize("keep", [False, True])
def test_a_climb_without_a_model_is_that_of_a_loop(keep):
    task, rng, right, n = Potentials(length=5, size=3, edge=-1.0), random.Random(0), 0, 1500
    for _ in range(n):
        text = [rng.randrange(3) for _ in range(5)]
        for _ in range(4):
            tried = []
            for _ in range(3):
                place, token = rng.choice([(i, t) for i in range(5) for t in range(3) if t != text[i]])
                tried.append([*text[:place], token, *text[place + 1 :]])
            best = max(tried, key=task.score)
            text = best if not keep or task.score(best) > task.score(text) else text
        right += task.score(text) > 1.0
    found = ceilings.climbed(task, 4, 3, keep)
    assert abs(found.value - right / n) < 3 * np.sqrt(0.25 / n + 0.25 / found.n)
    assert ceilings.climbed(task, 0, 3, keep).value == pytest.approx(ceilings.beyond(task, 1), abs=0.04)
