"""Tasks of one's own with right answers, whose stream of items is none: named instead of waited for."""

import pytest

from envs.tasks.base.right_answer import Item, RightAnswerTask
from seqil import Vocabulary
from seqil.errors import InvalidInputError


class Echo(RightAnswerTask):
    """Say it again."""

    name = "echo"
    vocabulary = Vocabulary(size=5, eos=4)
    max_length = 2

    def __init__(self, items):
        self.items = items

    def answer(self, prompt):
        return [*prompt, 4]

    def chunk(self, seed, number):
        return self.items


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ([], r"echo: chunk\(0, 0\) is empty; the stream of items must not end"),
        (None, r"echo: chunk\(0, 0\) is empty"),
        ([Item([1], "dev")], "unknown split 'dev'; known: train, valid, test"),
        ([([1], "train")], r"echo: chunk\(0, 0\) holds \(\[1\], 'train'\), which is no Item"),
    ],
)
def test_a_stream_that_is_none_is_named(items, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Echo(items).prompts(1, "train", 0)


def test_a_stream_without_an_item_of_a_split_is_named():
    with pytest.raises(InvalidInputError, match="echo: none of the first 10000 items is of the test split"):
        Echo([Item([1], "train"), Item([2], "valid")]).prompts(1, "test", 0)


def test_an_answer_that_does_not_fit_is_named():
    with pytest.raises(InvalidInputError, match="echo: what answer or chunk gave is no item: row 0, step 2"):
        Echo([Item([1, 2, 3], "train")]).demonstrations(1, "train", 0)


def test_a_stream_gives_what_it_holds():
    assert Echo([Item([1], "train"), Item([2], "test")]).prompts(2, "test", 0) == [[2], [2]]
