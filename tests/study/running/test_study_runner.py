"""The runner of the studies: what is run, what survives a crash, who may write."""

import json
import math
import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import forks
from small_studies import ARM, PLACE, STUDY, spelt, stored, synthetic

from benchmarks.compounding_error.__main__ import main
from benchmarks.compounding_error.running import progress
from benchmarks.compounding_error.running.cells import Cell, cells_of, data_of, run
from benchmarks.compounding_error.running.engines import attempt, local, on_ray, on_slurm
from benchmarks.compounding_error.running.records import appending, being_written, read
from benchmarks.compounding_error.running.runner import (
    duration,
    finished,
    missing,
    named_as_now,
    seconds_left,
    strangers,
)
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.base.parts import MLE
from benchmarks.compounding_error.study import Arm
from benchmarks.compounding_error.verification import RESULTS
from seqil.errors import InvalidInputError, MissingExtraError, SeqilError
from seqil.statistics import Estimate

PLAIN = replace(ARM, decodings=())
ROOT = Path(__file__).resolve().parents[3]


def here(cells, workers):
    """An engine without processes, which take seconds to start."""
    for cell in cells:
        yield cell, attempt(cell)


def cells(n, **place):
    return [Cell(PLAIN, replace(PLACE, **place), seed) for seed in range(n)]


# -- what is run


def test_records_bear_the_names_that_a_study_has_now(tmp_path):
    results = tmp_path / "results.jsonl"
    two = cells(2)
    made = list(missing(two, results, 1, here))
    renamed = [replace(cell, arm=replace(PLAIN, name="another name")) for cell in two]
    assert list(missing(renamed, results, 1, here)) == []
    assert {record["arm"] for record in named_as_now(renamed, read(results))} == {"another name"}
    assert {record["arm"] for record in finished(renamed, read(results)).values()} == {"another name"}
    assert [record["arm"] for record in named_as_now(cells(1, samples=7), made)] == [PLAIN.name] * 2


def test_a_study_goes_on_after_a_line_that_was_cut_short(tmp_path):
    results = tmp_path / "results.jsonl"
    two = cells(2)
    assert len(list(missing(two, results, 1, here))) == 2
    whole = results.read_text()
    results.write_text(whole[:-40])
    (again,) = missing(two, results, 1, here)
    assert {record["key"] for record in read(results)} == {cell.key for cell in two}
    lost = json.loads(whole.splitlines()[1])
    timed = {"seconds_training": 0, "seconds_evaluation": 0, "sha256": ""}
    assert spelt(again | timed) == lost | timed
    assert list(missing(two, results, 1, here)) == []


