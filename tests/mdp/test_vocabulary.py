import json

import numpy as np
import pytest

from seqil import Vocabulary
from seqil.errors import InvalidInputError


class Tokenizer:
    """What `from_tokenizer` reads of a Hugging Face tokenizer."""

    eos_token_id: int | None = 5
    name_or_path = "mine"

    def get_vocab(self):
        return {"a": 0, "b": 8}


def test_the_backspace_is_the_action_after_the_tokens():
    v = Vocabulary(size=16, eos=15)
    assert (v.backspace, v.num_actions) == (16, 17)


@pytest.mark.parametrize(
    ("size", "eos", "says"),
    [
        (1, 0, "size=1 is too small"),
        (4, 4, "eos=4 is not a token"),
        (4, -1, "eos=-1 is not a token"),
        (4.0, 1, "size=4.0 is not an int"),
        ("4", 1, "size='4' is not an int"),
        (4, None, "eos=None is not an int"),
    ],
)
def test_impossible_vocabularies_are_refused(size, eos, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        Vocabulary(size=size, eos=eos)
    assert "\n" not in str(caught.value)


def test_it_survives_json_and_takes_any_integer_type():
    v = Vocabulary(np.int64(4), np.int32(3))
    assert type(v.size) is type(v.eos) is int
    assert Vocabulary.of(json.loads(json.dumps(v.to_json()))) == v
    assert Vocabulary.of(v) is v
    assert hash(Vocabulary(4, 3)) == hash(v)


@pytest.mark.parametrize("value", [{"size": 4}, {"size": 4, "eos": 1, "bos": 0}, (4, 1), None])
def test_anything_else_is_no_vocabulary(value):
    with pytest.raises(InvalidInputError, match="neither a Vocabulary nor"):
        Vocabulary.of(value)


def test_from_a_tokenizer():
    assert Vocabulary.from_tokenizer(Tokenizer()) == Vocabulary(9, 5)
    without = Tokenizer()
    without.eos_token_id = None
    with pytest.raises(InvalidInputError, match=r"'mine' has no eos token; set tokenizer\.eos_token"):
        Vocabulary.from_tokenizer(without)
    with pytest.raises(InvalidInputError, match=r"is no tokenizer: it has no get_vocab\(\)"):
        Vocabulary.from_tokenizer(type("Other", (), {"eos_token_id": 5})())


@pytest.mark.parametrize("given", [(True, 0), (3, False), ("3", 2), (3.5, 2), (None, 2)])
def test_sizes_and_ids_are_integers(given):
    with pytest.raises(InvalidInputError, match="Vocabulary"):
        Vocabulary(*given)
