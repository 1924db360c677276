"""What readers see of texts that were written, deleted and edited."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from seqil import Vocabulary
from seqil.mdp.edits import DELETE, INSERT, STOP, SUBSTITUTE
from seqil.mdp.rendering import continuation, in_common, marked, revised, runs, spans, struck, written

V = Vocabulary(size=5, eos=4)


def letters(ids):
    return "".join("abcde"[token] for token in ids)


@st.composite
def edits(draw):
    """Edits in turn, each of what stands by then, and the text that a list has after them."""
    text, made = [], []
    for _ in range(draw(st.integers(0, 12))):
        kinds = [INSERT, STOP] + [DELETE, SUBSTITUTE] * bool(text)
        kind, token = draw(st.sampled_from(kinds)), draw(st.integers(0, 3))
        place = draw(st.integers(0, len(text) - (kind in (DELETE, SUBSTITUTE))))
        made.append((kind, place, token))
        if kind == INSERT:
            text.insert(place, token)
        elif kind == SUBSTITUTE:
            text[place] = token
        elif kind == DELETE:
            del text[place]
    return made, text


@given(edits())
def test_what_stands_after_edits_is_what_a_list_holds(case):
    made, text = case
    tokens = []
    for kind, place, token in made:
        before, tokens = tokens, revised(tokens, kind, place, token)
        gone = [token for token, deleted in before if deleted]
        assert sum(deleted for _, deleted in tokens) == len(gone) + (kind in (DELETE, SUBSTITUTE))
    assert [token for token, deleted in tokens if not deleted] == text
    assert len(tokens) == sum(kind in (INSERT, SUBSTITUTE) for kind, *_ in made)
    assert "".join(piece for piece, deleted in runs(tokens, letters) if not deleted) == letters(text)


def test_a_substituted_token_stays_before_what_stands_for_it():
    tokens = [(0, False), (1, False)]
    assert revised(tokens, SUBSTITUTE, 0, 3) == [(0, True), (3, False), (1, False)]
    assert revised(revised(tokens, DELETE, 0, 0), INSERT, 0, 2) == [(0, True), (2, False), (1, False)]
    assert revised(tokens, STOP, 0, 0) == tokens


@given(st.lists(st.integers(0, 5), max_size=20))
def test_every_token_that_was_written_is_shown_once(actions):
    standing, legal = 0, []
    for action in actions:
        if action < 4 or (action == V.backspace and standing):
            legal.append(action)
            standing += 1 if action < 4 else -1
    tokens = written(V, legal)
    assert [token for token, _ in tokens] == [action for action in legal if action != V.backspace]
    assert sum(deleted for _, deleted in tokens) == legal.count(V.backspace)
    shown = spans(V, legal, letters)
    assert "".join(piece for piece, _ in shown) == letters(token for token, _ in tokens)
    assert all(one[1] != other[1] for one, other in pairwise(shown))


def test_deleted_text_is_struck_out_or_between_marks():
    shown = spans(V, [0, 1, V.backspace, 2], letters)
    assert shown == [("a", False), ("b", True), ("c", False)]
    assert marked(shown) == "a[-b-]c"
    assert struck(shown) == "ab\u0336c"


def test_what_a_text_adds_to_its_prompt():
    assert continuation(letters, [0], [1, 2]) == "bc"
    assert continuation(lambda ids: letters(ids)[::-1], [0], [1, 2]) == "cb"  # it changes what stood before
    assert continuation(letters, [], [3]) == "d"


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_two_texts_have_their_beginning_in_common(one, other):
    n = in_common(one, other)
    assert one[:n] == other[:n]
    assert n == min(len(one), len(other)) or one[n] != other[n]