def test_a_run_that_fails_is_named_and_the_others_are_kept(tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    (sound,) = cells(1)
    broken = [Cell(Arm("broken", {"agent": "bc", "noise": "loud"}), PLACE, seed) for seed in range(3)]
    found = missing([*broken, sound], results, 1, local)
    next(found)
    assert "automaton, broken, seed 0 failed: unknown noise 'loud'" in capsys.readouterr().err  # before the end
    with pytest.raises(SeqilError, match=r"3 runs failed .automaton, broken, seed 0, and 2 more: unknown noise 'loud'"):
        list(found)
    assert [record["key"] for record in read(results)] == [sound.key]


def test_whatever_a_run_raises_is_named():
    (cell,) = cells(1)
    outcome = attempt(replace(cell, place=replace(PLACE, samples=-1, settings={**PLACE.settings, "model": "/nowhere"})))
    assert isinstance(outcome, SeqilError)
    assert "/nowhere" in str(outcome)


def test_a_record_of_other_versions_or_data_is_refused(tmp_path):
    (cell,) = cells(1)

    def elsewhere(cells, workers):
        for one in cells:
            yield one, {**run(one), "key": "of a node with another torch"}

    with pytest.raises(SeqilError, match="other versions or data"):
        list(missing([cell], tmp_path / "results.jsonl", 1, elsewhere))
    assert read(tmp_path / "results.jsonl") == []


def test_the_key_follows_the_bytes_of_the_data(monkeypatch):
    (cell,) = cells(1)
    assert len(data_of(cell.settings)) == 64
    before = cell.trained, cell.asked
    monkeypatch.setattr("benchmarks.compounding_error.running.cells.data_of", lambda settings: "other bytes")
    assert cell.trained != before[0]
    assert cell.asked == before[1]


# -- one writer

NAMED = stored(synthetic(STUDY)[0])


def test_a_second_writer_is_refused_at_once(tmp_path):
    results = tmp_path / "results.jsonl"
    assert not being_written(results)
    with appending(results) as append:
        append(NAMED)
        assert being_written(results)
        with pytest.raises(InvalidInputError, match="is being written by another process"):
            list(missing(cells(1), results, 1))
    assert not being_written(results)
    assert read(results) == [NAMED]


# -- what is not finite


def test_what_is_not_finite_survives_a_file(tmp_path):
    values = {"a": [float("inf"), {"b": float("-inf")}], "c": float("nan"), "d": 1.5, "e": None, "f": "x"}
    with appending(tmp_path / "results.jsonl") as append:
        append(NAMED | values)
        append(NAMED | {"estimate": Estimate(float("inf"), float("nan"), float("nan"), 3, "seeds").to_json()})
    first, second = read(tmp_path / "results.jsonl")
    assert math.isnan(first.pop("c"))
    assert first == NAMED | {"a": [float("inf"), {"b": float("-inf")}], "d": 1.5, "e": None, "f": "x"}
    assert "NaN" not in (tmp_path / "results.jsonl").read_text()
    assert Estimate.of(second["estimate"]).value == float("inf")


# -- what is left


def test_time_left_is_that_of_the_likest_finished_cells():
    other = [Cell(replace(PLAIN, name="other"), PLACE, 0), Cell(MLE, replace(PLACE, name="elsewhere", budget=1), 0)]
    known = cells(3)
    took = {"seconds_evaluation": 1.0, "task": "automaton", "arm": "MLE"}
    done = {known[0].key: {**took, "seconds_training": 9.0}, known[1].key: {**took, "seconds_training": 19.0}}
    assert seconds_left(known, done, 1) == 15
    assert seconds_left(known, done, 2) == 7.5
    assert seconds_left([*known, other[1]], done, 1) == 30
    assert seconds_left(known, {}, 1) is None
    assert seconds_left(known[:2], done, 1) == 0
    assert [duration(s) for s in (None, 20.4, 200, 3840)] == ["unknown", "20 s", "3 min", "1 h 04 min"]


def test_status_counts_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.compounding_error.running.cells._data", lambda *asked: repr(asked))  # not made
    main_status = ["status", "--task", "automaton", "--out", str(tmp_path), "--workers", "2"]
    with pytest.raises(SystemExit) as stopped:
        main(main_status)
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "automaton 0 0 8" in shown
    assert "0 of 8 runs, no process is writing, time left: unknown" in shown


def test_records_of_other_settings_are_named_and_give_way(tmp_path, capsys, monkeypatch):
    study = replace(STUDY, arms=(ARM,))
    monkeypatch.setitem(PRESETS, "small", study)
    other = replace(study, places=(replace(PLACE, budget=3e4),))
    now, before = synthetic(study), synthetic(other)
    assert strangers(cells_of(study), [*now, *before]) == before
    elsewhere = cells_of(study, "cuda")[0]
    trained = now[0] | {"key": elsewhere.key, "settings": elsewhere.settings.to_json()}
    assert strangers(cells_of(study), [trained]) == []
    before[0]["cost"] = before[1]["cost"] = 9e9
    now[0]["seconds_evaluation"] = 1.0
    lines = [json.dumps(record) + "\n" for record in (now[0], *before[:2])]
    (tmp_path / "results.jsonl").write_text("".join(lines))
    for command in ("table", "status"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--preset", "small", "--out", str(tmp_path)])
        printed = capsys.readouterr()
        if command == "table":
            assert "1 of 2 runs are of another budget, other settings or data" in printed.err
            assert "automaton, MLE, seed 1\n" in printed.err
            assert "4501.00" in printed.out  # of the first seed the present record counts, not the later one
        else:
            assert "automaton, MLE, seed 0; automaton, MLE, seed 1: of another budget" in " ".join(printed.out.split())


# -- other engines


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seqil\[ray\]'"):
        list(on_ray(cells(1), 1))


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_local_ray_cluster_gives_the_same_records(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    before = random.getstate()
    two = cells(2)
    broken = [Cell(Arm("broken", {"agent": "bc", "noise": "loud"}), PLACE, seed) for seed in range(3)]
    with pytest.raises(SeqilError, match="broken, seed 0: unknown noise"):
        list(missing([*two, broken], tmp_path / "ray.jsonl", 2, on_ray))
    random.setstate(before)  # Ray draws from it
    timed = {"seconds_training": 0, "seconds_evaluation": 0}
    theirs = {record["key"]: record | timed for record in read(tmp_path / "ray.jsonl")}
    assert theirs == {cell.key: stored(run(cell)) | timed for cell in two}


def test_without_submitit_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[slurm\]'"):
        list(on_slurm(cells(1), 1))


def test_where_there_is_no_slurm_it_is_said(monkeypatch, tmp_path):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SeqilError, match=r"--engine slurm: .*; start it where sbatch is"):
        list(on_slurm(cells(1), 1))


@pytest.mark.filterwarnings("ignore")  # submitit leaves the files of its log open
@pytest.mark.parametrize("cluster", ["debug", pytest.param("local", marks=pytest.mark.slow)])
def test_jobs_of_submitit_give_the_same_records(cluster, tmp_path, monkeypatch):
    """In this process, and in processes of this machine, as on the nodes of a cluster; a cell that fails is named."""
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQIL_SLURM", cluster)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))
    (cell,), before = cells(1), random.getstate()
    broken = Cell(Arm("broken", {"agent": "bc", "noise": "loud"}), PLACE, 0)
    found = {str(asked): outcome for asked, outcome in on_slurm([cell, broken], 2)}
    random.setstate(before)  # submitit draws from it
    assert "unknown noise 'loud'" in str(found[str(broken)])
    timed = {"seconds_training": 0, "seconds_evaluation": 0}
    assert spelt(found[str(cell)]) | timed == spelt(run(cell)) | timed


# -- the command line


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["run", "--preset", "huge"], "unknown preset 'huge'; known: quick; agents; gail; noise"),
        (["run", "--engine", "slum"], "unknown engine 'slum'; known: local, ray, slurm"),
        (["run", "--device", "foo"], "unknown device 'foo'; known: cpu, cuda"),
        (["status", "--device", "foo"], "unknown device 'foo'"),
        (["run", "--budget", "0"], "--budget 0 must be positive and at most 1000"),
        (["run", "--out", __file__], "is a file; name a folder"),
        (["verify", "--readme", "nowhere.md"], "--readme nowhere.md cannot be read (No such file or directory)"),
        (["table", "--arm", "Oracle"], "unknown arm 'Oracle'"),
        (["table", "--out", "nowhere"], "holds nothing of what was asked for (study quick)"),
        (["report", "--out", "nowhere"], "holds nothing of what was asked for (study quick)"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, culprit, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    complained = capsys.readouterr().err
    assert culprit in complained
    assert len(complained.strip().splitlines()) == 1


def test_a_pipe_shows_what_the_page_of_results_shows():
    shown = forks().study(["table", "--out", RESULTS / "quick"], cwd=ROOT).out
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- study:quick -->\n```\n(.*?)\n```", page, re.DOTALL)
    assert block in "\n".join(line.rstrip() for line in shown.splitlines())


def test_progress_prints_a_line_per_run(tmp_path, capsys):
    from rich.console import Console

    progress.run(cells(2), tmp_path / "results.jsonl", 1, here, Console(width=120))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("automaton, MLE, seed")]
    assert len(lines) == 2
    assert lines[-1].endswith("time left: 0 s")
