"""Runs that are killed, altered or damaged between two commands."""

import hashlib
import json
import shutil
import signal
import subprocess
import time

import pytest
from command_line import SMALL, command, refused, started

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.cli import commands
from seqil.runs.checkpoint import RunFolder

NEWEST = "checkpoints/000000006"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    (folder / "text.txt").write_text("a text of some length, which is cut into windows. " * 40)
    text = ["--task", "text", "--task-option", "path=text.txt", "--task-option", "prompt_length=4"]
    done = command("train", *SMALL[:-2], *text, "--task-option", "max_length=8", "--save-every", "3", "--out", "run",
                   cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(sound, tmp_path, monkeypatch):
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder):
    """When each file was written; the lock is only touched."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.name != ".lock"}


def setting(**values):
    def change(run):
        found = json.loads((run / "settings.json").read_text())
        found["settings"].update(values)
        (run / "settings.json").write_text(json.dumps(found))

    return change


def content(name, text):
    return lambda run: (run / name).write_bytes(text.encode())


def resealed(name, text):
    def change(run):
        (run / NEWEST / name).write_bytes(text)
        manifest = json.loads((run / NEWEST / "manifest.json").read_text())
        manifest["files"][name], manifest["bytes"][name] = hashlib.sha256(text).hexdigest(), len(text)
        (run / NEWEST / "manifest.json").write_text(json.dumps(manifest))

    return change


def other_state(change):
    def reseal(run):
        state = json.loads((run / NEWEST / "state.json").read_text())
        change(dict(state["__items__"])["training"]["__items__"])
        resealed("state.json", json.dumps(state).encode())(run)

    return reseal


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (setting(width=32), "settings.json says width=32, the checkpoint of step 6 16; put it back"),
        (setting(agent="bc"), "settings.json says agent='bc'"),
        (setting(average=0.9), "settings.json says average=0.9"),
        (setting(backspace=False), "settings.json says backspace=False"),
        (setting(demonstrations=10), "settings.json says demonstrations=10"),
        (setting(steps="x"), "settings.json: setting steps='x' is not an int"),
        (setting(foo=1), "settings.json: unknown setting 'foo'"),
        *((content("settings.json", text), "settings.json") for text in
          ("", "[]", "null", "{}", '{"settings": []}', '{"settings": null}', "[" * 100_000)),
        *((content(f"{NEWEST}/manifest.json", text), "manifest.json") for text in
          ("", "[]", "null", "{}", '{"step": 6, "files": null}')),
        (lambda run: (run / NEWEST).rename(run / "checkpoints/000000009"), "checkpoint of step 6: it was renamed"),
        (resealed("state.json", b"{}"), "holds no state to go on from"),
        (resealed("state.safetensors", b"xx"), "state.safetensors is missing or damaged"),
        (resealed("state.json", b'{"__items__": []}'), "does not say what it is of"),
        (other_state(lambda items: items.clear()), "the state of step 6 in run is damaged"),
        (other_state(lambda items: items.remove(next(i for i in items if i[0] == "step")) or items.append(["step", 4])),
         "the state of step 6 in run is damaged: it is that of step 4"),
    ],
)  # fmt: skip
def test_an_altered_run_is_not_resumed(folder, monkeypatch, capsys, change, culprit):
    change(folder / "run")
    before = written(folder)
    refused(monkeypatch, capsys, ["train", "--out", "run", "--resume"], culprit)
    assert written(folder) == before


@pytest.mark.parametrize("reader", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (setting(task="chain"), "settings.json says task='chain', the checkpoint of step 6"),
        (setting(width=32), "settings.json says width=32, the checkpoint of step 6 16; put it back"),
        (resealed("state.json", b'{"__items__": []}'), "does not say what it is of"),
    ],
)
def test_an_altered_run_is_not_read(folder, monkeypatch, capsys, reader, change, culprit):
    change(folder / "run")
    refused(monkeypatch, capsys, [reader, "run"], culprit)


@pytest.mark.parametrize("stray", ["checkpoints/.DS_Store", "checkpoints/2x/a", "checkpoints/.keep/a", f"{NEWEST}/.a"])
def test_a_stray_file_blocks_nothing_and_stays(folder, capsys, stray):
    (folder / "run" / stray).parent.mkdir(exist_ok=True)
    (folder / "run" / stray).write_text("mine")
    commands.resume(folder / "run", 3)
    commands.sample(folder / "run", 1, "train", 1.0, (), None, 0)
    assert (folder / "run" / stray).read_text() == "mine"


def test_metrics_that_are_no_text_are_dropped(folder):
    run = RunFolder(folder / "run")
    sound = run.metrics.read_bytes()
    run.metrics.write_bytes(b"\xff\xfe\n" + sound[:-1])
    assert run.rewind(6)["step"] == 6
    assert run.metrics.read_bytes() == sound


def test_other_versions_and_threads_are_a_warning(folder, capsys):
    found = json.loads((folder / "run/settings.json").read_text())
    (folder / "run/settings.json").write_text(json.dumps({**found, "threads": 99}))
    commands.resume(folder / "run", 3)
    shown = capsys.readouterr().err
    assert "warning: " in shown
    assert "threads 99 -> " in shown
    assert len(shown.strip().splitlines()) == 1


def test_a_run_on_altered_data_is_not_resumed(sound, folder, monkeypatch, capsys):
    """The run remembers where its text lay, whatever folder it was copied to."""
    kept = (sound / "text.txt").read_text()
    try:
        (sound / "text.txt").write_text("another text, cut into windows also. " * 60)
        refused(monkeypatch, capsys, ["train", "--out", "run", "--resume"], "the demonstrations differ from those")
    finally:
        (sound / "text.txt").write_text(kept)


@pytest.mark.parametrize("keep", [0, 20])
def test_a_run_without_a_checkpoint_starts_again(folder, keep):
    """Killed before its first checkpoint, with or without half a line of metrics."""
    run, fresh = folder / "run", RunFolder(folder / "run")
    whole = {name: (run / NEWEST / name).read_bytes() for name in ("model.safetensors", "state.json")}
    shutil.rmtree(run / "checkpoints")
    fresh.metrics.write_bytes(fresh.metrics.read_bytes()[:keep])
    commands.resume(run, 3)
    assert {name: (run / NEWEST / name).read_bytes() for name in whole} == whole
    assert [json.loads(line)["step"] for line in fresh.metrics.read_text().splitlines()] == [6]


def test_seconds_go_on(folder, monkeypatch):
    run = RunFolder(folder / "run")
    shutil.rmtree(folder / "run/checkpoints/000000006")
    run.metrics.write_text('{"step": 3, "seconds": 1000.0}\n')
    commands.resume(run.path, 3)
    assert [json.loads(line)["seconds"] >= 1000 for line in run.metrics.read_text().splitlines()] == [True, True]


def test_what_is_pruned_badly_stops_nothing(folder, monkeypatch):
    def refuse(path, ignore_errors=False, **options):
        if not ignore_errors:
            raise OSError(5, "Input/output error")

    shutil.rmtree(folder / "run/checkpoints/000000006")
    monkeypatch.setattr(shutil, "rmtree", refuse)
    commands.resume(folder / "run", 1)
    assert RunFolder(folder / "run").load()[0] == 6


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_at_any_instant_resumes_to_the_same_bytes(tmp_path, number):
    steps = ["--steps", "300", "--save-every", "40", *SMALL[2:]]
    began = time.monotonic()
    assert command("train", "--out", "whole", *steps, cwd=tmp_path).returncode == 0
    took = time.monotonic() - began
    start = ["train", "--out", "killed"]
    for part in range(1, 16):
        begun = (tmp_path / "killed/settings.json").exists()
        line = [*start, "--resume", "--save-every", "40"] if begun else [*start, *steps]
        process = started(*line, cwd=tmp_path)
        try:
            process.wait(took * part / 12)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            assert process.wait(60) in (-number, 128 + number)
    done = command("train", "--out", "killed", "--resume", "--save-every", "40", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = (RunFolder(tmp_path / name) for name in ("whole", "killed"))
    for name in ("model.safetensors", "state.safetensors", "state.json"):
        assert (one.latest() / name).read_bytes() == (other.latest() / name).read_bytes()
    curves = [[json.loads(line) for line in run.metrics.read_text().splitlines()] for run in (one, other)]
    assert all(row.pop("seconds") > 0 for curve in curves for row in curve)
    assert curves[0] == curves[1]


@pytest.mark.parametrize(
    "reader", [["sample", "run"], ["evaluate", "run"], ["export", "run", "out"], ["train", "--out", "run", "--resume"]]
)
def test_a_run_whose_text_is_gone_says_so(sound, folder, monkeypatch, capsys, reader):
    (sound / "text.txt").rename(sound / "elsewhere.txt")
    try:
        said = "text.txt is gone, of which run reads prompts and lengths (option path of text); put it back"
        refused(monkeypatch, capsys, reader, said)
    finally:
        (sound / "elsewhere.txt").rename(sound / "text.txt")
    assert not (folder / "out").exists()
