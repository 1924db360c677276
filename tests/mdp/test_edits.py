"""Edits of lists are what `revise` does, and edits at the end are `transition` under other names."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqil
from seqil.errors import InvalidInputError
from seqil.mdp.edits import DELETE, INSERT, KINDS, STOP, SUBSTITUTE, legal_factors, legal_places
from seqil.testing import strategies

V = seqil.Vocabulary(size=4, eos=1)


@st.composite
def states(draw, positions=("any", "end")):
    """An alphabet, and states of it in the making."""
    vocabulary = draw(strategies.vocabularies(2, 4))
    max_length, min_length = draw(strategies.limits(4))
    kinds = tuple(draw(st.lists(st.sampled_from(KINDS), min_size=1, unique=True)))
    edits = seqil.Edits(vocabulary, max_length, kinds, draw(st.sampled_from(positions)))
    genuine = [token for token in range(vocabulary.size) if token != vocabulary.eos]
    texts = draw(st.lists(st.lists(st.sampled_from(genuine), max_size=max_length), min_size=1, max_size=4))
    prompts = draw(strategies.prompts(vocabulary, len(texts)))
    return edits, seqil.begin_with(vocabulary, prompts, texts, max_length, min_length)


def edited(edits, text, kind, place, token):
    """A list after an edit, or None where that is not legal; `text` has not ended."""
    end, n = edits.positions == "end", len(text)
    genuine = token != edits.vocabulary.eos
    if kind == INSERT and "insert" in edits.kinds and genuine and n < edits.max_length and place <= n:
        return [*text[:place], token, *text[place:]] if place == n or not end else None
    if place >= n or (end and place != n - 1):
        return None
    if kind == DELETE and "delete" in edits.kinds:
        return [*text[:place], *text[place + 1 :]]
    if kind == SUBSTITUTE and "substitute" in edits.kinds and genuine and token != text[place]:
        return [*text[:place], token, *text[place + 1 :]]
    return None


@given(states())
def test_every_edit_is_that_of_a_list(drawn):
    edits, prefixes = drawn
    v, texts = edits.vocabulary, prefixes.texts()
    legal = seqil.legal_edits(edits, prefixes)
    assert legal.shape == (len(prefixes), edits.num_actions)
    assert legal.any(1).all()
    for action in range(edits.num_actions):
        kind, place, token = (int(x) for x in edits.split(torch.tensor(action)))
        after = seqil.revise(edits, prefixes, torch.full((len(prefixes),), action))
        for row, text in enumerate(texts):
            if kind == STOP:
                others = legal[row, : edits.stop].any()
                assert legal[row, action] == (len(text) >= prefixes.min_length or not others)
                expected = [*text, v.eos] if legal[row, action] else None
            else:
                expected = edited(edits, text, kind, place, token)
                assert legal[row, action] == (expected is not None)
            assert after.texts()[row] == (text if expected is None else expected)
            assert after.ended[row] == (kind == STOP and expected is not None)
        assert torch.equal(after.tokens == v.size, torch.arange(after.tokens.shape[1]) >= after.length[:, None])
        prompts = [p[:n] for p, n in zip(prefixes.texts(prompt=True), prefixes.prompt_length.tolist(), strict=True)]
        assert [p[: len(q)] for p, q in zip(after.texts(prompt=True), prompts, strict=True)] == prompts


@given(states())
def test_after_the_end_one_can_only_stop(drawn):
    edits, prefixes = drawn
    ended = seqil.revise(edits, prefixes, torch.full((len(prefixes),), edits.stop))
    ended = ended.select(ended.ended)
    legal = seqil.legal_edits(edits, ended)
    assert torch.equal(legal, torch.nn.functional.one_hot(torch.full((len(ended),), edits.stop), edits.num_actions) > 0)
    for action in range(edits.num_actions):
        assert seqil.revise(edits, ended, torch.full((len(ended),), action)).texts() == ended.texts()


@given(st.data(), strategies.vocabularies(2, 4), strategies.limits(4))
def test_edits_at_the_end_are_transition(data, vocabulary, limits):
    v, edits = vocabulary, seqil.Edits(vocabulary, limits[0], ("insert", "delete"), "end")
    ours = theirs = seqil.start(v, data.draw(strategies.prompts(v, 2)), *limits)
    for action in data.draw(st.lists(st.lists(st.integers(0, v.size), min_size=2, max_size=2), max_size=12)):
        taken = torch.tensor(action)
        assert torch.equal(relabelled(edits, ours, seqil.legal_edits(edits, ours)), seqil.legal_actions(v, theirs))
        ours = seqil.revise(edits, ours, relabel(edits, ours, taken))
        theirs = seqil.transition(v, theirs, taken)
        assert torch.equal(ours.tokens, theirs.tokens)
        assert torch.equal(ours.length, theirs.length)
        assert torch.equal(ours.ended, theirs.ended)


def relabel(edits, prefixes, actions):
    """The edit at the end that each action of the token MDP is."""
    v, n = edits.vocabulary, prefixes.generated.clamp(max=edits.max_length)
    kinds = torch.where(actions == v.eos, STOP, torch.where(actions == v.backspace, DELETE, INSERT))
    at = torch.where(kinds == DELETE, (n - 1).clamp(min=0), n.clamp(max=edits.max_length - 1))
    return edits.join(kinds, at, torch.where(kinds == INSERT, actions, 0))


def relabelled(edits, prefixes, legal):
    """What is legal, by the actions of the token MDP."""
    every = torch.arange(edits.vocabulary.num_actions)[:, None].expand(-1, len(prefixes))
    return torch.stack([legal.gather(1, relabel(edits, prefixes, a)[:, None])[:, 0] for a in every], 1)


@given(states())
def test_factors_are_those_of_some_legal_edit(drawn):
    edits, prefixes = drawn
    kinds, places, tokens = legal_factors(edits, prefixes).split(list(edits.factors), 1)
    legal = seqil.legal_edits(edits, prefixes)
    parts = edits.split(torch.arange(edits.num_actions))
    for row in range(len(prefixes)):
        there = [x[legal[row]] for x in parts]
        assert kinds[row].nonzero()[:, 0].tolist() == there[0].unique().tolist()
        acting = there[1][there[0] != STOP].unique().tolist()
        assert places[row].nonzero()[:, 0].tolist() == (acting or [*range(edits.max_length)])
        assert tokens[row].sum() == edits.vocabulary.size - 1
        assert not tokens[row, edits.vocabulary.eos]


@given(st.integers(1, 5), st.integers(2, 5))
def test_an_action_and_its_parts_are_the_same(max_length, size):
    edits = seqil.Edits(seqil.Vocabulary(size, 0), max_length)
    actions = torch.arange(edits.num_actions)
    assert torch.equal(edits.join(*edits.split(actions)), actions)
    genuine = [(p, t) for p in range(max_length) for t in range(1, size)]
    named = [edits.insert(p, t) for p, t in genuine] + [edits.delete(p) for p in range(max_length)]
    named += [edits.substitute(p, t) for p, t in genuine]
    kinds, _, tokens = edits.split(actions)
    assert [*named, edits.stop] == actions[(tokens != 0) | (kinds == DELETE) | (kinds == STOP)].tolist()


def test_a_mask_of_more_edits_than_memory_holds_is_refused_with_its_size():
    """Single edits of as long a text are as good as others: they need no mask."""
    many = seqil.Edits(seqil.Vocabulary(10**6, 0), 10**6)
    state = seqil.begin_with(many.vocabulary, [[0]], [[1, 2]], 10**6)
    said = r"a mask of 2,000,001,000,001 edits for 1 text would take 3,725 GiB.*legal_factors"
    with pytest.raises(InvalidInputError, match=said):
        seqil.legal_edits(many, state)
    assert seqil.revise(many, state, torch.tensor([many.delete(0)])).texts() == [[2]]


def test_legal_places_name_what_stands():
    edits = seqil.Edits(V, 3)
    found = legal_places(edits, seqil.begin_with(V, [[0, 0], [3]], [[2, 3], []], 3))
    assert found.standing.tolist() == [[2, 3, 4], [4, 4, 4]]
    assert found.delete.tolist() == [[True, True, False], [False] * 3]
    assert found.insert.tolist() == [[True] * 3, [True, False, False]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: seqil.Edits(V, 0), "max_length=0"),
        (lambda: seqil.Edits(seqil.Vocabulary(2**40, 1), 2**24), "int64 cannot number so many edits; lower it"),
        (lambda: seqil.Edits(V, 3, ("swap",)), "unknown kind of edit 'swap'"),
        (lambda: seqil.Edits(V, 3, ()), "no kind of edit"),
        (
            lambda: seqil.Edits(V, 3, ("insert", "delete", "insert")),
            r"name 'insert' more than once; name each kind once",
        ),
        (lambda: seqil.Edits(V, 3, positions="front"), "positions 'front'"),
        (lambda: seqil.Edits(V, 3).insert(3, 0), "place 3"),
        (lambda: seqil.begin_with(V, [[0]], [[2, 1]], 3), "text 0 holds 1"),
        (lambda: seqil.begin_with(V, [[0]], [[2] * 4], 3), "text 0 has 4 tokens"),
        (lambda: seqil.begin_with(V, [[0]], [], 3), "0 texts for 1 prompt;"),
        (lambda: seqil.revise(seqil.Edits(V, 3), seqil.start(V, [[0]], 4), torch.tensor([0])), "max_length=4"),
        (lambda: seqil.revise(seqil.Edits(V, 3), seqil.start(V, [[0]], 3), torch.tensor([28])), "action 28"),
        (lambda: seqil.legal_edits(seqil.Edits(V, 3), seqil.start(V, [[0]], 3, 0, "tried")), "memory='prefix'"),
    ],
)
def test_what_is_no_edit_is_refused_in_one_line(make, said):
    with pytest.raises(InvalidInputError, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)
