"""Nothing is written over what a run, a saved model or a study holds."""

import os

import pytest
from command_line import command

SMALL = ["--task", "automaton", "--task-option", "horizon=8", "--agent", "bc", "--steps", "2", "--layers", "1"]
SMALL += ["--width", "16", "--heads", "2", "--batch-size", "2", "--demonstrations", "4"]
MEASURED = "evaluate", "a run", "-n", "2", "--json"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run and its export."""
    root = tmp_path_factory.mktemp("place")
    done = command("train", *SMALL, "--out", "a run", cwd=root)
    assert done.returncode == 0, done.stderr
    assert command("export", "a run", "exported", cwd=root).returncode == 0
    (root / "by another way").symlink_to(root / "a run")
    os.mkfifo(root / "pipe")
    return root


def refusal(place, *arguments):
    done = command(*arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def held(place):
    return {p: p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file() and p.name != ".lock"}


@pytest.mark.parametrize(
    ("arguments", "inside"),
    [
        (("export", "a run", "a run/inner"), "a run"),
        (("train", *SMALL, "--out", "a run/inner"), "a run"),
        (("train", *SMALL, "--out", "a run/checkpoints/000000002/inner"), "a saved model"),
        ((*MEASURED, "a run/settings.json"), "a run"),
        ((*MEASURED, "a run/metrics.jsonl"), "a run"),
        ((*MEASURED, "by another way/metrics.jsonl"), "a run"),
        ((*MEASURED, "exported/seqil.json"), "a saved model"),
        (("inspect", "a run", "--page", "a run/checkpoints/000000002/p.html"), "a saved model"),
        (("sample", "a run", "--record", "a run/checkpoints/x.svg"), "a run"),
    ],
)
def test_nothing_is_written_over_what_a_run_or_a_model_holds(place, arguments, inside):
    before = held(place)
    assert f"lies in the folder of {inside}" in refusal(place, *arguments)
    assert held(place) == before


def test_nor_over_the_records_of_a_study(place):
    study = place / "study"
    study.mkdir()
    (study / "results.jsonl").write_text("{}\n")
    assert "lies in the folder of a study" in refusal(place, *MEASURED, "study/results.jsonl")
    assert (study / "results.jsonl").read_text() == "{}\n"


def test_numbers_beside_the_files_of_a_run_are_welcome(place):
    assert command(*MEASURED, "a run/numbers.json", cwd=place).returncode == 0
    assert "--json pipe is a pipe; name a file, or /dev/stdout" in refusal(place, *MEASURED, "pipe")


def test_a_run_begins_in_no_folder_of_runs(place):
    before = held(place)
    assert "--out . holds runs, a run say; name a folder of its own" in refusal(place, "train", *SMALL, "--out", ".")
    assert held(place) == before
