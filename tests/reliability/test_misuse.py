"""Odd calls of what is public: each is refused in one line that names the argument."""

import re

import pytest
import torch
from harness import odd_arguments
from harness.misuse import CALLS, HEAD

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.errors import SeqilError


def test_no_odd_argument_ends_in_an_inner_error(tmp_path):
    found = list(odd_arguments.findings(tmp_path / "place", stride=41, offset=7))
    assert not [one for one in found if one[0] != "fine"]
    assert len(found) > 300


@pytest.fixture(scope="module")
def at_hand():
    found = {}
    exec(HEAD, found)
    return found


@pytest.mark.parametrize("culprit", sorted({culprit for _, culprit in CALLS}))
def test_an_odd_call_is_refused_in_one_line(culprit, at_hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (call for call, its_culprit in CALLS if its_culprit == culprit):
        with pytest.raises(SeqilError) as refused, torch.random.fork_rng([]):  # dropout draws, and so does `generate`
            eval(call, at_hand)
        assert len(str(refused.value).splitlines()) == 1, call
        assert re.search(culprit, str(refused.value)), (call, str(refused.value))
    assert not list(tmp_path.iterdir())
