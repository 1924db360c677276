"""Checkpoints: whole, checked, and never lost."""

import hashlib
import json
import os
import shutil
import time

import pytest
import torch

from seqil import TokenPolicy
from seqil.capacity import read_json
from seqil.errors import CheckpointError
from seqil.runs.checkpoint import RunFolder
from seqil.testing.agents import tiny_policy

STATE = {
    "weights": torch.randn(3, generator=torch.Generator().manual_seed(0)),
    "nested": [{0: torch.zeros(0), "a": None}, 1.5, True, "text"],
    "bytes": torch.arange(5, dtype=torch.uint8),
    "infinite": float("inf"),
}


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.writing():
        yield folder


def test_round_trip_of_state_and_policy(run):
    policy = tiny_policy()
    run.save(7, policy, STATE)
    step, state = run.load()
    assert step == 7
    assert equal(state, STATE)
    again = TokenPolicy.from_pretrained(run.latest())
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))


def test_the_last_two_stay(run):
    for step in (1, 2, 3):
        run.save(step, tiny_policy(), {"step": step})
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["000000002", "000000003"]
    assert run.load() == (3, {"step": 3})


def test_what_a_crash_leaves_of_an_old_checkpoint_is_swept_by_the_next_writer(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")

    def crash(path, **options):
        next(path.glob("*.safetensors")).unlink()
        raise KeyboardInterrupt

    with run.writing():
        for step in (1, 2):
            run.save(step, tiny_policy(), {})
        with monkeypatch.context() as patched:
            patched.setattr("seqil.runs.checkpoint.shutil.rmtree", crash)
            with pytest.raises(KeyboardInterrupt):
                run.save(3, tiny_policy(), {})
        assert len(list(run.checkpoints.iterdir())) == 3
    with run.writing():
        assert sorted(p.name for p in run.checkpoints.iterdir()) == ["000000002", "000000003"]


@pytest.mark.parametrize("name", ["state.safetensors", "model.safetensors", "state.json", "seqil.json", "config.json"])
def test_a_flipped_bit_in_any_file_is_seen(run, name):
    file = run.save(1, tiny_policy(), STATE) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        run.load()


def test_missing_and_foreign_files_are_seen(run):
    folder = run.save(1, tiny_policy(), STATE)
    (folder / "more.txt").write_text("x")
    with pytest.raises(CheckpointError, match=r"more.txt is foreign"):
        run.load()
    (folder / "more.txt").unlink()
    (folder / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"state.json is missing"):
        run.load()


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_the_old_checkpoint(run, monkeypatch, call):
    run.save(1, tiny_policy(), {"step": 1})

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else ("pathlib.Path.rename",)), refuse)
    with pytest.raises(CheckpointError, match=r"No space left.*earlier checkpoints are intact.*--resume"):
        run.save(2, tiny_policy(), {"step": 2})
    monkeypatch.undo()
    assert run.load() == (1, {"step": 1})
    assert [p.name for p in run.checkpoints.iterdir()] == ["000000001"]


def test_a_disk_that_keeps_no_first_checkpoint_is_no_reason_to_resume(run, monkeypatch):
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(
        CheckpointError, match=r"there was no checkpoint yet; free some space, or choose another --out$"
    ):
        run.save(0, tiny_policy(), {"step": 0})


def _full(*_):
    raise OSError(28, "No space left on device")


def test_a_second_writer_is_refused(run):
    with pytest.raises(CheckpointError, match="another process"), RunFolder(run.path).writing():
        pass


def test_orphans_are_swept(run, tmp_path):
    other = RunFolder(tmp_path / "other")
    (other.checkpoints / ".000000009").mkdir(parents=True)
    with other.writing():
        assert not list(other.checkpoints.iterdir())


def test_metrics_after_the_checkpoint_are_dropped(run):
    run.save(2, tiny_policy(), {})
    for step in (1, 2, 3):
        run.log({"step": step, "loss": 1.0})
    with run.metrics.open("a") as file:
        file.write('{"step": 4, "lo')  # cut short by a crash
    assert run.rewind(2) == {"step": 2, "loss": 1.0}
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [1, 2]


def test_a_run_is_not_overwritten(run):
    run.start({"settings": {}})
    with pytest.raises(CheckpointError, match="already holds a run"):
        run.start({"settings": {}})


def test_what_is_not_a_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"settings.json is missing"):
        _ = RunFolder(tmp_path).settings
    with pytest.raises(CheckpointError, match="no checkpoint yet"):
        RunFolder(tmp_path).latest()


def test_settings_that_hold_none_and_a_run_that_ended_early_are_seen(run):
    (run.path / "settings.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds no settings"):
        _ = run.settings
    run.save(0, tiny_policy(), {"identity": {"a": 1}})
    assert run.identity() == {"a": 1}
    run.discard()
    assert not run.complete()
    assert not run.path.exists()


