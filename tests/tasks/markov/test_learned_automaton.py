"""Automata from traces: alignment against enumeration, what noise costs and rounds mend, the task's own law."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqil
from envs.tasks import LearnedAutomaton
from envs.tasks.markov.state_merging import Machine, merged
from envs.tasks.markov.trace_alignment import align, edits, meant
from seqil.errors import InvalidInputError
from seqil.testing import check_task

TOKENS, LENGTH = 6, 16


def teacher():
    """Five states with two tokens each, of probability 3/4 and 1/4."""
    after = np.full((5, TOKENS + 1), -1)
    counts = np.zeros((5, TOKENS + 1), np.int64)
    for state, edges in enumerate([(0, 1, 1, 2), (2, 2, 3, 0), (1, 3, 4, 4), (5, 0, 2, 3), (3, 4, 0, 1)]):
        for token, to, n in ((edges[0], edges[1], 3), (edges[2], edges[3], 1)):
            counts[state, token], after[state, token] = n, to
    return Machine(counts, after)


def drawn(machine, n, seed, length=LENGTH):
    g, texts = np.random.default_rng(seed), []
    law = machine.counts / machine.counts.sum(1, keepdims=True)
    for _ in range(n):
        state, text = 0, []
        for _ in range(length):
            text.append(int(g.choice(law.shape[1], p=law[state])))
            state = machine.after[state, text[-1]]
        texts.append(text)
    return texts


def mistyped(texts, rate, seed):
    g = np.random.default_rng(seed)
    return [[int(g.integers(TOKENS)) if g.random() < rate else token for token in text] for text in texts]


def language(machine, longest):
    """Every text of at most so many tokens, with its nats."""
    V = machine.counts.shape[1]
    found = (
        (list(text), machine.nats_of(text)) for n in range(longest + 1) for text in product(range(V - 1), repeat=n)
    )
    return [(text, nats) for text, nats in found if not math.isinf(nats)]


def distance(a, b):
    """Levenshtein's, by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        above, row = row, [i + 1]
        for j, y in enumerate(b):
            row.append(min(above[j] + (x != y), above[j + 1] + 1, row[j] + 1))
    return row[-1]


@st.composite
def machines(draw):
    """Of up to three states over two tokens, with an end or without; each state leads somewhere."""
    S, ends = draw(st.integers(1, 3)), draw(st.booleans())
    counts = np.array(
        [[draw(st.integers(0, 4)) for _ in range(2)] + [draw(st.integers(0, 2)) * ends] for _ in range(S)]
    )
    after = np.array([[draw(st.integers(0, S - 1)) for _ in range(2)] + [-1] for _ in range(S)])
    counts[:, 0 if not ends else 2] += 1
    return Machine(counts, np.where(counts > 0, after, -1))


@given(machine=machines(), text=st.lists(st.integers(0, 1), max_size=5))
def test_the_nearest_text_is_that_of_enumeration(machine, text):
    script = align(machine, [text])[0]
    assert [step.seen for step in script if step.seen is not None] == text
    found = meant(script)
    assert edits(script) >= distance(text, found)
    best = min((distance(text, other), nats) for other, nats in language(machine, 8))
    assert edits(script) == best[0]
    assert machine.nats_of(found) == pytest.approx(best[1], abs=1e-7)


@given(seed=st.integers(0, 99), at=st.integers(0, LENGTH))
def test_a_text_of_the_language_costs_nothing_and_a_foreign_symbol_one(seed, at):
    machine = teacher()
    text = drawn(machine, 1, seed)[0]
    script = align(machine, [text])[0]
    assert (edits(script), meant(script)) == (0, text)
    foreign = Machine(np.insert(machine.counts, TOKENS, 0, 1), np.insert(machine.after, TOKENS, -1, 1))
    script = align(foreign, [[*text[:at], TOKENS, *text[at:]]])[0]
    assert edits(script) == 1
    assert TOKENS not in meant(script)


