"""Star graphs: paths against a breadth-first search, the law and the confusions against brute force."""

import itertools
import re

import pytest
import torch

from envs.tasks import Star
from seqil import start, transition
from seqil.errors import InvalidInputError
from seqil.testing import check_task

SIZES = [(5, 4), (2, 1), (7, 7), (2, 5)]


def parsed(task, prompt):
    """Edges, centre and goal from the published notation."""
    graph, ends = re.fullmatch(r"([\d,|]+)/(\d+,\d+)=", task.decode(prompt)).groups()
    return [tuple(map(int, edge.split(","))) for edge in graph.split("|")], *map(int, ends.split(","))


def paths(edges, centre, goal):
    """All simple paths, the shortest first, by breadth-first search."""
    found, frontier = [], [[centre]]
    while frontier:
        found += [path for path in frontier if path[-1] == goal]
        frontier = [[*path, b] for path in frontier for a, b in edges if a == path[-1] and b not in path]
    return found


def heads(edges, node):
    return {b for a, b in edges if a == node}


@pytest.mark.parametrize(("arms", "length"), SIZES)
def test_it_keeps_the_contract(arms, length):
    check_task(Star(arms, length))


@pytest.mark.parametrize(("arms", "length"), SIZES)
def test_the_answer_is_the_only_path_and_the_graph_a_star(arms, length):
    task = Star(arms, length)
    for prompt in task.prompts(100, "train", 0):
        edges, centre, goal = parsed(task, prompt)
        assert [task.answer(prompt)] == [[*path, 53] for path in paths(edges, centre, goal)]
        nodes = {node for edge in edges for node in edge}
        assert len(edges) == arms * length == len(nodes) - 1
        assert len(heads(edges, centre)) == arms
        ends = [node for node in nodes if not heads(edges, node)]
        assert [len(paths(edges, centre, end)[0]) for end in ends] == [length + 1] * arms
        assert goal in ends


def test_goal_labels_and_order_of_edges_are_uniform():
    task = Star(4, 2)
    ranks, centres = torch.zeros(4), torch.zeros(50)
    for prompt in task.prompts(4000, "train", 0):
        edges, centre, _ = parsed(task, prompt)
        first = task.answer(prompt)[1]
        ranks[[b for a, b in edges if a == centre].index(first)] += 1
        centres[centre] += 1
    assert (ranks - 1000).abs().max() < 5 * 27
    assert (centres - 80).abs().max() < 5 * 9


def test_another_order_of_the_edges_is_in_the_same_split():
    task, sizes = Star(2, 1), {"train": 18_000, "valid": 1000, "test": 1000}
    items, ordered = {}, {}
    for split, n in sizes.items():
        prompts = [parsed(task, prompt) for prompt in task.prompts(n, split, 0)]
        ordered[split] = {(tuple(edges), goal) for edges, _, goal in prompts}
        items[split] = {(frozenset(edges), goal) for edges, _, goal in prompts}
    for a, b in itertools.combinations(sizes, 2):
        assert not items[a] & items[b]
    assert len(items["train"]) < len(ordered["train"])