def test_a_run_that_measured_something_is_not_discarded(run):
    run.save(0, tiny_policy(), {})
    run.log({"step": 1})
    run.discard()
    assert [p.name for p in run.complete()] == ["000000000"]


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ('{"step": true, "files": []}', "names no step and files"),
        ('{"step": 2, "files": {}}', "it was renamed"),
        ('{"step": 1, "files": {"nothing": "x"}}', "foreign|missing"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(run, content, culprit):
    (run.save(1, tiny_policy(), {}) / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=culprit):
        run.latest()


def test_a_folder_in_place_of_a_file_is_seen(run):
    folder = run.save(1, tiny_policy(), {})
    (folder / "state.json").unlink()
    (folder / "state.json").mkdir()
    with pytest.raises(CheckpointError, match=r"state\.json is not a regular file"):
        run.latest()


def test_a_state_that_fits_no_tensor_is_refused(run):
    folder = run.save(1, tiny_policy(), {"a": torch.zeros(2)})
    content = (folder / "state.json").read_bytes().replace(b'"__tensor__": "0"', b'"__tensor__": "7"')
    (folder / "state.json").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["state.json"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="holds no state to go on from"):
        run.load()
    assert run.identity() is None


def test_a_file_of_a_checkpoint_that_is_gone_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"it is no run: state\.json is missing"):
        read_json(tmp_path / "state.json", "it is no run")
    (tmp_path / "state.json").mkdir()
    with pytest.raises(CheckpointError, match=r"it is no run: .*state.json cannot be read"):
        read_json(tmp_path / "state.json", "it is no run")


# -- what no crash leaves


@pytest.mark.parametrize("how", ["gone", "renamed", "a link to itself", "a file"])
def test_a_newest_checkpoint_that_is_not_whole_is_refused_and_the_one_before_not_taken_for_it(run, how):
    for step in (1, 2):
        newest = run.save(step, tiny_policy(), {"step": step})
    if how == "gone":
        (newest / "manifest.json").unlink()
    elif how == "renamed":
        (newest / "manifest.json").rename(newest / "manifest.json.old")
    else:
        shutil.rmtree(newest)
        newest.symlink_to(newest) if how == "a link to itself" else newest.write_text("")
    for reads in (run.latest, run.load, run.identity):
        with pytest.raises(CheckpointError, match=r"000000002 is no whole checkpoint: .* or remove it to go on from"):
            reads()
    newest.unlink() if how in ("a link to itself", "a file") else shutil.rmtree(newest)
    assert run.load() == (1, {"step": 1})


def test_a_file_in_place_of_the_checkpoints_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoints is no folder; restore it"):
        RunFolder(tmp_path / "run").latest()
    with pytest.raises(CheckpointError, match=r"checkpoints is no folder"), RunFolder(tmp_path / "run").writing():
        pass


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "state.safetensors"])
def test_a_file_that_has_grown_is_refused_before_it_is_read(run, file):
    newest = run.save(1, tiny_policy(), STATE)
    os.truncate(newest / file, 1 << 40)
    begun = time.process_time()
    with pytest.raises(CheckpointError, match=rf"{file} is damaged"):
        run.latest()
    with pytest.raises(CheckpointError, match=r"config.json is damaged|safetensors is damaged"):
        TokenPolicy.from_pretrained(newest) if file != "state.safetensors" else run.load()
    assert time.process_time() - begun < 20  # a sum of so many bytes takes minutes


# -- the best so far


@pytest.mark.parametrize(
    ("change", "into"), [("1.25", "0.5"), ('"step": 6', '"step": Infinity'), ('"step": 6', '"step": 2'), ("nats", "n")]
)
def test_a_changed_record_of_the_best_is_refused(run, change, into):
    assert run.best() is None
    run.keep(tiny_policy(), {"step": 6, "nats": 1.25})
    file = run.path / "best" / "best.json"
    assert run.best() == {"step": 6, "nats": 1.25}
    file.write_text(file.read_text().replace(change, into))
    with pytest.raises(CheckpointError, match=r"best.json is not what was written; restore it, or remove"):
        run.best()


@pytest.mark.parametrize("text", ['{"step": Infinity, "nats": 1}', '{"step": 3, "nats": "x"}', '{"nats": 1}', "[]"])
def test_an_older_record_of_the_best_without_a_sum_must_hold_numbers(run, text):
    (run.path / "best").mkdir()
    (run.path / "best" / "best.json").write_text('{"step": 3, "nats": 0.5}')
    assert run.best() == {"step": 3, "nats": 0.5}
    (run.path / "best" / "best.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"best"):
        run.best()
