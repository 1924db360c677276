"""The command line, as a user types it."""

import json
import signal
import subprocess
import sys
import time

import pytest

import seqil.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.checkpoint import RunFolder
from seqil.cli import main

SMALL = ["--steps", "6", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "20"]
SMALL += ["--batch-size", "4", "--task-option", "horizon=8"]


def command(*arguments, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "seqil.cli", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = command("train", "--out", "run", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "forward positions per net token" in done.stdout
    return folder


def test_sample_and_evaluate(folder):
    shown = command("sample", "run", "-n", "2", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) == 3
    measured = command("evaluate", "run", "-n", "20", "--json", "out.json", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    rows = json.loads((folder / "out.json").read_text())
    assert {"hazard", "success", "nll_per_token", "actions_per_net_token", "on_policy_step_error"} <= set(rows)
    assert rows["hazard"]["low"] <= rows["hazard"]["value"] <= rows["hazard"]["high"]


def test_the_run_folder_tells_what_it_is(folder):
    run = RunFolder(folder / "run")
    assert run.settings["settings"]["task_options"] == {"horizon": 8}
    assert "torch" in run.settings["versions"]
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [6]


def newest(run):
    return max((p.parent.name for p in (run / "checkpoints").glob("0*/manifest.json")), default="")


def test_a_killed_run_resumes_to_the_same_bytes(folder):
    steps = ["--steps", "40", "--save-every", "3", *SMALL[2:], "--average", "0.9"]
    undisturbed = command("train", "--out", "whole", *steps, cwd=folder)
    assert undisturbed.returncode == 0, undisturbed.stderr
    line = [sys.executable, "-m", "seqil.cli", "train", "--out", "killed", *steps]
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = newest(folder / "killed")
        process = subprocess.Popen(line, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and newest(folder / "killed") == before:
            time.sleep(0.005)
        process.send_signal(number)
        process.wait(timeout=20)
        line = [sys.executable, "-m", "seqil.cli", "train", "--out", "killed", "--resume", "--save-every", "3"]
    resumed = command(*line[3:], cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    names = ("model.safetensors", "state.safetensors", "state.json")
    one, other = (RunFolder(folder / name).latest() for name in ("whole", "killed"))
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["train", "--task", "nope"], "unknown task 'nope'; known:"),
        (["train", "--agent", "nope"], "unknown agent 'nope'; known:"),
        (["train", "--task-option", "horizon"], "--task-option 'horizon' is not of the form KEY=VALUE"),
        (["train", "--task-option", "size=3"], "no option 'size'"),
        (["train", "--agent-option", "divergence=chi3"], "unknown divergence 'chi3'"),
        (["train", "--agent-option", "divergence=chi2", "--agent-option", "alpha=-1"], "alpha=-1.0 must be positive"),
        (["train", "--noise", "white"], "unknown noise 'white'"),
        (["train", "--model", "nowhere"], "'nowhere' is not a folder with a Hugging Face model"),
        (["train", "--task", "text", "--task-option", "path=nowhere.txt"], "nowhere.txt does not exist"),
        (["train", "--width", "10"], "width=10 is not a multiple of heads=4"),
        (["sample", "nowhere"], "nowhere is not the folder of a run"),
        (["train", "--resume", "--out", "nowhere"], "nowhere is not the folder of a run"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seqil", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr().err
    assert stopped.value.code == 2
    assert culprit in shown
    assert len(shown.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_split_is_refused(folder):
    done = command("sample", "run", "--split", "all", cwd=folder)
    assert done.returncode == 2
    assert "unknown split 'all'" in done.stderr


def test_help_loads_nothing_heavy():
    code = "import sys, seqil, seqil.cli; assert not {'torch', 'transformers', 'gymnasium', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
