"""Files that are whole or not there, and errors of the disk that say what was written and what to do."""

import errno
import io
import os

import pytest
from safetensors import SafetensorError

from seqil import capacity, durable
from seqil.capacity import read_bytes
from seqil.errors import CheckpointError
from seqil.policy.saved import seals
from seqil.runs.checkpoint import RunFolder
from seqil.testing.agents import tiny_policy


def test_an_error_of_the_disk_is_named_with_the_room_that_is_left(tmp_path):
    with (
        pytest.raises(
            CheckpointError,
            match=r"cannot write .*numbers: No space left on device \([\d,]+ MiB are free there\); free",
        ),
        durable.naming(tmp_path / "numbers", "free some space"),
    ):
        raise OSError(28, "No space left on device")


def test_the_outermost_names_the_remedy(tmp_path):
    with (
        pytest.raises(CheckpointError, match=r"outer: I/O error; go on$"),
        durable.naming(tmp_path / "outer", "go on"),
        durable.naming(tmp_path / "inner", "stop"),
    ):
        raise SafetensorError("I/O error")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    durable.replace(path, b"before")

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input"):
        durable.replace(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_written_to():
    durable.replace(durable.Path("/dev/null"), b"x")
    assert not durable.Path("/dev/null").is_file()


def test_new_folders_are_listed_on_the_disk(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(durable, "flush", flushed.append)
    durable.make_folder(tmp_path / "a/b")
    assert flushed == [tmp_path / "a", tmp_path]
    durable.make_folder(tmp_path / "a/b")
    assert len(flushed) == 2


def test_an_error_while_reading_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")

    def refuse(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(OSError, match=r"Input/output error: '.*file'"):
        read_bytes(tmp_path / "file")


def test_a_checkpoint_that_made_room_comes_back(tmp_path):
    """A crash between the two renames of a checkpoint of the same step, or of the best one."""
    run = RunFolder(tmp_path / "run")
    with run.writing():
        run.save(1, tiny_policy(), {"step": 1})
        run.save(1, tiny_policy(), {"again": True})
        assert run.load() == (1, {"again": True})
        run.keep(tiny_policy(), {"step": 1})
    (run.checkpoints / "000000001").rename(run.checkpoints / ".000000001.before")
    (run.path / "best").rename(run.path / ".best.before")
    (run.path / ".best").mkdir()
    with run.writing():
        assert run.load() == (1, {"again": True})
        assert run.best() == {"step": 1}
    assert sorted(p.name for p in run.path.iterdir()) == [".lock", "best", "checkpoints"]


def test_an_empty_name_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the name of the folder is empty"):
        tiny_policy().save_pretrained("")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(tmp_path, monkeypatch):
    """What is left out of a list is not flushed, and not sealed."""
    (tmp_path / "inner" / "most").mkdir(parents=True)
    (tmp_path / "inner" / "file").write_text("x")
    (tmp_path / "b").write_text("x")
    names = ["b", "inner", "inner/file", "inner/most"]
    assert [path.relative_to(tmp_path).as_posix() for path in durable.contents(tmp_path)] == names
    listed = os.scandir

    def refusing(path):
        if str(path).endswith("inner"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    for act in (durable.contents, durable.flush_all, seals.sums_of):
        with pytest.raises(PermissionError):
            act(tmp_path)


def test_tensors_that_may_not_be_opened_are_named(tmp_path, monkeypatch):
    """The library of safetensors says RuntimeError of them."""

    def refusing(path, *_, **__):
        raise RuntimeError(f"unable to open file <{path}> in read-only mode: Permission denied (13)")

    with pytest.raises(CheckpointError, match=r"state.safetensors is missing or damaged \(No such file"):
        durable.read_tensors(tmp_path / "state.safetensors")
    monkeypatch.setattr(durable, "load_file", refusing)
    with pytest.raises(CheckpointError, match=r"state.safetensors is missing or damaged \(.*Permission denied"):
        durable.read_tensors(tmp_path / "state.safetensors")


def test_an_error_within_a_file_names_it(tmp_path, monkeypatch):
    """Reading says no name once a file is open."""
    (tmp_path / "weights").write_bytes(b"x")

    def refusing(self, *_, **__):
        class Broken(io.BytesIO):
            def read(self, *_):
                raise OSError(errno.EIO, "Input/output error")

        return Broken()

    monkeypatch.setattr(capacity.Path, "open", refusing)
    with pytest.raises(OSError, match=r"Input/output error: '.*weights'"):
        capacity.refuse_pointer(tmp_path / "weights")


def test_nothing_is_written_where_the_folder_may_not_be_opened(tmp_path, monkeypatch):
    """It is flushed behind the file, whose name stands in it."""
    opened = os.open

    def refusing(path, *how, **more):
        if os.fspath(path) == os.fspath(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *how, **more)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(PermissionError):
        durable.replace(tmp_path / "numbers", b"1")
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())
    durable.replace(tmp_path / "numbers", b"1")
    assert (tmp_path / "numbers").read_bytes() == b"1"


def test_what_was_asked_for_is_whole_or_what_was_there(tmp_path, monkeypatch):
    durable.write_asked(tmp_path / "o.svg", "a picture, größer")
    assert (tmp_path / "o.svg").read_text(encoding="utf-8") == "a picture, größer"

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "flush", full)
    with pytest.raises(
        durable.UnwrittenError, match=r"cannot write .*o\.svg: No space left .*; free some space, or name"
    ):
        durable.write_asked(tmp_path / "o.svg", b"another")
    assert [path.name for path in tmp_path.iterdir()] == ["o.svg"]
    assert (tmp_path / "o.svg").read_text(encoding="utf-8") == "a picture, größer"
