"""Guess and check: the closed form against that of the theory, a simulation, and what records hold."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compounding_error.analysis import guesses
from seqil.errors import InvalidInputError
from seqil.theory.closed_forms import Guess


@given(st.integers(1, 12), st.floats(0, 1), st.sampled_from(("prefix", "tried")))
def test_with_equally_likely_tokens_it_is_the_closed_form(choices, detection, memory):
    expected = Guess(choices, detection).right(memory)
    assert guesses.right(1 / choices, detection, memory) == pytest.approx(expected, rel=1e-6)


@given(st.floats(0.01, 1), st.floats(0, 1))
def test_a_memory_never_does_harm_and_nothing_beats_the_detector(first, detection):
    blind, told = (guesses.right(first, detection, memory) for memory in ("prefix", "tried"))
    assert first - 1e-12 <= blind <= told + 1e-12
    assert told <= 1 + 1e-12


def test_it_is_what_a_simulation_of_the_forgetful_gives():
    g, first, detection = random.Random(0), 0.3, 0.8
    right = 0
    for _ in range(20_000):
        while not (found := g.random() < first) and g.random() < detection:
            pass
        right += found
    assert right / 20_000 == pytest.approx(guesses.right(first, detection, "prefix"), abs=0.011)


@pytest.mark.parametrize(("first", "detection"), [(0.0, 0.5), (1.5, 0.5), (0.5, -0.1), (float("nan"), 0.5)])
def test_what_is_no_chance_is_refused(first, detection):
    with pytest.raises(InvalidInputError, match="must lie in"):
        guesses.right(first, detection, "prefix")


def record(**changes):
    settings = {"task": "chain", "memory": "tried"} | changes.pop("settings", {})
    estimates = {"success": {"value": 0.8}, "backspace_recall": {"value": 0.9}}
    by_budget = {"budgets": [4, 6, 8], "right": [0, 50, 60], "n": 200}
    return {"arm": "BC", "settings": settings, "estimates": estimates, "by_budget": by_budget} | changes


def test_a_record_gives_the_share_of_its_first_drafts_and_of_its_deleted_errors():
    predicted, measured = guesses.predicted(record())
    assert predicted == pytest.approx(Guess(4, 0.9).right("tried"))
    assert measured == 0.8
    forgetful, _ = guesses.predicted(record(settings={"memory": "prefix"}))
    assert forgetful == pytest.approx(Guess(4, 0.9).right("prefix"))
    assert guesses.predicted(record(arm="BC, tabu", settings={"memory": "prefix"})) == (predicted, measured)


@pytest.mark.parametrize(
    "lacking",
    [
        {"settings": {"task": "chains"}},
        {"settings": {"backspace": False}},
        {"by_budget": None},
        {"by_budget": {"budgets": [4], "right": [0], "n": 200}},
        {"estimates": {"success": {"value": 0.8}}},
    ],
)
def test_a_record_without_what_it_takes_predicts_nothing(lacking):
    assert guesses.predicted(record(**lacking)) is None
