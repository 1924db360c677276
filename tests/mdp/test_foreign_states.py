"""What is no edit, no text or no state of a vocabulary is refused where a user calls, and said in one line."""

from functools import partial

import numpy as np
import pytest
import torch

import seqil
from seqil.errors import InvalidInputError
from seqil.mdp.edits import are_legal, legal_factors, legal_places

V = seqil.Vocabulary(size=5, eos=4)
LARGER = seqil.Vocabulary(size=9, eos=8)
EDITS = seqil.Edits(V, 4)
STATES = seqil.start(V, [[0], [1]], 4)
ENDED = seqil.transition(V, STATES, torch.tensor([4, 4]))
TWO = torch.tensor([1, 1])


def told(call, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([[1.5], [0]], r"text 0, \[1\.5\], is no list of integer ids"),
        ([[0], [True]], "text 1"),
        ([[0], None], "text 1, None"),
        (["12", [0]], "text 0, '12'"),
        ([[0], torch.tensor([0.5])], "text 1"),
        ([[0], torch.tensor(1)], "text 1"),
        ([[0], [None]], "text 1"),
        ([[0], [10**30]], "text 1 holds 1000"),
        (None, "texts=None"),
        ("01", "texts='01'"),
        (3, "texts=3"),
    ],
)
def test_texts_that_are_none_are_named(texts, said):
    told(lambda: seqil.begin_with(V, [[0], [1]], texts, 4), said)


@pytest.mark.parametrize("texts", [[[1, 2], []], np.array([[1], [2]]), [np.array([1]), torch.tensor([2, 3])]])
def test_texts_may_be_of_any_integers(texts):
    found = seqil.begin_with({"size": 5, "eos": 4}, [[0], [1]], texts, 4)
    assert found.texts() == [[int(token) for token in row] for row in texts]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: EDITS.insert(0.5, 1), "place=0.5"),
        (lambda: EDITS.insert(True, 1), "place=True"),
        (lambda: EDITS.insert(None, 1), "place=None"),
        (lambda: EDITS.substitute(0, "1"), "token='1'"),
        (lambda: EDITS.delete(1.5), "place=1.5"),
        (lambda: EDITS.delete(-1), "place -1"),
        (lambda: EDITS.insert(0, 4), "eos.*edits.stop"),
        (lambda: EDITS.substitute(0, 4), "eos.*edits.stop"),
        (lambda: seqil.Edits(V, 2.5), "max_length=2.5"),
        (lambda: seqil.Edits(V, True), "max_length=True"),
        (lambda: seqil.Edits(V, None), "max_length=None"),
        (lambda: seqil.Edits(V, 10**30), "lower it"),
        (lambda: seqil.Edits(None, 3), "vocabulary=None"),
        (lambda: seqil.Edits(5, 3), "vocabulary=5"),
        (lambda: seqil.Edits({"size": 5}, 3), "neither a Vocabulary"),
        (lambda: seqil.Edits(V, 3, positions=None), "positions None"),
        (lambda: seqil.Edits(V, 3, kinds=3), "kinds=3"),
        (lambda: EDITS.split(torch.tensor([-5])), "actions hold -5"),
        (lambda: EDITS.split(torch.tensor([EDITS.num_actions])), "actions hold 45"),
        (lambda: EDITS.split(torch.tensor([1.5])), "are no integers"),
        (lambda: EDITS.split(torch.tensor([True])), "are no integers"),
        (lambda: EDITS.split(None), "actions=None"),
        (lambda: EDITS.join(TWO, TWO * 9, TWO), "places hold 9; they go from 0 to 3"),
        (lambda: EDITS.join(TWO * 0, TWO, TWO * 99), "tokens hold 99"),
        (lambda: EDITS.join(TWO * 7, TWO, TWO), "kinds hold 7"),
        (lambda: EDITS.join(TWO, TWO[:1], TWO), "shapes"),
        (lambda: EDITS.join(TWO, TWO * 1.0, TWO), "places="),
        (lambda: EDITS.join(None, TWO, TWO), "kinds=None"),
    ],
)
def test_numbers_of_no_edit_are_named(call, said):
    told(call, said)


