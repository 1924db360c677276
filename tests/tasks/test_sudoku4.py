"""Sudoku of 4 by 4: grids counted, the law, the judges and the confusions against brute force over all grids."""

import itertools
from collections import Counter

import pytest
import torch

from envs.tasks import Sudoku4
from seqil import start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task

ROWS = list(range(16))
SCATTERED = [0, 6, 9, 15, 1, 7, 8, 14, 2, 4, 11, 13, 3, 5, 10, 12]
ORDERS = pytest.mark.parametrize(("scattered", "order"), [(True, SCATTERED), (False, ROWS)])
UNITS = [
    *([4 * i + j for j in range(4)] for i in range(4)),
    *([4 * j + i for j in range(4)] for i in range(4)),
    *([8 * i + 2 * j + k for k in (0, 1, 4, 5)] for i in range(2) for j in range(2)),
]
HALVES = [
    (*a, *b)
    for a, b in itertools.product(itertools.permutations(range(4)), repeat=2)
    if {*a[:2]} | {*b[:2]} == {0, 1, 2, 3}
]
GRIDS = [
    (*a, *b)
    for a, b in itertools.product(HALVES, repeat=2)
    if all(len({a[i], a[i + 4], b[i], b[i + 4]}) == 4 for i in range(4))
]
WRITTEN = {tuple(order): [tuple(grid[cell] for cell in order) for grid in GRIDS] for order in (ROWS, SCATTERED)}


def fitting(order, prompt, tokens):
    """The grids that have the clues, and those of them that have the tokens too, in the order of writing."""
    clues = [(cell, clue) for cell, clue in enumerate(prompt) if clue != 4]
    clued = [g for g in WRITTEN[tuple(order)] if all(g[cell] == clue for cell, clue in clues)]
    return clued, [g for g in clued if g[: len(tokens)] == tuple(tokens)]


def breaks_a_rule(order, prompt, tokens):
    """Whether a clue is contradicted, or a digit stands twice in a unit."""
    cells = dict(zip(order, prompt, strict=True))
    if any(clue not in (4, token) for clue, token in zip(prompt, tokens, strict=False)):
        return True
    cells.update(zip(order, tokens, strict=False))
    seen = ([cells[cell] for cell in unit if cells[cell] != 4] for unit in UNITS)
    return any(len(digits) != len({*digits}) for digits in seen)


def wandering(task, n, rate, seed):
    """The states of texts that take a confusion now and then."""
    g = torch.Generator().manual_seed(seed)
    state = start(task.vocabulary, task.prompts(n, "train", seed), 16, 16)
    for _ in range(16):
        yield state
        law, mistakes = task.next_distribution(state)[:, :4], task.confusions(state)[:, :4].double()
        weights = torch.where(torch.rand(n, 1, generator=g) < rate, mistakes + 1e-9 * law, law)
        state = transition(task.vocabulary, state, torch.multinomial(weights, 1, generator=g)[:, 0])
    yield state


@pytest.mark.parametrize("options", [{}, {"scattered": False}, {"low": 8, "high": 12}])
def test_it_keeps_the_contract(options):
    check_task(Sudoku4(**options))


@ORDERS
def test_there_are_288_grids(scattered, order):
    grids = Sudoku4(scattered=scattered).grids.tolist()
    assert len(GRIDS) == len(grids) == 288
    assert {tuple(grid) for grid in grids} == {*WRITTEN[tuple(order)]}
    assert all(len({grid[cell] for cell in unit}) == 4 for grid in GRIDS for unit in UNITS)


def test_scattered_cells_come_in_fours_that_share_nothing():
    assert sorted(SCATTERED) == ROWS
    for four in (SCATTERED[i : i + 4] for i in range(0, 16, 4)):
        assert all(len({*four} & {*unit}) == 1 for unit in UNITS)


@ORDERS
def test_law_is_the_share_of_the_fitting_grids(scattered, order):
    task = Sudoku4(scattered=scattered)
    strayed = 0
    for at, state in enumerate(wandering(task, 60, 0.15, 0)):
        law, wrong = task.next_distribution(state), task.has_error(state)
        for row, text in enumerate(state.texts(prompt=True)):
            clued, left = fitting(order, text[:16], text[16:])
            assert wrong[row] == (not left)
            if at == 16:
                assert law[row].tolist() == [0, 0, 0, 0, 0, 1]
                continue
            strayed += not left
            scores = [sum(a == b for a, b in zip(g, text[16:], strict=False)) for g in clued]
            best = left or [g for g, score in zip(clued, scores, strict=True) if score == max(scores)]
            counts = Counter(g[at] for g in best)
            expected = [counts[digit] / len(best) for digit in range(4)]
            assert law[row].tolist() == pytest.approx([*expected, 0, 0], abs=1e-12)
    assert strayed > 100


def test_law_without_clues_and_when_one_grid_is_left():
    task = Sudoku4()
    state = start(task.vocabulary, [[4] * 16, task.grids[7].tolist()], 16, 16)
    assert task.next_distribution(state)[0].tolist() == [0.25] * 4 + [0, 0]
    for cell in range(16):
        assert task.next_distribution(state)[1, task.grids[7, cell]] == 1
        state = transition(task.vocabulary, state, task.grids[7, cell].repeat(2))


