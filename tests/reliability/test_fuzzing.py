"""Any bytes in place of a file are read or refused in one line; the corpus, and what random changes make of it."""

import random

import pytest
from harness.fuzzing import TARGETS, fuzz, mutated

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_read_or_refused(name, tmp_path):
    target = TARGETS[name]
    taken = [target.feed(seed, tmp_path) for seed in target.seeds]
    assert len(taken) >= 2
    assert name in ("manifest", "state") or any(taken)
    assert name == "records" or not all(taken)  # which names its faults and goes on


def test_changes_of_the_corpus_are_read_or_refused():
    found = [one for one in fuzz(TARGETS, 25) if one[0] != "fine"]
    assert not found, found[:3]


def test_changes_change():
    seeds, draw = TARGETS["text"].seeds, random.Random(0)
    assert len({mutated(draw, seeds) for _ in range(40)}) > 30