@pytest.mark.parametrize(("arms", "length"), [(5, 4), (3, 2)])
def test_law_and_confusions_by_brute_force(arms, length):
    task, g = Star(arms, length), torch.Generator().manual_seed(0)
    v, prompts = task.vocabulary, task.prompts(80, "test", 0)
    graphs = [parsed(task, prompt) for prompt in prompts]
    state = start(v, prompts, task.max_length, task.min_length)
    wrong_rows = 0
    for at in range(task.max_length + 2):
        law, confusions = task.next_distribution(state), task.confusions(state)
        for row, (edges, centre, _) in enumerate(graphs):
            text, right = state.texts()[row], task.answer(prompts[row])
            following = right[min(at, task.max_length)]
            wrong = text != right[: len(text)]
            wrong_rows += wrong
            near = heads(edges, text[-1]) if text else set()
            expected = near or set(range(50)) if wrong and following != v.eos else {following}
            assert set(law[row].nonzero()[:, 0].tolist()) == expected
            assert law[row].unique().numel() == 2
            ends = [node for _, node in edges if not heads(edges, node)]
            level = {paths(edges, centre, end)[0][at] for end in ends} if 1 <= at <= length else set()
            mistakes = (near - {following}) or (level - {following})
            assert set(confusions[row].nonzero()[:, 0].tolist()) == mistakes
        guess = torch.randint(0, 50, (80,), generator=g)
        arm = torch.stack(
            [torch.multinomial(row, 1, generator=g)[0] if row.any() else row.argmax() for row in confusions]
        )
        action = torch.where(torch.rand(80, generator=g) < 0.05, guess, law.argmax(1))
        action = torch.where(torch.rand(80, generator=g) < 0.3, arm, action)
        state = transition(v, state, action if at < task.max_length else torch.full((80,), v.eos))
    assert wrong_rows > 80


def test_a_wrong_arm_shows_at_its_end_and_is_mended_by_deleting_the_arm():
    task = Star(5, 4)
    v, prompts = task.vocabulary, task.prompts(40, "test", 0)
    rights = torch.tensor([task.answer(prompt) for prompt in prompts])
    state = transition(v, start(v, prompts, task.max_length, task.min_length), rights[:, 0])
    state = transition(v, state, task.confusions(state).argmax(1))
    for _ in range(3):
        assert task.has_error(state).all()
        law = task.next_distribution(state)
        assert torch.equal(law.argmax(1), task.confusions(state).argmax(1))
        state = transition(v, state, law.argmax(1))
    goals = torch.tensor([prompt[-2] for prompt in prompts])
    assert (state.tokens[:, len(prompts[0]) + 4] != goals).all()
    assert [task.first_error(p, x) for p, x in zip(prompts, state.texts(), strict=True)] == [1] * 40
    for _ in range(4):
        assert task.has_error(state).all()
        state = transition(v, state, torch.full((40,), v.backspace))
    for _ in range(5):
        assert not task.has_error(state).any()
        state = transition(v, state, task.next_distribution(state).argmax(1))
    assert all(task.success(p, x) for p, x in zip(prompts, state.texts(), strict=True))


def test_a_prompt_that_is_no_star_is_refused():
    task = Star(2, 2)  # 0 -> 1 -> 2, 0 -> 3 -> 4, from 0 to 4
    bar, slash, equals = 50, 51, 52
    star = [0, 1, bar, 1, 2, bar, 0, 3, bar, 3, 4, slash, 0, 4, equals]
    assert task.answer(star) == [0, 3, 4, 53]
    changes = [
        *({0: 9}, {1: 3}, {3: 3}, {9: 1}, {10: 0}, {10: 50}, {12: 1}, {13: 3}, {13: 9}),
        *({2: slash}, {11: bar}, {14: slash}, {4: 1}),
    ]
    for change in changes:
        foreign = [change.get(i, token) for i, token in enumerate(star)]
        for ask in (task.answer, lambda p: task.success(p, [0]), lambda p: task.first_error(p, [0])):
            with pytest.raises(InvalidInputError, match=r"^star: prompt .* is not a star of 2 arms of 2 edges"):
                ask(foreign)
        for ask in (task.next_distribution, task.confusions, task.has_error):
            with pytest.raises(InvalidInputError, match=r"^star: prompt .* is not a star of 2 arms of 2 edges"):
                ask(start(task.vocabulary, [star, foreign], 3, 3))
    with pytest.raises(InvalidInputError, match="is not a star"):
        task.answer(star[3:])


@pytest.mark.parametrize(("arms", "length"), [(1, 4), (5, 0), (5, 10)])
def test_bad_sizes_are_named(arms, length):
    with pytest.raises(InvalidInputError, match=f"star: arms={arms} and length={length} must"):
        Star(arms, length)
