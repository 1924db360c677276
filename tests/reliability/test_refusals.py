"""Sizes that no machine has, files that never end, commands that are refused: one line, and nothing is written."""

import os

import pytest
import torch
from command_line import SMALL, refused

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil import capacity, decoding, rollout
from seqil.capacity import read_json
from seqil.errors import CheckpointError, InvalidInputError
from seqil.runs.checkpoint import RunFolder
from seqil.runs.own_files import run_file
from seqil.testing.agents import tiny_policy


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (["--layers", "100000", "--width", "2", "--heads", "1"], "GiB, this machine has"),
        (["--demonstrations", "1000000000"], "1,000,000,000 demonstrations would take"),
        (["--burst", "1000000000"], "a text of automaton holds 8 tokens at most"),
        (["--task", "pydoc", "--agent", "dagger", "--agent-option", "expert=teacher"], "has no exact teacher"),
        (["--learning-rate", "1e30"], "lower the learning rate"),
    ],
)
def test_a_command_that_is_refused_leaves_nothing(tmp_path, monkeypatch, capsys, options, culprit):
    monkeypatch.chdir(tmp_path)
    small = SMALL if "pydoc" not in options else SMALL[:-2]  # which has no horizon
    refused(monkeypatch, capsys, ["train", "--out", "run", *small, *options], culprit)
    assert list(tmp_path.iterdir()) == []


def test_what_lay_in_the_folder_of_a_refused_command_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    refused(
        monkeypatch, capsys, ["train", "--out", "run", *SMALL, "--learning-rate", "1e30"], "lower the learning rate"
    )
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("limits", [{"max_length": 10**9}, {"max_length": 4, "max_actions": 10**12}])
def test_a_rollout_that_cannot_be_held_is_refused_before_it_is_allocated(limits):
    with pytest.raises(InvalidInputError, match=r"positions, |GiB, this machine has"):
        rollout(tiny_policy(), [[0]], generator=torch.Generator(), **limits)


def test_a_prompt_and_a_text_may_fill_all_positions_of_a_model():
    policy = tiny_policy()
    length = policy.max_positions - 1
    written = rollout(policy, [[0] * length], max_length=1, generator=torch.Generator().manual_seed(0))
    assert int(written.replay().length.max()) >= length
    with pytest.raises(InvalidInputError, match="positions"):
        rollout(policy, [[0] * length], max_length=2, generator=torch.Generator())


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_a_file_that_is_none_is_named_and_not_opened(tmp_path, make):
    make(tmp_path / "settings.json")
    with pytest.raises(InvalidInputError, match=r"settings\.json is not a regular file"):
        capacity.read_bytes(tmp_path / "settings.json")
    with pytest.raises(CheckpointError, match=r"settings\.json is not a regular file"):
        read_json(tmp_path / "settings.json", "no run")


def test_a_file_beyond_the_limit_is_refused_and_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "big"
    path.write_bytes(bytes(11))
    monkeypatch.setenv(capacity.MOST_BYTES, "10")
    with pytest.raises(InvalidInputError, match="11 bytes, more than 10; it is damaged, or raise SEQIL_MOST_BYTES"):
        capacity.read_bytes(path)
    monkeypatch.setenv(capacity.MOST_BYTES, "11")
    assert capacity.read_bytes(path) == bytes(11)


@pytest.mark.parametrize("line", ['{"step": 3, "seconds": null}', '{"step": 3, "seconds": "x"}', '{"step": 3}'])
def test_metrics_without_seconds_stop_no_run(tmp_path, line):
    run = RunFolder(tmp_path)
    run.metrics.write_text(line + "\n")
    assert run.rewind(3)["step"] == 3


def test_a_pipe_in_place_of_ones_own_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "mine.py")
    with pytest.raises(InvalidInputError, match=r"mine\.py is not a regular file"):
        run_file(tmp_path / "mine.py")


def test_a_file_in_place_of_a_run_is_named(tmp_path):
    (tmp_path / "run").write_text("mine")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(CheckpointError, match="run is a file; choose another --out"), folder.writing():
        pass
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize("rule", ["min_p=true", "top_p=false"])
def test_a_truth_value_is_no_share(rule):
    with pytest.raises(InvalidInputError, match=r"must be a number in \[0, 1\]"):
        decoding.parse(rule)