def test_edits_are_made_and_split_of_any_integers():
    edits = seqil.Edits({"size": 5, "eos": 4}, np.int64(4))
    assert edits == EDITS
    assert isinstance(edits.max_length, int)
    assert edits.insert(np.int64(1), torch.tensor(2)) == EDITS.insert(1, 2)
    assert [part.tolist() for part in edits.split([1, edits.stop])] == [[0, 3], [0, 0], [1, 0]]
    assert edits.join([3, 1], [-7, 2], [99, 99]).tolist() == [edits.stop, edits.delete(2)]


OF_A_VOCABULARY = {
    "transition": lambda v, states: seqil.transition(v, states, TWO),
    "legal_actions": seqil.legal_actions,
    "revise": lambda v, states: seqil.revise(seqil.Edits(v, 4), states, TWO),
    "legal_edits": lambda v, states: seqil.legal_edits(seqil.Edits(v, 4), states),
    "are_legal": lambda v, states: are_legal(seqil.Edits(v, 4), states, TWO),
    "legal_places": lambda v, states: legal_places(seqil.Edits(v, 4), states),
    "legal_factors": lambda v, states: legal_factors(seqil.Edits(v, 4), states),
}


@pytest.mark.parametrize("name", OF_A_VOCABULARY)
@pytest.mark.parametrize(
    ("vocabulary", "states"),
    [(LARGER, STATES), (seqil.Vocabulary(3, 2), STATES), (LARGER, ENDED), (seqil.Vocabulary(5, 3), ENDED)],
)
def test_states_of_another_vocabulary_are_refused(name, vocabulary, states):
    told(partial(OF_A_VOCABULARY[name], vocabulary, states), "the states are not over Vocabulary")


@pytest.mark.parametrize("name", OF_A_VOCABULARY)
@pytest.mark.parametrize(
    ("vocabulary", "states", "said"),
    [
        (None, STATES, "vocabulary"),
        ("V", STATES, "vocabulary"),
        (V, None, "is not a seqil.Prefixes"),
        (V, [[0]], "is not a seqil.Prefixes"),
    ],
)
def test_what_is_no_vocabulary_or_no_states_is_named(name, vocabulary, states, said):
    told(partial(OF_A_VOCABULARY[name], vocabulary, states), said)


@pytest.mark.parametrize("name", OF_A_VOCABULARY)
def test_a_vocabulary_may_be_in_its_json_form(name):
    ours, theirs = (OF_A_VOCABULARY[name](v, STATES) for v in (V.to_json(), V))
    assert repr(ours) == repr(theirs)


ACTING = {
    "transition": lambda actions: seqil.transition(V, STATES, actions),
    "revise": lambda actions: seqil.revise(EDITS, STATES, actions),
    "are_legal": lambda actions: are_legal(EDITS, STATES, actions),
}


@pytest.mark.parametrize("name", ACTING)
@pytest.mark.parametrize(
    ("actions", "said"),
    [
        (TWO.to(torch.complex64), "must be integers, got torch.complex64"),
        (TWO * 1.0, "must be integers, got torch.float32"),
        (TWO > 0, "must be integers, got torch.bool"),
        (TWO[:1], "have shape"),
        ([1.5, 1.5], "must be integers"),
        (None, "actions=None are no ids"),
        ("01", "actions='01' are no ids"),
        ([1, None], "are no ids"),
    ],
)
def test_actions_that_are_none_are_named(name, actions, said):
    told(partial(ACTING[name], actions), said)


@pytest.mark.parametrize("call", [lambda: seqil.revise(None, STATES, TWO), lambda: seqil.legal_edits(V, STATES)])
def test_what_are_no_edits_is_named(call):
    told(call, "is not a seqil.Edits")


@pytest.mark.parametrize("prompts", [[[True]], torch.tensor([[0]], dtype=torch.complex64)])
def test_prompts_of_other_numbers_are_refused(prompts):
    told(lambda: seqil.start(V, prompts, 3), "prompts")