@pytest.mark.parametrize(("rate", "rounds", "left"), [(0.15, 3, 0.01), (0.05, 2, 0.002)])
def test_rounds_of_alignment_take_the_noise_away(rate, rounds, left):
    machine = teacher()
    clean, texts = drawn(machine, 500, 1), drawn(machine, 3000, 0)
    seen = mistyped(texts, rate, 2)
    names = [[str(token) for token in text] for text in seen]

    task = LearnedAutomaton(traces=names, rounds=rounds)

    def nats(machine):
        found = [machine.nats_of(text) for text in clean]
        possible = [x for x in found if not math.isinf(x)]
        assert len(possible) > 0.98 * len(found)
        return sum(possible) / len(possible) / LENGTH

    truth, first, last = map(nats, (machine, merged(seen, TOKENS + 1), task.machine))
    assert first - truth > 5 * (last - truth)
    assert abs(last - truth) < left
    wrong = sum(a != b for right, text in zip(texts, seen, strict=True) for a, b in zip(right, text, strict=True))
    assert 0.5 * wrong < sum(map(edits, task.scripts)) <= 1.05 * wrong


def test_what_has_no_noise_is_left_as_it_is():
    texts = drawn(teacher(), 3000, 0)
    names = [[str(token) for token in text] for text in texts]
    learned = [LearnedAutomaton(traces=names, rounds=k) for k in (0, 3)]
    once, mended = (task.machine for task in learned)
    assert np.array_equal(once.counts, mended.counts)
    assert np.array_equal(once.after, mended.after)
    true = merged(texts, TOKENS + 1)
    assert np.array_equal(once.counts[:, :TOKENS], true.counts[:, :TOKENS])
    assert np.array_equal(once.after[:, :TOKENS], true.after[:, :TOKENS])
    assert all(edits(script) == 0 for script in learned[1].scripts)
    assert learned[0].machine.counts.sum() == 3000 * LENGTH


@pytest.mark.parametrize("ends", [True, False])
def test_it_keeps_the_contract(ends):
    texts = mistyped(drawn(teacher(), 800, 0, 12), 0.1, 1)
    traces = [[f"e{token}" for token in text[: 8 + i % 5 if ends else 12]] for i, text in enumerate(texts)]
    task = LearnedAutomaton(traces=traces)
    assert task.min_length == (0 if ends else 12)
    assert task.machine.ends == ends
    check_task(task)


def test_items_follow_the_law_of_the_counts():
    task = LearnedAutomaton(traces=["ab", "ab", "b", "abab", "b", "b"] * 40, rounds=0)
    texts = np.concatenate([task.chunk(0, k).texts[:, 1:] for k in range(3)]).tolist()
    a, b = 0, 1
    first = sum(text[0] == a for text in texts) / len(texts)
    assert first == pytest.approx(0.5, abs=0.02)
    state = seqil.start(task.vocabulary, [[2]], task.max_length)
    assert task.next_distribution(state)[0].tolist() == [0.5, 0.5, 0]
    whole = {tuple(text[: text.index(2)]) if 2 in text else tuple(text) for text in texts}
    assert whole <= {(a, b), (b,), (a, b, a, b), (b, a, b), (a, b, b), (b, b), (a, b, a), (b, a), (b, b, b)} | {
        text for text in whole if task.first_error([2], text) is None
    }
    assert task.first_error([2], [a, a]) == 1
    assert task.decode([0, 1, 2]) == "a b"


def test_confusions_are_what_the_traces_hold_too_much():
    """Ninety of a hundred traces alternate; in the others an `x` stands for a `b`."""
    traces = ["abababab"] * 88 + ["axababab"] * 7 + ["abaxabab"] * 5
    task = LearnedAutomaton(traces=traces, rounds=1, rare=0.2)
    v = task.vocabulary
    state = seqil.begin_with(v, [[v.eos]] * 3, [[], [0], [0, 1, 0]], task.max_length, task.min_length)
    weights = task.confusions(state)
    x = task.events.index("x")
    assert weights[0].sum() == 0
    assert weights[1:, x].sum() > 0
    assert (weights[:, :2] == 0).all()
    assert (weights[1] > 0).tolist() == [False, False, True, False]
    noised = seqil.mistype(v, task.demonstrations(20, "train", 0), 0.9, seqil.noise.confusions(task.confusions),
                           torch.Generator().manual_seed(0))  # fmt: skip
    assert (noised.actions == x).any()


def test_a_file_is_read_line_by_line(tmp_path):
    file = tmp_path / "traces.txt"
    file.write_text("open read close\nopen close\n\nopen read read close\n" * 30)
    task = LearnedAutomaton(file, rounds=0)
    lines = ["open read close", "open close", "open read read close"] * 30
    other = LearnedAutomaton(traces=[line.split() for line in lines], rounds=0)
    assert task.events == ["close", "open", "read"]
    assert np.array_equal(task.machine.counts, other.machine.counts)
    assert task.encode("open read") == [1, 2]


