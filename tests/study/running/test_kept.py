"""Weights and texts of a run are kept: a metric that comes later, or a decoding, takes no training."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from small_studies import ARM, PLACE, spelt

from benchmarks.compounding_error.running import cells as running
from benchmarks.compounding_error.running import progress
from benchmarks.compounding_error.running.cells import Cell, run
from benchmarks.compounding_error.running.engines import attempt
from benchmarks.compounding_error.running.kept import Kept
from benchmarks.compounding_error.running.records import read
from benchmarks.compounding_error.running.runner import finished, measured_otherwise, missing, settled
from benchmarks.compounding_error.study import Decoding
from seqil import Metric
from seqil.runs import known_metrics
from seqil.statistics import mean

LENGTH = Metric("length", "Tokens of a text.", lambda s: mean([float(len(t)) for t in s.texts], "sequences"), "tokens")
WHOLE = Cell(replace(ARM, stages=2), replace(PLACE, horizons=(3, 9), horizon_samples=10), 0)
TIMED = {"seconds_training": 0, "seconds_evaluation": 0}


def here(cells, workers):
    for cell in cells:
        yield cell, attempt(cell)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    file = tmp_path_factory.mktemp("study") / "results.jsonl"
    list(missing([WHOLE], file, 1, here))
    return file


@pytest.fixture
def no_training(monkeypatch, results):
    """From here on whoever trains or samples fails."""

    def refuse(*_):
        raise AssertionError("nothing is trained and nothing sampled")

    monkeypatch.setattr(running, "_train", refuse)
    monkeypatch.setattr("benchmarks.compounding_error.running.kept.sampled", refuse)
    return monkeypatch


def test_what_is_kept_does_not_change_the_record(results):
    (record,) = read(results)
    assert spelt(run(WHOLE) | TIMED) == spelt(record | TIMED)
    folder = results.parent / "kept" / WHOLE.trained
    texts = sorted(folder.glob("*.npz"))
    assert len(texts) == 7  # plain, greedy, best of 2, two stages, two horizons
    with np.load(texts[0]) as found:
        assert found["actions"].dtype == np.int16
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_metric_that_comes_later_is_measured_without_training(results, no_training, capsys):
    before = read(results)
    known = known_metrics.metrics()
    no_training.setattr(known_metrics, "metrics", lambda: (*known, LENGTH))
    assert finished([WHOLE], before) == {}
    assert measured_otherwise([WHOLE], before) == before[:1]
    progress.run([WHOLE], results, 1, here, Console(width=500))
    said = capsys.readouterr().out
    assert "1 run, measured from the weights and texts that were kept" in said
    assert "trained again" not in said
    record = read(results)[-1]
    assert len(read(results)) == len(before) + 1
    assert record["estimates"].pop("length")["value"] == 6
    for sample in (*record["decoded"], *record["horizons"], *record["course"]):
        sample["estimates"].pop("length")
    assert spelt(record | TIMED) == spelt(before[0] | TIMED | {"key": record["key"]})
    progress.run([WHOLE], results, 1, here, Console(width=500))
    assert "measured from" not in capsys.readouterr().out


def test_where_nothing_was_kept_that_is_said(results, monkeypatch, tmp_path, capsys):
    """The record stays, is counted, and is trained again where that is asked for."""
    file = tmp_path / "results.jsonl"
    file.write_text(results.read_text().splitlines()[0] + "\n")
    (before,) = read(file)
    known = known_metrics.metrics()
    monkeypatch.setattr(known_metrics, "metrics", lambda: (*known, replace(LENGTH, group="further")))
    progress.status([WHOLE], file, 1, Console(width=500))
    said = capsys.readouterr().out
    assert re.search(r"measured with other metrics \(none has .*length\); 1 run left as before; `run --again`", said)
    assert re.search(r"automaton +1 +1 +1\s", said)
    assert "1 of 1 run, " in said
    monkeypatch.setattr(running, "_train", None)
    assert list(missing([WHOLE], file, 1, here)) == []
    stays = settled([WHOLE], read(file), file.parent / "kept")
    assert {key: record["key"] for key, record in stays.items()} == {WHOLE.key: before["key"]}
    assert WHOLE.key != before["key"]
    progress.run([WHOLE], file, 1, lambda cells, _: iter(()), Console(width=500), again=True)
    assert "1 run to be trained again, for nothing was kept" in capsys.readouterr().out
    asked = []
    assert list(missing([WHOLE], file, 1, lambda cells, _: asked.extend(cells) or [], again=True)) == []
    assert [cell.key for cell in asked] == [WHOLE.key]


def test_another_decoding_is_sampled_from_the_kept_weights(results, monkeypatch):
    monkeypatch.setattr(running, "_train", None)
    cool = Decoding("cool", temperature=0.5)
    cell = replace(WHOLE, arm=replace(WHOLE.arm, decodings=(*ARM.decodings, cool)), kept=results.parent / "kept")
    assert run(cell)["decoded"][2]["decoding"] == "cool"


@pytest.mark.parametrize("damage", ["trained.json", "weights.safetensors", "npz"])
def test_damaged_files_count_as_lacking(results, damage, tmp_path):
    import shutil

    shutil.copytree(results.parent / "kept", tmp_path / "kept")
    cell = replace(WHOLE, kept=tmp_path / "kept")
    file = next(path for path in (tmp_path / "kept" / cell.trained).iterdir() if path.name.endswith(damage))
    file.write_bytes(file.read_bytes()[:-9])
    assert (Kept(file.parent).training() is None) == (damage != "npz")
    assert spelt(run(cell) | TIMED) == spelt(read(results)[0] | TIMED)


def test_texts_of_other_prompts_are_not_taken_for_those_of_these(tmp_path):
    from seqil.runs.experiment import make_task, make_training

    task = make_task(WHOLE.settings)
    policy = make_training(WHOLE.settings, task).policy
    draw = Kept(tmp_path).draw(0)
    one, other = ([[token]] * 3 for token in (1, 2))
    first, cost = draw(task, policy, Decoding(), one, None, 0)
    again, same = draw(task, policy, Decoding("named"), one, None, 0)
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(first.ended, again.ended)
    assert all((a == b).all() for a, b in zip(vars(cost).values(), vars(same).values(), strict=True))
    assert draw(task, policy, Decoding(), other, None, 0)[0].prompts.tolist() == other


def test_texts_of_another_way_to_sample_are_not_taken_for_those_of_this_one(results, tmp_path):
    """A file of texts in the place of another of the same prompts."""
    import shutil

    shutil.copytree(results.parent / "kept", tmp_path / "kept")
    cell = replace(WHOLE, kept=tmp_path / "kept")
    files = sorted((tmp_path / "kept" / cell.trained).glob("*.npz"))
    contents = [file.read_bytes() for file in files]
    assert len({*contents}) > 1
    for file, content in zip(files, [*contents[1:], contents[0]], strict=True):
        file.write_bytes(content)
    assert spelt(run(cell) | TIMED) == spelt(read(results)[0] | TIMED)
