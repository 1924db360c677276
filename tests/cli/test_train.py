"""`seqil train`: how far it is, more steps, settings from files, and what is best on held-out items."""

import json
import os
import sys

import pytest
from command_line import SMALL, command, refused

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
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
    other = ["train", "--out", "run", "--resume", "--task", "pydoc", "--learning-rate", "1"]
    refused(monkeypatch, capsys, other, "leave out --task, --learning-rate")
    refused(monkeypatch, capsys, ["sample", "run", "--split", "tset"], "did you mean 'test'?")
    assert run.settings["settings"]["steps"] == 30


def test_a_log_file_grows_while_a_run_goes_on(tmp_path):
    done = command("train", "--out", "run", *SMALL, cwd=tmp_path)
    assert done.stdout.startswith("step 1 of 6, loss ")


def test_settings_come_from_a_file_and_the_command_line_comes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(
        'task = "automaton"\nagent = "bc"\nsteps = 4\nlayers = 1\nwidth = 16\nheads = 2\ndemonstrations = 20\n'
        "batch_size = 4\nsampling_every = 3\n[task_options]\nhorizon = 8\n"
    )
    typed(monkeypatch, capsys, "train", "--config", "run.toml", "--steps", 6, "--out", "one")
    first = RunFolder(tmp_path / "one").settings["settings"]
    assert (first["agent"], first["steps"], first["width"], first["sampling_every"]) == ("bc", 6, 16, 3)
    assert first["task_options"] == {"horizon": 8}
    typed(monkeypatch, capsys, "train", "--config", "one/settings.json", "--out", "two")
    assert RunFolder(tmp_path / "two").settings["settings"] == first
    weights = [(RunFolder(tmp_path / run).latest() / "model.safetensors").read_bytes() for run in ("one", "two")]
    assert weights[0] == weights[1]
    other = [
        "train",
        "--config",
        "run.toml",
        "--task-option",
        "horizon=6",
        "--agent",
        "sequence_match",
        "--out",
        "three",
    ]
    typed(monkeypatch, capsys, *other)
    third = RunFolder(tmp_path / "three").settings["settings"]
    assert (third["task_options"], third["agent"], third["steps"]) == ({"horizon": 6}, "sequence_match", 4)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.toml", "steps = ", "--config a.toml cannot be read"),
        ("a.toml", "stepz = 3", "--config a.toml: unknown setting 'stepz'"),
        ("a.toml", 'steps = "x"', "--config a.toml: setting steps='x' is not an int"),
        ("a.toml", "task_options = 3", "--config a.toml: setting task_options=3"),
        ("a.json", "[1]", "--config a.json holds no settings by name"),
        ("a.json", "{", "--config a.json cannot be read"),
        ("b.toml", None, "--config b.toml does not exist; name a file of settings"),
        ("c.txt", "steps 3", "give TOML, or JSON with the suffix .json"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path, monkeypatch, capsys, name, content, complaint):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content)
    refused(monkeypatch, capsys, ["train", "--config", name, "--out", "run"], complaint)
    assert not (tmp_path / "run").exists()


def test_the_best_checkpoint_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = [*SMALL, "--learning-rate", "0.05", "--demonstrations", "8"]
    long[1] = "60"
    shown = typed(
        monkeypatch, capsys, "train", "--agent", "bc", *long, "--evaluate-every", 4, "--patience", 2, "--out", "run"
    )
    run = RunFolder(tmp_path / "run")
    rows = [row for row in map(json.loads, run.metrics.read_text().splitlines()) if "valid_nll_per_token" in row]
    values = {row["step"]: row["valid_nll_per_token"] for row in rows}
    best = min(values, key=values.get)
    assert run.best() == {"step": best, "valid_nll_per_token": values[best]}
    assert f"best on held-out items: step {best}" in shown
    last = max(values)
    assert last == best + 8 < 60  # eight demonstrations are soon known by heart
    assert run.latest().name == f"{last:09d}"
    assert "stopped at" not in shown
    kept, newest = (p / "model.safetensors" for p in (tmp_path / "run" / "best", run.latest()))
    assert kept.read_bytes() != newest.read_bytes()
    assert not list((tmp_path / "run").glob(".be*"))
    found = [typed(monkeypatch, capsys, "sample", "run", "-n", 3, *more) for more in ([], ["--best"])]
    assert found[0] != found[1]
    refused(monkeypatch, capsys, ["train", "--patience", "3", "--out", "other"], "give --evaluate-every too")


def test_a_run_that_goes_on_unmeasured_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed(monkeypatch, capsys, "train", *SMALL, "--evaluate-every", 3, "--track", "csv", "--out", "run")
    shown = typed(monkeypatch, capsys, "train", "--out", "run", "--resume", "--steps", 9)
    blind = "held-out items are not measured without --evaluate-every; nothing is tracked without --track"
    assert f"resumed at step 6 of 9; {blind}\n" in shown
    assert "nats per token, of those measured" in shown
    shown = typed(
        monkeypatch, capsys, "train", "--out", "run", "--resume", "--steps", 12, "--evaluate-every", 3, "--track", "csv"
    )
    assert "resumed at step 9 of 12\n" in shown


def test_without_measurements_there_is_no_best(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    typed(monkeypatch, capsys, "train", *SMALL, "--out", "run")
    refused(monkeypatch, capsys, ["sample", "run", "--best"], "run holds no best checkpoint")


def test_a_run_needs_no_output(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["seqil", "train", "--out", str(tmp_path / "run"), *SMALL])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert RunFolder(tmp_path / "run").latest().name == "000000006"


def test_a_run_outlasts_the_reader_of_its_output(tmp_path, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        monkeypatch.setattr(sys, "argv", ["seqil", "train", "--out", str(tmp_path / "run"), *SMALL])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 0
    assert RunFolder(tmp_path / "run").latest().name == "000000006"
    assert capsys.readouterr().err == "seqil: warning: nobody reads what is printed any more; the run goes on\n"


def test_what_looks_at_training_is_told_where_none_is_left(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    typed(monkeypatch, capsys, "train", "--out", run, *SMALL)
    last = losses(RunFolder(run))[-1][0]
    shown = typed(monkeypatch, capsys, "train", "--out", run, "--resume")
    assert f"resumed at step {last} of {last}; nothing is left to train, give more --steps to go on" in shown
    looks = ["--evaluate-every", "2", "--patience", "1"]  # a job that is started again types the same
    shown = typed(monkeypatch, capsys, "train", "--out", run, "--resume", *looks)
    assert "nothing is left to train for --evaluate-every and --patience to look at, give more --steps" in shown
