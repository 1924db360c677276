"""What the page of results counts in words or digits that no one record holds: counted again from the records."""

from functools import cache

import pytest

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.page.training_curve import curves
from benchmarks.compounding_error.running.records import read
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.verification import RESULTS
from seqil.statistics.ranks import spearman


@cache
def found(study, task):
    results = Results(PRESETS[study], read(RESULTS / study / "results.jsonl"))
    (place,) = (place for place in results.places if place.name == task)
    return {row: [r["estimates"]["success"]["value"] for r in runs] for row, runs in results.runs(place).items()}


@pytest.mark.parametrize(("task", "above"), [("chain", 3), ("automaton-600", 1)])
def test_draws_of_the_search_with_more_right_texts_than_their_control(task, above):
    """Of one draw the mistakes stand after the semicolon; cloning on them is named by these alone."""
    rows = {row: share for row, (share,) in found("search", task).items() if row.endswith(")")}
    matched = {row: share for row, share in rows.items() if row.startswith("SequenceMatch (")}
    assert len(matched) == 15
    controls = {row: rows[f"BC ({row.partition('; ')[2]}"] for row in matched}
    assert sum(share > controls[row] for row, share in matched.items()) == above


def test_settings_above_cloning_in_its_memory():
    rows = {row: share for row, (share,) in found("memory-search", "chain").items()}
    for memory in ("tried", "history"):
        matched = [share for row, share in rows.items() if row.startswith("Seq") and row.endswith(f"), {memory}")]
        assert len(matched) == 15
        assert sum(share > rows[f"BC, {memory}"] for share in matched) == 0


def test_density_and_right_texts_within_families_and_across_them():
    results = Results(PRESETS["density"], read(RESULTS / "density" / "results.jsonl"))
    (place,) = results.places
    points = {
        name: [(nats(run, "final_nll_per_token"), -nats(run, "success")) for runs in shares for run in runs]
        for name, shares in curves(results, place).items()
    }
    inside = {name: spearman(*zip(*runs, strict=True))[0] for name, runs in points.items()}
    assert f"{inside.pop('one shot, EM'):.2f}" == "-0.98"
    assert (f"{min(inside.values()):.2f}", f"{max(inside.values()):.2f}", len(inside)) == ("0.88", "0.97", 6)
    means = [tuple(sum(values) / 3 for values in zip(*runs[-3:], strict=True)) for runs in points.values()]
    across, _, _, p = spearman(*zip(*means, strict=True))
    assert (f"{across:.2f}", f"{p:.3f}") == ("0.86", "0.024")
    differences = [
        abs(nats(run, "final_nll_per_token") - nats(run, "nll_per_token"))
        for runs in results.runs(place).values()
        for run in runs
        if "nll_per_token" in run["estimates"]
    ]
    assert f"{max(differences):.3f}" == "0.002"


def nats(record, metric):
    return record["estimates"][metric]["value"]


def test_gail_is_above_its_warm_start_in_every_seed_and_its_own_study_trains_longer():
    rows = found("agents", "automaton")
    pairs = list(zip(rows["GAIL"], rows["GAIL, its warm start"], strict=True))
    assert len(pairs) == 3
    assert all(end > begin for end, begin in pairs)
    (short,) = (place.budget for place in PRESETS["agents"].places if place.name == "chain")
    assert PRESETS["gail"].places[0].budget == 3 * short
