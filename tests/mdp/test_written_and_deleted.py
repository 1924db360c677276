"""What was written and deleted, for readers: nothing is lost, and what stands is what the text says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqil import Vocabulary
from seqil.mdp.memory import PREFIX, Memory
from seqil.mdp.rendering import continuation, in_common, marked, runs, spans, struck, written

V = Vocabulary(4, 3)


def words(ids):
    return " ".join("abcd"[i] for i in ids)


@st.composite
def histories(draw):
    """Tokens and deletions of what stands."""
    actions, standing = [], 0
    for action in draw(st.lists(st.integers(0, 4), max_size=20)):
        if action < 4 or standing:
            actions.append(action)
            standing += 1 if action < 4 else -1
    return actions


@given(histories())
def test_every_token_is_there_once_and_those_that_stand_are_the_text(actions):
    tokens, text = written(V, actions), []
    for action in actions:
        if action == V.backspace:
            text.pop()
        else:
            text.append(action)
    assert [token for token, _ in tokens] == [a for a in actions if a != V.backspace]
    assert [token for token, deleted in tokens if not deleted] == text


@given(histories(), st.lists(st.integers(0, 3), max_size=3))
def test_kept_runs_join_to_what_is_decoded_and_deleted_ones_are_never_empty(actions, prompt):
    text = [token for token, deleted in written(V, actions) if not deleted]
    found = spans(V, actions, words, prompt)
    whole = words([*prompt, *text])
    assert whole.endswith("".join(piece for piece, deleted in found if not deleted))
    assert "".join(piece for piece, deleted in found if not deleted) == whole[len(words(prompt)) :]
    assert all(piece for piece, _ in found)


def test_what_deletes_half_a_character_shows_that_something_was_there():
    halves = {0: b"\xc3", 1: b"\xa4", 2: b"x"}

    def decode(ids):
        return b"".join(halves[i] for i in ids).decode(errors="replace")

    assert runs([(2, False), (0, True), (0, False), (1, False)], decode) == [
        ("x", False),
        ("\ufffd", True),
        ("ä", False),
    ]


@given(st.text(max_size=6), st.text(max_size=6))
def test_in_common_is_the_longest_beginning(one, other):
    n = in_common(one, other)
    assert one[:n] == other[:n]
    assert n == min(len(one), len(other)) or one[n] != other[n]


def test_a_continuation_is_what_is_added_or_the_text_by_itself():
    assert continuation(words, [0, 1], [2]) == " c"
    assert continuation(lambda ids: words(sorted(ids)), [1], [0]) == "a"
    assert continuation(words, [], []) == ""


def test_marks_and_strokes_tell_what_was_deleted():
    pieces = [("ab", False), ("cd", True)]
    assert marked(pieces) == "ab[-cd-]"
    assert struck(pieces) == "abc\u0336d\u0336"


@pytest.mark.parametrize("name", ["prefix", "tried", "history"])
def test_a_memory_is_called_what_it_is_named(name):
    assert str(Memory.of(name)) == name
    assert Memory.of(PREFIX) is PREFIX
