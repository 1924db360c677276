"""The studies: what decides a cell, what survives a crash, and tables that are made of records alone."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from small_studies import ARM, PLACE, SMALL, STUDY, synthetic

from benchmarks.compounding_error.__main__ import main
from benchmarks.compounding_error.analysis import tables
from benchmarks.compounding_error.analysis.contrasts import BETTER, WORSE, marks, with_the_first
from benchmarks.compounding_error.analysis.results import Results, estimate
from benchmarks.compounding_error.running import cells as cells_module
from benchmarks.compounding_error.running.cells import Cell, cells_of, rows_of, run, steps_within
from benchmarks.compounding_error.running.records import read
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.agents import AGENTS
from benchmarks.compounding_error.studies.base.parts import MLE, SEQUENCE_MATCH
from benchmarks.compounding_error.studies.base.possible import refuse_twins
from benchmarks.compounding_error.study import Arm, Decoding
from benchmarks.compounding_error.verification import RESULTS
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.runs.experiment import make_task, make_training
from seqil.runs.settings import Settings
from seqil.statistics import Estimate

COMMITTED = sorted(RESULTS.glob("*/results.jsonl"))


@pytest.fixture(scope="module")
def record():
    return run(Cell(ARM, PLACE, 0))


# -- cells


def test_a_key_is_of_everything_that_decides_the_result_and_of_nothing_else():
    cell = Cell(ARM, PLACE, 0)
    others = [
        Cell(ARM, PLACE, 1),
        Cell(ARM, replace(PLACE, budget=3e4), 0),
        Cell(ARM, replace(PLACE, samples=30), 0),
        Cell(Arm("MLE", {**MLE.settings, "average": 0.9}), PLACE, 0),
        Cell(replace(ARM, decodings=()), PLACE, 0),
        Cell(replace(ARM, decodings=ARM.decodings[:1]), PLACE, 0),
        Cell(replace(ARM, stages=2), PLACE, 0),
    ]
    assert len({cell.key, *(other.key for other in others)}) == 8
    assert Cell(replace(ARM, name="other"), replace(PLACE, error="other"), 0).key == cell.key


def test_a_key_says_what_was_trained_what_was_asked_of_it_and_how_it_was_measured(monkeypatch):
    cell = Cell(ARM, PLACE, 0)
    trained, asked, measured = cell.key.split("-")
    assert (trained, asked) == (cell.trained, cell.asked)
    other = Cell(replace(ARM, decodings=()), replace(PLACE, samples=30), 0)
    assert (other.trained, other.asked == asked) == (trained, False)
    assert len({c.trained for c in (cell, replace(cell, seed=1), replace(cell, arm=replace(ARM, stages=2)))}) == 3
    where = "benchmarks.compounding_error.running.cells"
    monkeypatch.setattr(f"{where}.versions", lambda: {"torch": "9"})
    assert cell.key == f"{trained}-{asked}-{measured}"
    monkeypatch.setattr(f"{where}.MEASURING", -1)
    assert cell.key.rpartition("-")[0] == f"{trained}-{asked}"
    assert cell.key != f"{trained}-{asked}-{measured}"
    monkeypatch.setattr(f"{where}.TRAINING", -1)
    assert cell.trained != trained


@pytest.mark.parametrize("study", PRESETS.values(), ids=PRESETS)
def test_arms_have_settings_that_exist_and_names_and_keys_of_their_own(study, monkeypatch):
    monkeypatch.setattr(cells_module, "_data", lambda *asked: repr(asked))  # which data it is, without making them
    assert len(set(study.rows)) == len(study.rows)
    made = [place for place in study.places if not place.needs]
    installed = tuple(place for place in made if place.settings["task"] in plugins.names("tasks"))
    cells = cells_of(replace(study, seeds=1, places=installed))
    assert len({cell.key for cell in cells}) == len(cells)
    for cell in cells:
        known = plugins.parameters(plugins.load("agents", cell.settings.agent.name))
        assert set(cell.settings.agent.options) - {"alpha"} <= set(known)


def test_an_arm_without_its_agent_is_named():
    study = replace(AGENTS, arms=(MLE, Arm("Oracle", {"agent": "oracle"})))
    with pytest.raises(InvalidInputError, match=r"Oracle \('oracle'\)"):
        cells_of(study)


def test_one_model_is_sampled_in_every_way(record):
    plain, greedy, best = rows_of(record, ARM)
    assert [plain["arm"], greedy["arm"], best["arm"]] == list(ARM.rows)
    assert plain["cost"] == greedy["cost"] == best["cost"] == record["cost"]
    nll = {r["estimates"]["nll_per_token"]["value"] for r in (plain, greedy, best)}
    assert len(nll) == 1
    actions = [r["estimates"]["actions_per_net_token"]["value"] for r in (plain, greedy, best)]
    assert actions == [1, 1, 2]  # every sample that best-of-k drew is paid for
    texts = [[spans for _, spans in r["samples"]] for r in (plain, greedy, best)]
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("settings", "share"),
    [(MLE.settings, 1), (SEQUENCE_MATCH.settings, 1), (MLE.settings, 0.5)],
    ids=["mle", "sequence_match", "stopped early"],
)
def test_a_run_costs_what_it_may(settings, share):
    place, arm = replace(PLACE, budget=1.2e5), Arm("arm", settings, share=share)
    record = run(Cell(arm, place, 0))
    assert record["cost"] == pytest.approx(share * place.budget, rel=0.03)
    assert (record["key"] == Cell(replace(arm, share=1), place, 0).key) == (share == 1)
    assert record["steps"] == steps_within(Cell(replace(arm, name="other"), place, 0))


def test_a_model_is_measured_while_it_learns(monkeypatch):
    monkeypatch.setattr("benchmarks.compounding_error.running.cells.steps_within", lambda cell: 12)
    settings = {"agent": "sequence_match", "agent_options": {"warm_up": 0.5}}
    record = run(Cell(Arm("arm", settings, (Decoding("greedy", ("top_k=1",)),), stages=3), PLACE, 0))
    assert [stage["steps"] for stage in record["course"]] == [6, 8, 10]
    short = run(Cell(Arm("arm", {"agent": "bc"}), replace(PLACE, budget=1), 0))
    assert short["steps"] < 12
    plain, _, start = rows_of(record, Arm("arm", settings, (Decoding("greedy", ("top_k=1",)),), stages=3))
    assert (start["arm"], start["steps"], plain["steps"]) == ("arm, its warm start", 6, 12)
    assert 0 < start["cost"] < plain["cost"]
    assert start["estimates"] == record["course"][0]["estimates"] != plain["estimates"]


def test_a_run_that_grows_dearer_than_its_pilot_ends_at_the_budget(monkeypatch):
    monkeypatch.setattr("benchmarks.compounding_error.running.cells.steps_within", lambda cell: 400)
    record = run(Cell(Arm("MLE", MLE.settings), PLACE, 0))
    assert record["settings"]["steps"] == 400 > record["steps"]
    assert 1.03 <= record["cost"] / PLACE.budget <= 1.2  # one step more than was needed


def test_noise_of_the_model_is_paid_for(monkeypatch):
    settings = Settings.of({**SMALL, "agent": "bc", "noise": "model", "noise_rate": 0.3, "steps": 3})
    training = make_training(settings, make_task(settings))
    fed, log_probs = [], training.policy.log_probs

    def spy(prefixes):
        room = prefixes.generated < prefixes.max_length
        fed.append(int(prefixes.length[room].sum()))
        return log_probs(prefixes)

    monkeypatch.setattr(training.policy, "log_probs", spy)
    for _ in training.run():
        pass
    assert training.costs()["rollout_positions"] == sum(fed) > 100


# -- tables and figures


def test_a_row_per_arm_and_decoding_with_marks_where_pairs_differ():
    head, *rows = tables.table(Results(STUDY, synthetic(STUDY)), PLACE)
    assert [row[0] for row in rows] == list(STUDY.rows)
    success = dict(zip(STUDY.rows, (row[head.index("↑ success")] for row in rows), strict=True))
    assert success["MLE"] == "0.200±0.025"  # 4.303 * .01 / sqrt(3), Student's t over three seeds
    assert success["MLE, greedy"] == "0.300±0.025 ✓"
    assert [row[head.index("↓ hazard")][-1] for row in rows[:2]] == ["5", "✓"]
    assert [row[head.index("training (s)")] for row in rows] == ["1"] * 5


def marked(records, study=STUDY):
    return set(marks(Results(study, records), PLACE).values())


def test_what_seeds_share_does_not_hide_a_difference_and_what_they_do_not_share_does():
    shared = Results(STUDY, synthetic(STUDY, spread=0.1))
    (first, *_, last) = (estimate(runs, "success") for runs in shared.runs(PLACE).values())
    assert first.high > last.low
    assert marks(shared, PLACE)["C", "success"] == BETTER
    assert marked(synthetic(STUDY, spread=0.1, own=0.4)) == {""}


def test_fewer_than_three_seeds_have_no_marks():
    records = synthetic(STUDY)
    few = [r for r in records if (r["arm"], r["seed"]) != ("MLE", 2)]
    assert marked(few) == set()
    lacking = [r for r in records if (r["arm"], r["seed"]) != ("B", 0)]
    assert {row for row, _ in marks(Results(STUDY, lacking), PLACE)} == {"MLE, greedy", "MLE, best of 2", "C"}


def test_worse_is_marked_too_and_p_values_are_holms():
    records = synthetic(STUDY, own=0.06)
    found = with_the_first(Results(replace(STUDY, arms=STUDY.arms[::-1]), records), PLACE)
    assert {c.mark for c in found if c.metric.name == "success"} == {WORSE, ""}
    by_hand = sorted(stats.ttest_rel(*(values(records, row) for row in (c.row, "C"))).pvalue for c in found[:4])
    assert min(c.p for c in found if c.metric.name == "success") == pytest.approx(4 * by_hand[0])
    assert all(c.improvement == 0 for c in found if c.metric.name == "success" and c.mark)
    assert found[0].theirs == pytest.approx(np.mean(values(records, "C")))
    assert all(c.comparison.neutral == (c.metric.name != "success") for c in found)


def values(records, row):
    arms = {arm.name: arm for arm in STUDY.arms}
    rows = [row for record in records for row in rows_of(record, arms[record["arm"]])]
    return [float(r["estimates"]["success"]["value"]) for r in rows if r["arm"] == row]


def test_what_is_not_finite_has_a_sign_in_tables():
    infinite, none = (Estimate(x, float("nan"), float("nan"), 3, "seeds") for x in (float("inf"), float("nan")))
    assert [tables.plus_minus(e) for e in (infinite, none)] == ["∞", "–"]
    assert [tables.interval(e) for e in (infinite, none)] == ["∞", "–"]
    assert tables.interval(Estimate(1, 0.5, float("inf"), 3, "seeds")) == "1.000 [0.500, ∞]"
    records = synthetic(STUDY)
    records[0]["estimates"]["hazard"]["value"] = "inf"
    assert "| MLE | 0.200±0.025 | ∞ |" in tables.markdown(Results(STUDY, records))


def test_of_two_records_of_a_run_the_later_one_counts():
    records = synthetic(STUDY)
    stale = json.loads(json.dumps(records).replace('"cost": 2000000.0', '"cost": 7000000.0'))
    assert tables.markdown(Results(STUDY, stale + records)) == tables.markdown(Results(STUDY, records))


def test_reports_are_made_again_from_records_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(PRESETS, "small", STUDY)
    with (tmp_path / "results.jsonl").open("w") as file:
        file.writelines(json.dumps(record) + "\n" for record in synthetic(STUDY))
    with pytest.raises(SystemExit, match="0"):
        main(["report", "--preset", "small", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="0"):
        main(["table", "--preset", "small", "--out", str(tmp_path)])
    table = (tmp_path / "table.md").read_text()
    assert table == tables.markdown(Results(STUDY, read(tmp_path / "results.jsonl")))
    assert "| MLE, best of 2 |" in table
    assert "0.300±0.025 ✓" in capsys.readouterr().out


@pytest.mark.parametrize("results", COMMITTED, ids=lambda path: path.parent.name)
def test_committed_tables_are_what_the_records_say(results):
    study = PRESETS[results.parent.name]
    assert tables.markdown(Results(study, read(results))) == results.with_name("table.md").read_text()


def test_records_of_other_tasks_and_lines_that_are_no_record_are_left_out(tmp_path, capsys, monkeypatch):
    other = replace(PLACE, name="chain", settings={**SMALL, "task": "chain", "task_options": {}})
    monkeypatch.setitem(PRESETS, "small", replace(STUDY, places=(PLACE, other)))
    lines = ["garbage", '{"a": 1}', *map(json.dumps, synthetic(STUDY))]
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    assert len(read(tmp_path / "results.jsonl")) == len(lines) - 2
    assert not Results(replace(STUDY, places=(other,)), read(tmp_path / "results.jsonl")).records
    for name in ("table", "report"):
        with pytest.raises(SystemExit, match="2"):
            main([name, "--preset", "small", "--task", "chain", "--out", str(tmp_path)])
        assert "holds nothing of what was asked for" in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["0", "nan", "inf", "1e308"])
def test_a_budget_is_positive_and_not_too_large(budget, capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        main(["status", "--budget", budget, "--out", str(tmp_path)])
    assert "must be positive and at most 1000" in capsys.readouterr().err


def test_no_error_is_promised_where_none_is_defined():
    for study in PRESETS.values():
        for place in study.places:
            if place.settings["task"] == "ngram":
                assert "not defined" in place.error


@pytest.mark.parametrize("name", ["memory", "agents", "quick"])
def test_no_number_of_a_table_is_cut(name):
    results = Results(PRESETS[name], read(RESULTS / name / "results.jsonl"))
    out = io.StringIO()
    tables.show(results, Console(file=out, width=60 if name != "quick" else 100))
    shown = out.getvalue()
    assert "…" not in shown
    for place in results.places:
        for row in tables.table(results, place, tables.plus_minus)[1:]:
            assert [cell for cell in row[1:] if cell not in shown] == []


@pytest.mark.parametrize("name", ["a/b", "../x", "a\nb", " ", ".hidden", "a\\b"])
def test_a_place_is_called_as_a_picture_may_be(name):
    with pytest.raises(InvalidInputError, match="pictures are called so"):
        replace(PLACE, name=name)


def test_two_arms_that_are_one_run_are_refused():
    one = Arm("A", {"agent": "bc"})
    refuse_twins(cells_of(replace(STUDY, arms=(one, Arm("B", {"agent": "bc", "width": 24})))))
    with pytest.raises(InvalidInputError, match="'A' on automaton and 'B' on automaton are one run"):
        refuse_twins(cells_of(replace(STUDY, arms=(one, replace(one, name="B")))))
