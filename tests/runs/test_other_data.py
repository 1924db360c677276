"""A run whose data were changed: nothing is sampled or judged by what the files say now."""

import pytest
from command_line import command
from small_llama import tokenizer

SMALL = ["--agent", "bc", "--steps", "2", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "20"]
TRACES = "open read close\nopen close\nopen read read close\n"
TEXT = "a text of some length, which is cut into windows. " * 40
OWN = """
from pathlib import Path
from envs.tasks import Automaton

class Mine(Automaton):
    name = "mine"

    def __init__(self):
        super().__init__(horizon=int(Path("horizon.txt").read_text()))
"""
READERS = (["sample", "run"], ["evaluate", "run"], ["inspect", "run"], ["export", "run", "out"],
           ["train", "--out", "run", "--resume"])  # fmt: skip
CASES = {
    "other traces": (
        "learned_automaton",
        "path=a.txt",
        TRACES,
        "alpha beta gamma\ngamma beta\nbeta beta gamma alpha\n",
    ),
    "other names": ("learned_automaton", "path=a.txt", TRACES, TRACES.replace("open", "opened")),
    "fewer traces": ("learned_automaton", "path=a.txt", TRACES, "a\n"),
    "another text": ("text", "path=a.txt", TEXT, "another text, cut into windows also. " * 60),
    "a longer text": ("text", "path=a.txt", TEXT, TEXT + "and what else there is to say of it. " * 9),
    "a shorter text": ("text", "path=a.txt", TEXT, TEXT[:1200]),
    "a file of a folder": ("text", "path=.", TEXT, TEXT.upper()),
}


@pytest.mark.parametrize("case", CASES)
def test_other_data_are_refused_by_all_that_read_a_run(tmp_path, case):
    task, path, before, after = CASES[case]
    data, file = tmp_path / "data", tmp_path / "data" / "a.txt"
    data.mkdir()
    file.write_text(before)
    more = ["--task-option", "prompt_length=4", "--task-option", "max_length=8"] * (task == "text")
    option = path.replace("=", f"={data}/")
    done = command("train", *SMALL, "--task", task, "--task-option", option, *more, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert command("sample", "run", "-n", "1", cwd=tmp_path).returncode == 0
    file.write_text(after)
    for reader in READERS:
        done = command(*reader, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), reader
        assert "put the data back" in done.stderr or ("give more data" in done.stderr and "--resume" in reader)
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    file.write_text(before)
    (data / ".hidden").write_text("nobody's business")
    assert command("evaluate", "run", "-n", "4", "--split", "train", cwd=tmp_path).returncode == 0


def test_what_a_task_of_ones_own_reads_is_looked_at_too(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "horizon.txt").write_text("8")
    done = command("train", *SMALL, "--task", "own.py:Mine", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "horizon.txt").write_text("6")
    done = command("evaluate", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "the demonstrations differ from those that run was trained on until step 2" in done.stderr


def test_a_tokenizer_that_spells_the_same_ids_otherwise_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a b b a b a a a b " * 40)
    ids = ["<unk>", "a", "b", "x", "y", "<eos>"]
    tokenizer({name: i for i, name in enumerate(ids)}).save_pretrained(tmp_path / "words")
    options = ["path=a.txt", "tokenizer=words", "prompt_length=4", "max_length=8"]
    task = ["--task", "text", *(part for option in options for part in ("--task-option", option))]
    done = command("train", *SMALL, *task, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "words" / "model.safetensors").write_text("weights that come later are no part of a tokenizer")
    assert command("sample", "run", "-n", "1", cwd=tmp_path).returncode == 0
    swapped = {name: i for i, name in enumerate(["<unk>", "a", "b", "y", "x", "<eos>"])}
    tokenizer(swapped).save_pretrained(tmp_path / "words")
    done = command("sample", "run", "-n", "1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "words is not what run was trained on until step 2; put the data back" in done.stderr
