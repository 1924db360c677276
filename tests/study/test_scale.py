"""The study of scale: its places are what they are called, and its arms run."""

from dataclasses import replace

import pytest

from benchmarks.compounding_error.running import budgets
from benchmarks.compounding_error.running.cells import Cell, run
from benchmarks.compounding_error.studies import PRESETS

SCALE = PRESETS["scale"]
TINY = {"demonstrations": 32, "width": 16, "layers": 1, "heads": 2, "batch_size": 8, "sampling_rows": 8}


def smoke(arm, place):
    """Nothing is learned, everything is run."""
    settings = {**place.settings, **TINY}
    if place.settings["task"] == "automaton":
        settings["task_options"] = {"horizon": 8}
    small = replace(place, settings=settings, budget=600, samples=4, pilot=2, max_actions=24, budgets=(12, 24))
    return Cell(arm, small, 0)


def test_places_are_of_both_tasks_all_widths_and_both_amounts_of_data_at_the_cost_that_the_docstring_says():
    places = {place.name: place for place in SCALE.places}
    assert len(places) == 12
    wide, narrow = places["automaton-256-x8"], places["automaton-64-x1"]
    assert wide.budget == 8 * narrow.budget
    assert wide.settings["demonstrations"] == 8 * narrow.settings["demonstrations"]
    assert wide.settings["learning_rate"] == pytest.approx(narrow.settings["learning_rate"] / 4)
    assert wide.settings["width"] / wide.settings["heads"] == narrow.settings["width"] / narrow.settings["heads"]
    whole = [place.budget for place in SCALE.places for _ in SCALE.arms for _ in range(SCALE.seeds)]
    assert (len(whole), sum(whole)) == (144, pytest.approx(2.43e9))


def test_hypotheses_are_about_rows_of_the_study():
    for hypothesis in SCALE.questions.hypotheses:
        row, _, rest = hypothesis.statement.partition(" is better than ")
        assert {row, rest.rpartition(" (")[0]} <= set(SCALE.rows)


@pytest.mark.parametrize(
    ("task", "row"), [("chains", "BC, tried"), ("chains", "SequenceMatch (JS)"), ("automaton", "BC")]
)
def test_its_cells_run(task, row, monkeypatch):
    monkeypatch.setattr(budgets, "VALIDATION", 4)
    arm = next(arm for arm in SCALE.arms if arm.name == row)
    place = next(place for place in SCALE.places if place.name == f"{task}-64-x1")
    record = run(smoke(arm, place))
    assert [one["decoding"] for one in record["decoded"]] == [how.name for how in arm.decodings]
    assert record["by_budget"]["budgets"] == [12, 24]
    assert 0 <= record["estimates"]["success"]["value"] <= 1
