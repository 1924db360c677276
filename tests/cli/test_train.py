"""`seqil train`: how far it is, more steps, settings from files, and what is best on held-out items."""

import json
import sys

import pytest
from command_line import SMALL, command, refused

from seqil.cli.options import main
from seqil.runs.checkpoint import RunFolder


def typed(monkeypatch, capsys, *arguments):
    """What a command prints."""
    monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert not stopped.value.code, shown.err
    return shown.out


def losses(run):
    return [(row["step"], row["loss"]) for row in map(json.loads, run.metrics.read_text().splitlines())]


def test_without_a_terminal_there_are_lines(tmp_path, monkeypatch, capsys):
    shown = typed(monkeypatch, capsys, "train", "--out", tmp_path / "run", *SMALL)
    lines = [line for line in shown.splitlines() if line.startswith("step ")]
    assert lines[0].startswith("step 1 of 6, loss ")
    assert lines[-1].startswith("step 6 of 6, loss ")
    assert all("steps/s, 0:00:" in line and line.endswith(" left") for line in lines)
    assert "\r" not in shown


def test_a_run_goes_on_to_more_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = [*SMALL]
    long[1] = "20"
    typed(monkeypatch, capsys, "train", "--out", "run", *long)
    shown = typed(monkeypatch, capsys, "train", "--out", "run", "--resume", "--steps", 30)
    assert "resumed at step 20 of 30" in shown
    run = RunFolder(tmp_path / "run")
    assert run.settings["settings"]["steps"] == 30
    assert [step for step, _ in losses(run)] == [10, 20, 30]
    assert run.latest().name == "000000030"
    typed(monkeypatch, capsys, "sample", "run", "-n", 1)
    refused(monkeypatch, capsys, ["train", "--out", "run", "--resume", "--steps", "25"], "run is a run of 30 steps")
    assert run.settings["settings"]["steps"] == 30


def test_a_log_file_grows_while_a_run_goes_on(tmp_path):
    done = command("train", "--out", "run", *SMALL, cwd=tmp_path)
    assert done.stdout.startswith("step 1 of 6, loss ")
