"""What became of errors, on trajectories made by hand."""

import pytest

from seqil import Trajectories, Vocabulary
from seqil.metrics import backspaces, repetition_rate

V = Vocabulary(size=4, eos=3)
B = V.backspace


def of(*rows):
    return Trajectories.from_actions(V, [[0]] * len(rows), [list(row) for row in rows], max_length=6)


def judge(prompt, tokens):
    """Token 2 is an error."""
    return tokens.index(2) if 2 in tokens else None


@pytest.mark.parametrize(
    ("row", "repeated", "deletions"),
    [
        ((1, B, 1, 3), 1, 1),
        ((1, B, 2, 3), 0, 1),
        ((1, B, 2, B, 1, 3), 0, 2),  # the very next token counts, not a later one
        ((1, B, 1, B, 1, 3), 2, 2),
        ((1, 2, B, B, 1, 2, 3), 2, 2),  # each at its own prefix, after a way round
        ((1, 2, B, B, 0, 2, 3), 0, 2),  # another prefix: the 2 was deleted after 1
        ((1, 2, B, B, 0, B, 1, 2, 3), 1, 3),
        ((1, B), 0, 1),  # nothing is written there any more
    ],
)
def test_repetition_is_of_the_next_token_at_the_prefix(row, repeated, deletions):
    rate = repetition_rate(of(row))
    assert rate.n == deletions
    assert rate.value * deletions == pytest.approx(repeated)


def test_repetitions_of_rows_do_not_meet():
    assert repetition_rate(of((1, B, 3), (1, 3))).value == 0
    assert repetition_rate(of((1, 3))).n == 0


def test_mending_is_counted_by_text_and_by_event():
    found = backspaces(
        of(
            *((2, B, 2, B, 2, B, 2, 3), (2, B, 1, 3)),  # three of four events deleted, and wrong; one of one, and right
            *((1, 3), (2, 1, 3), (2, B, 1)),  # never erred; left; not finished
        ),
        judge,
    )
    assert (found.mended, found.erred) == (1, 4)
    assert (found.mended_texts.value, found.mended_texts.n) == (0.25, 4)
    assert (found.hits, found.errors) == (5, 7)
    assert found.recall.value == pytest.approx(5 / 7)
