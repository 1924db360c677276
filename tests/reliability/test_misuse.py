"""Odd calls of what is public: each is refused in one line that names the argument."""

import re

import pytest
from harness.misuse import CALLS, HEAD

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.errors import SeqilError


@pytest.fixture(scope="module")
def at_hand():
    found = {}
    exec(HEAD, found)
    return found


@pytest.mark.parametrize("culprit", sorted({culprit for _, culprit in CALLS}))
def test_an_odd_call_is_refused_in_one_line(culprit, at_hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (call for call, its_culprit in CALLS if its_culprit == culprit):
        with pytest.raises(SeqilError) as refused:
            eval(call, at_hand)
        assert len(str(refused.value).splitlines()) == 1, call
        assert re.search(culprit, str(refused.value)), (call, str(refused.value))
    assert not list(tmp_path.iterdir())