@pytest.mark.parametrize(
    ("end", "traces"), [("\n", 2), ("\r\n", 2), ("\r", 2), ("\u2028", 1), ("\x0c", 1), ("\x1c", 1)]
)
def test_traces_end_where_lines_end(tmp_path, end, traces):
    file = tmp_path / "traces.txt"
    file.write_bytes(f"open close{end}open close".encode())
    task = LearnedAutomaton(file, rounds=0)
    assert (len(task.scripts), task.max_length) == (traces, 4 // traces)


def test_what_is_ordered_serves_as_traces():
    lists = [["a", "b"], ["b", "a"]]
    ways = (lists, np.array(lists), map(iter, lists), tuple(map(tuple, lists)))
    found = [LearnedAutomaton(traces=traces).machine.counts.tolist() for traces in ways]
    assert all(counts == found[0] for counts in found)


def test_rounds_end_where_one_changes_nothing():
    seen = mistyped(drawn(teacher(), 400, 0), 0.05, 2)
    names = [[str(token) for token in text] for text in seen]
    few, many = (LearnedAutomaton(traces=names, rounds=rounds) for rounds in (20, 1000))
    assert np.array_equal(few.machine.counts, many.machine.counts)


def test_rare_transitions_are_left_out_but_for_the_way_to_the_end():
    counts = np.array([[98, 2, 0], [99, 0, 1]])
    machine = Machine(counts, np.array([[0, 1, -1], [1, -1, -1]]))
    assert machine.without(0.05).counts.tolist() == [[98, 2, 0], [99, 0, 1]]
    easier = Machine(np.array([[98, 2, 9], [99, 0, 1]]), machine.after)
    assert easier.without(0.05).counts.tolist() == [[98, 0, 9], [99, 0, 1]]


def test_merging_finds_the_states_again():
    found = merged(drawn(teacher(), 3000, 3), TOKENS + 1)
    assert len(found.counts) == 5
    law, true = (m.counts / m.counts.sum(1, keepdims=True) for m in (found, teacher()))
    for text in drawn(teacher(), 50, 4):
        a = b = 0
        for token in text:
            assert np.abs(law[a] - true[b]).max() < 0.03
            a, b = found.after[a, token], teacher().after[b, token]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give a path, or traces"),
        ({"path": "x", "traces": ["ab"]}, "give a path, or traces"),
        ({"traces": []}, "there is no event"),
        ({"traces": [[], []]}, "there is no event"),
        ({"path": "nowhere.txt"}, "nowhere.txt cannot be read"),
        ({"traces": ["ab"], "rounds": -1}, "rounds=-1"),
        ({"traces": ["ab"], "rounds": 10**6}, r"rounds=1000000 must be in 0\.\.1000"),
        ({"traces": "abab"}, "traces='abab' is no list of traces; give a list of lists"),
        ({"traces": b"abab"}, "is no list of traces"),
        ({"traces": {"ab": 2}}, "is no list of traces"),
        ({"traces": 3}, "traces=3 is no list of traces"),
        ({"traces": [[1, 2], [2, 1]]}, "trace 0 holds 1, which is no event"),
        ({"traces": [["a"], [1, "a"]]}, "trace 1 holds 1, which is no event"),
        ({"traces": [[None, "a"]]}, "trace 0 holds None, which is no event"),
        ({"traces": [None]}, "trace 0 holds None, which is no event"),
        ({"traces": [[["a"]]]}, r"trace 0 holds \['a'\], which is no event"),
        ({"traces": [["a", ""]]}, "trace 0 holds '', which is no event"),
        ({"traces": np.array([[1, 2], [2, 1]])}, r"trace 0 holds np\.int64\(1\), which is no event"),
        ({"traces": np.array(3)}, r"is no list of traces"),
        ({"traces": ["ab"], "rare": 0.6}, r"rare=0\.6"),
        ({"traces": ["ab"], "significance": 0.0}, "significance=0"),
    ],
)
def test_what_is_no_set_of_traces_is_refused(options, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        LearnedAutomaton(**options)
    assert "\n" not in str(refused.value)
