"""The expert of edits against a search over all texts, and against the expert of deletions."""

from collections import deque
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqil
from seqil import experts
from seqil.errors import InvalidInputError
from seqil.mdp.edits import KINDS

V = seqil.Vocabulary(size=3, eos=2)
W = 4
TEXTS = st.lists(st.integers(0, 1), max_size=W)
SOME_KINDS = st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple)


@cache
def distances(kinds, positions, wanted):
    """Fewest edits from every text, backwards from the one that is wanted, by breadth-first search over `revise`."""
    edits = seqil.Edits(V, W, kinds, positions)
    before = {}
    for n in range(W + 1):
        for number in range(2**n):
            text = tuple(number >> k & 1 for k in range(n))
            for after in steps(edits, text).values():
                before.setdefault(after, []).append(text)
    found, queue = {wanted: 0}, deque([wanted])
    while queue:
        text = queue.popleft()
        for other in before.get(text, ()):
            if other not in found:
                found[other] = found[text] + 1
                queue.append(other)
    return found


@cache
def steps(edits, text):
    """Action -> the text after it, of all that are legal but `stop`."""
    state = seqil.begin_with(V, [[0]], [text], W)
    actions = seqil.legal_edits(edits, state)[0, : edits.stop].nonzero()[:, 0]
    after = seqil.revise(edits, state.select(torch.zeros(len(actions), dtype=torch.int64)), actions)
    return dict(zip(actions.tolist(), map(tuple, after.texts()), strict=True))


def ended(texts):
    return seqil.Trajectories.from_actions(V, [[0]] * len(texts), [[*t, V.eos] for t in texts], max_length=W).replay()


@given(TEXTS, TEXTS, SOME_KINDS, st.sampled_from(["any", "end"]))
def test_it_takes_every_edit_of_a_shortest_way(text, wanted, kinds, positions):
    edits = seqil.Edits(V, W, kinds, positions)
    law = experts.edit_towards(edits)(seqil.begin_with(V, [[0]], [text], W), ended([wanted]))[0]
    far = distances(kinds, positions, tuple(wanted))
    if tuple(text) not in far:
        assert not law.any()
    elif text == wanted:
        assert law[edits.stop] == 1
    else:
        nearer = {a for a, t in steps(edits, tuple(text)).items() if far.get(t, 99) == far[tuple(text)] - 1}
        taken = set(law.nonzero()[:, 0].tolist())
        assert taken == nearer if positions == "any" else taken <= nearer and taken
        assert law.sum() == pytest.approx(1)


@given(TEXTS, TEXTS)
def test_at_the_end_it_is_the_reference_under_other_names(text, wanted):
    edits = seqil.Edits(V, W, ("insert", "delete"), "end")
    state, goal = seqil.begin_with(V, [[0]], [text], W), ended([wanted])
    action = int(experts.edit_towards(edits)(state, goal).argmax())
    other = int(experts.reference(V)(state, goal).argmax())
    after = seqil.revise(edits, state, torch.tensor([action])).texts()
    assert after == seqil.transition(V, state, torch.tensor([other])).texts()


def test_many_rows_are_each_row():
    edits = seqil.Edits(V, W)
    texts, wanted = [[0, 1], [], [1, 1, 0, 0], [0]], [[1], [0, 1], [0, 0, 1, 1], [0]]
    states, goals = seqil.begin_with(V, [[0], [1, 0], [1], [0]], texts, W), ended(wanted)
    law = experts.edit_towards(edits)
    whole = law(states, goals)
    for row in range(4):
        at = torch.tensor([row])
        assert torch.equal(whole[row], law(states.select(at), goals.select(at))[0])
    assert law(seqil.revise(edits, states, torch.full((4,), edits.stop)), goals)[:, edits.stop].tolist() == [1] * 4


def states(size=3, width=W, rows=1):
    v = seqil.Vocabulary(size, size - 1)
    return seqil.begin_with(v, [[0]] * rows, [[size - 2]] * rows, width)


def final(size=3, width=W, rows=1):
    edits, begun = seqil.Edits(seqil.Vocabulary(size, size - 1), width), states(size, width, rows)
    return seqil.revise(edits, begun, torch.full((rows,), edits.stop))


@pytest.mark.parametrize(
    ("state", "wanted", "said"),
    [
        (states(), states(), "was cut before its eos"),
        (states(), final(width=W + 1), "the references have max_length=5, the edits 4; make all with one"),
        (states(width=W - 1), final(), "the states have max_length=3, the edits 4"),
        (states(width=W - 1), final(width=W - 1), "the states have max_length=3"),
        (states(rows=2), final(), "1 reference for 2 states; give one for each"),
        (states(), final(rows=2), "2 references for 1 state;"),
        (None, final(), "states=None is not a seqil.Prefixes"),
        (states(), None, "references=None is not a seqil.Prefixes"),
        (states(size=5), final(), "the states are not over"),
        (states(size=5), states(size=5), "the states are not over"),
        (states(), final(size=5), "the states are not over"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_for_what_is_wrong(state, wanted, said):
    for positions in ("any", "end"):
        law = experts.edit_towards(seqil.Edits(V, W, positions=positions))
        with pytest.raises(InvalidInputError, match=said) as refused:
            law(state, wanted)
        assert "\n" not in str(refused.value)


def test_no_alphabet_and_too_large_a_one_are_refused():
    for none in (None, V, ("insert",)):
        with pytest.raises(InvalidInputError, match=r"is not a seqil\.Edits; give Edits"):
            experts.edit_towards(none)
    edits = seqil.Edits(seqil.Vocabulary(10**6, 10**6 - 1), 10**5)
    begun = seqil.start(edits.vocabulary, [[0]], 10**5)
    wanted = seqil.revise(edits, begun, torch.tensor([edits.stop]))
    with pytest.raises(InvalidInputError, match=r"a law of 200,000,100,001 edits for 1 text would take 2,980 GiB"):
        experts.edit_towards(edits)(begun, wanted)
