"""The same items on every platform and in every version."""

import hashlib
import json

import pytest

from envs.tasks import (
    HMM,
    PCFG,
    AddInBase,
    Automaton,
    Chain,
    Chains,
    Countdown,
    Dyck,
    GraphWalk,
    LongAddition,
    Multiplication,
    NGram,
    PyDoc,
    PyDocKN,
    Scan,
    Star,
    Sudoku4,
    Text,
)

HASHES = {
    ("automaton", "train"): "ab1da0c85af296e7",
    ("automaton", "valid"): "bd7032f7523308dc",
    ("automaton", "test"): "e41c86ce1ccab30e",
    ("add_in_base", "train"): "0749d4216c3b1cda",
    ("add_in_base", "valid"): "389405d768a9354f",
    ("add_in_base", "test"): "6528a2a7df456d82",
    ("chain", "train"): "274aeeecca096c21",
    ("chain", "valid"): "aee133a508247ba6",
    ("chain", "test"): "f0ab28f42a547e13",
    ("chains", "train"): "699a3192c345de3c",
    ("chains", "valid"): "e420ce37e3d2aa9c",
    ("chains", "test"): "1f0a2417d1007c74",
    ("countdown", "train"): "e6e3f8fb4712bc84",
    ("countdown", "valid"): "ca74d94c6017c216",
    ("countdown", "test"): "6676f8003e65b645",
    ("multiplication", "train"): "ba707daed6ffdaa4",
    ("multiplication", "valid"): "61b8f6519e110206",
    ("multiplication", "test"): "3a36c82b183206a6",
    ("dyck", "train"): "6549b92a510b89e8",
    ("dyck", "valid"): "ce1c9027b519d735",
    ("dyck", "test"): "8526b3a4dcd5c85d",
    ("hmm", "train"): "6c837efb4a4af4ce",
    ("hmm", "valid"): "5ce580f81f7d6756",
    ("hmm", "test"): "95fc005c9815967e",
    ("ngram", "train"): "19a5d152903374d8",
    ("ngram", "valid"): "799d15ef160690e5",
    ("ngram", "test"): "62b5c8456c98d4be",
    ("pcfg", "train"): "8fa0f3a147a484e1",
    ("pcfg", "valid"): "ba703c1304b328e7",
    ("pcfg", "test"): "418f4a78fbec0c9d",
    ("graph_walk", "train"): "a26ca21403387a4d",
    ("graph_walk", "valid"): "56104b040d80e9e5",
    ("graph_walk", "test"): "c38d5719c0277e19",
    ("long_addition", "train"): "49b6b241578ca3e9",
    ("long_addition", "valid"): "a027b179d8863852",
    ("long_addition", "test"): "f3dae3f44c2f5987",
    ("pydoc", "train"): "6b950070da759438",
    ("pydoc", "valid"): "375f1d9e621dc073",
    ("pydoc", "test"): "819dc0ed325f2544",
    ("pydoc_kn", "train"): "43aa1bea54694a9f",
    ("pydoc_kn", "valid"): "d0e845e5d7c7fc8f",
    ("pydoc_kn", "test"): "d92e0cd511d32a47",
    ("scan", "train"): "e77965babde6b510",
    ("scan", "valid"): "0990e99aee27a165",
    ("scan", "test"): "d8dd81632715a9f5",
    ("star", "train"): "bc794be0838ab111",
    ("star", "valid"): "3321cd91b15e6cf4",
    ("star", "test"): "72eb92aa3403146e",
    ("sudoku4", "train"): "0ff4917274ddd20c",
    ("sudoku4", "valid"): "778ad73b7405e7f1",
    ("sudoku4", "test"): "020e36f62f760d09",
    ("text", "train"): "7b8df6c3b6963b7e",
    ("text", "valid"): "b5ef1834aa32c0cc",
    ("text", "test"): "ecb43d64df151642",
}


def digest(task, split):
    t = task.demonstrations(20, split, 0)
    rows = [[p, a] for p, a in zip(task.prompts(20, split, 0), t.actions.tolist(), strict=True)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {i} of a text, squared {i * i}\n" for i in range(20_000)))
    return Text(str(tmp_path))


@pytest.mark.parametrize(
    "make",
    [
        *(Automaton, AddInBase, Chain, Dyck, GraphWalk, HMM, LongAddition, NGram, PCFG),
        *(PyDoc, PyDocKN, Scan, Star, Sudoku4, Chains, Multiplication, Countdown),
    ],
)
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_first_items(make, split):
    task = make()
    assert digest(task, split) == HASHES[task.name, split]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_first_items_of_text(text, split):
    assert digest(text, split) == HASHES["text", split]
