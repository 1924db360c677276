"""Trackers are told what the run logs, and samples are shown while it goes on."""

import csv
import json
import random
import sqlite3
import sys

import pytest

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.cli.options import main
from seqil.errors import InvalidInputError, MissingExtraError
from seqil.integrations import trackers

TRAIN = ["train", "--task", "sudoku4", "--agent", "bc", "--width", "8", "--layers", "1", "--heads", "1"]
TRAIN += ["--demonstrations", "64", "--batch-size", "4"]


def typed(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["seqil", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def lines_of(file):
    with file.open() as opened:
        return {int(step): float(value) for step, value in csv.reader(opened)}


def test_a_run_is_tracked_and_shows_samples(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard")
    run = tmp_path / "run"
    tracked = ["--track", "csv", "--track", "tensorboard", "--evaluate-every", "4", "--max-actions", "20"]
    assert typed(monkeypatch, *TRAIN, "--steps", "10", *tracked, "--out", str(run)) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("samples at")] == [
        f"samples at step {step}:" for step in (4, 8, 10)
    ]
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (folder,) = (path.parent for path in (run / "tracked").rglob("scalars") if "000000000" in str(path))
    assert lines_of(folder / "scalars" / "loss.csv") == {line["step"]: line["loss"] for line in logged}
    held_out = lines_of(folder / "scalars" / "valid_nll_per_token.csv")
    assert held_out == {line["step"]: line["valid_nll_per_token"] for line in logged if "valid_nll_per_token" in line}
    assert sorted(held_out) == [4, 8, 10]
    (said,) = list((folder / "texts").glob("samples4*"))
    assert said.read_text().strip() in shown
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (run / "tracked").rglob("events.out.*")
    seen = EventAccumulator(str(events)).Reload()
    found = {event.step: event.value for event in seen.Scalars("loss")}
    assert found == pytest.approx({line["step"]: line["loss"] for line in logged}, rel=1e-6)
    assert typed(monkeypatch, "train", "--out", str(run), "--resume", "--steps", "12", "--track", "csv") == 0
    (again,) = (path for path in (run / "tracked").rglob("loss.csv") if "000000010" in str(path))
    assert sorted(lines_of(again)) == [12]


@pytest.mark.parametrize(
    ("kind", "error", "complaint"),
    [
        ("tensorbord", InvalidInputError, "unknown tracker 'tensorbord'; known: csv, .*; did you mean 'tensorboard'"),
        ("wandb", MissingExtraError, r"the tracker wandb needs its package; pip install -e '.\[wandb\]'"),
    ],
)
def test_a_tracker_that_is_not_to_be_had_is_named_before_anything_is_written(
    kind, error, complaint, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(error, match=complaint):
        trackers.check([kind])
    assert typed(monkeypatch, *TRAIN, "--steps", "1", "--track", kind, "--out", str(tmp_path / "run")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_fails_to_open_is_named(tmp_path, monkeypatch):
    def get_logger(*arguments, **options):
        raise RuntimeError("no network\nat all")

    monkeypatch.setattr("torchrl.record.loggers.utils.get_logger", get_logger)
    with pytest.raises(InvalidInputError, match=r"the tracker csv cannot be opened: no network$"):
        trackers.Trackers(tmp_path, ["csv"], 0)
    assert "torchrl" in sys.modules


@pytest.mark.filterwarnings("ignore")  # mlflow's own
def test_mlflow_is_given_a_data_base_in_the_run(tmp_path):
    pytest.importorskip("mlflow")
    before = random.getstate()  # from which it draws the name of a run
    told = trackers.Trackers(tmp_path / "run", ["mlflow"], 0)
    told.log({"step": 3, "loss": 2.5})
    told.close()
    with sqlite3.connect(tmp_path / "run/tracked/mlflow.db") as base:
        assert base.execute("select key, step, value from metrics").fetchall() == [("loss", 3, 2.5)]
    random.setstate(before)