def test_demonstrations_follow_the_law():
    task, n = Sudoku4(), 3000
    t = task.demonstrations(n, "train", 0)
    scores = []
    for at in range(16):
        law = task.next_distribution(t.before(torch.arange(n), torch.full((n,), at)))[:, :4]
        taken = torch.nn.functional.one_hot(t.actions[:, at], 4)
        for rows in ((t.prompts == 4).sum(1) >= 13, (t.prompts == 4).sum(1) < 13):
            p = law[rows]
            variance = (p * (1 - p)).sum(0)
            scores.append(((taken[rows] - p).sum(0) / variance.sqrt())[variance > 10])
    z = torch.cat(scores)
    assert len(z) > 50
    assert z.abs().max() < 4.5
    assert 0.5 < z.square().mean() < 1.6


def test_grids_and_clues_are_uniform():
    task = Sudoku4(2, 4)
    cells, n = torch.tensor(task.prompts(6000, "train", 0)), 6000
    grids = Counter(map(tuple, task.demonstrations(n, "train", 0).actions[:, :16].tolist()))
    assert len(grids) == 288
    assert sum((seen - n / 288) ** 2 / (n / 288) for seen in grids.values()) < 287 + 5 * 24
    sizes = (cells < 4).sum(1).bincount(minlength=17)
    assert sizes.sum() == sizes[2:5].sum()
    assert (sizes[2:5] - n / 3).abs().max() < 5 * 37
    shown = (cells < 4).sum(0)
    assert (shown - n * 3 / 16).abs().max() < 5 * 31


@ORDERS
def test_errors_and_violations_by_brute_force(scattered, order):
    task, g = Sudoku4(scattered=scattered), torch.Generator().manual_seed(1)
    *_, whole = wandering(task, 100, 0.08, 1)
    wrong = late = 0
    for text in whole.texts(prompt=True):
        prompt, tokens = text[:16], text[16:]
        if torch.rand(1, generator=g) < 0.1:
            tokens[9] = 4
        first = next((i for i in range(16) if not fitting(order, prompt, tokens[: i + 1])[1]), None)
        broken = (i for i in range(16) if tokens[i] == 4 or breaks_a_rule(order, prompt, tokens[: i + 1]))
        violation = next(broken, None)
        assert task.first_error(prompt, tokens) == first
        assert task.first_violation(prompt, tokens) == violation
        assert (first is None) == (violation is None)
        assert task.success(prompt, [*tokens, 5]) == (first is None)
        wrong += first is not None
        late += first != violation
    assert wrong > 40
    assert late > (10 if scattered else 0)


def test_the_end_is_judged():
    task = Sudoku4()
    prompt, text = task.prompts(1, "test", 0)[0], task.demonstrations(1, "test", 0).actions[0].tolist()
    assert task.success(prompt, text)
    for judge in (task.first_error, task.first_violation):
        assert judge(prompt, text) is None
        assert judge(prompt, [*text[:4], 5]) == 4
        assert judge(prompt, [*text[:16], 0]) == 16
    assert not task.success(prompt, text[:-1])
    early = transition(task.vocabulary, start(task.vocabulary, [prompt], 16), torch.tensor([5]))
    assert task.has_error(early).all()


@ORDERS
def test_confusions_by_brute_force(scattered, order):
    task = Sudoku4(scattered=scattered)
    hidden = 0
    for at, state in enumerate(wandering(task, 60, 0.1, 2)):
        law, weights = task.next_distribution(state), task.confusions(state)
        for row, text in enumerate(state.texts(prompt=True)):
            forbidden = {digit for digit in range(4) if law[row, digit] == 0}
            prompt, tokens = text[:16], text[16:]
            if at == 16:
                assert not weights[row].any()
                continue
            near = [c for c in ROWS if c != at and any({order[c], order[at]} <= {*unit} for unit in UNITS)]
            taken = {prompt[c] for c in near} | {tokens[c] for c in near if c < at}
            unseen = {d for d in forbidden - taken if prompt[at] in (4, d)}
            assert set(weights[row].nonzero()[:, 0].tolist()) == (unseen or forbidden)
            hidden += bool(unseen)
    assert hidden > (100 if scattered else 10)


def test_splits_share_no_prompt():
    task = Sudoku4(0, 2)
    found = {
        split: {tuple(p) for p in task.prompts(n, split, 0)}
        for split, n in [("train", 9000), ("valid", 500), ("test", 500)]
    }
    for a, b in itertools.combinations(found.values(), 2):
        assert not a & b
    assert all(len(prompts) > 20 for prompts in found.values())


def test_a_prompt_that_no_grid_agrees_with_is_refused():
    task = Sudoku4(scattered=False)
    for foreign in ([4] * 15, [4] * 17, [0, 0, *[4] * 14], [0, *[4] * 4, 0, *[4] * 10], [5, *[4] * 15]):
        for ask in (task.first_error, task.first_violation, lambda p, x: task.success(p, [*x, 5])):
            with pytest.raises(InvalidInputError, match=r"^sudoku4: prompt .* is not 16 cells"):
                ask(foreign, [0] * 16)
        for ask in (task.next_distribution, task.has_error, task.confusions):
            with pytest.raises(InvalidInputError, match=r"^sudoku4: prompt .* is not 16 cells"):
                ask(start(task.vocabulary, [[4] * 16, foreign], 16, 16))


@pytest.mark.parametrize(("low", "high"), [(-1, 4), (5, 4), (0, 1), (3, 16)])
def test_bad_numbers_of_clues_are_named(low, high):
    with pytest.raises(InvalidInputError, match=f"sudoku4: low={low}, high={high} must"):
        Sudoku4(low, high)


def test_every_grid_of_the_test_items_occurs_in_training_under_other_clues():
    task = Sudoku4()
    seen, asked = ({tuple(row) for row in task.demonstrations(5000, s, 0).actions.tolist()} for s in ("train", "test"))
    assert asked <= seen
    assert len(seen) == 288
