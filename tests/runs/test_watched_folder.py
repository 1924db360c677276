"""The folder of a run that another process writes."""

import torch

from seqil.runs.checkpoint import RunFolder, WatchedFolder
from seqil.testing.agents import tiny_policy


def everything_below(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def written(folder):
    run = RunFolder(folder)
    with run.writing():
        run.start({"settings": {}})
        run.log({"step": 1, "loss": 2.0})
        run.save(1, tiny_policy(), {"step": 1, "weights": torch.arange(3)})
    return run


def test_what_would_change_it_does_nothing(tmp_path):
    written(tmp_path / "run")
    watched, before = WatchedFolder(tmp_path / "run"), everything_below(tmp_path)
    with watched.writing() as same:
        assert same is watched
        watched.start({"settings": {"steps": 9}})
        watched.log({"step": 2})
        assert watched.save(2, tiny_policy(), {}) == watched.checkpoints / "000000002"
        assert watched.rewind(0) == {}
        watched.discard()
    assert everything_below(tmp_path) == before
    assert not watched.ours
    assert RunFolder.ours


def test_it_is_read_as_its_writer_reads_it(tmp_path):
    run = written(tmp_path / "run")
    watched = WatchedFolder(tmp_path / "run")
    assert watched.latest() == run.latest()
    assert watched.settings == run.settings == {"settings": {}}
    assert watched.complete() == run.complete()
    step, state = watched.load()
    assert step == 1
    assert torch.equal(state["weights"], torch.arange(3))


def test_while_one_writes_another_may_watch(tmp_path):
    run = written(tmp_path / "run")
    with run.writing(), WatchedFolder(tmp_path / "run").writing():
        run.log({"step": 2, "loss": 1.0})
    assert len(run.metrics.read_text().splitlines()) == 2


def test_a_checkpoint_that_goes_leaves_no_half_of_it(tmp_path):
    run = written(tmp_path / "run")
    with run.writing():
        for step in (2, 3, 4):
            run.save(step, tiny_policy(), {"step": step})
    assert [path.name for path in run.complete()] == ["000000003", "000000004"]
    assert {path.name for path in run.checkpoints.iterdir()} == {"000000003", "000000004"}
    run._remove(run.checkpoints / "000000001")  # it is gone already
    assert [path.name for path in run.complete()] == ["000000003", "000000004"]
