"""Files that hold something else than was meant: a file without a name in it, another form of records, a pointer."""

import json

import pytest
from command_line import command

from envs.tasks import Text
from seqil.capacity import POINTER
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.runs.option_types import argument_types

SMALL = ["--steps", "1", "--layers", "1", "--width", "16", "--heads", "2", "--batch-size", "2", "--demonstrations", "4"]
OWN = """
from __future__ import annotations
from typing import TYPE_CHECKING
from agents.behavior_cloning import BehaviorCloning
from envs.tasks import Automaton
from seqil import Task
if TYPE_CHECKING:
    from nowhere import Policy

class Mine(BehaviorCloning):
    def __init__(self, policy: Policy, *, enough: float = 0.5, often=3, **options):
        super().__init__(policy, **options)
        self.enough = enough * 2.0 + often

class Bare(BehaviorCloning):
    def __init__(self, policy, **options):
        self.policy = policy

class Short(Automaton):
    def __init__(self, horizon: int = 3):
        self.horizon = horizon

def shout(task, learner):
    return lambda prefixes: 1
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my own.py").write_text(OWN)
    (tmp_path / "empty.py").write_text("import json\nX = 1\n")
    return tmp_path


def refusal(*arguments, cwd):
    done = command("train", *SMALL, "--out", "out", *arguments, cwd=cwd)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not (cwd / "out").exists()
    return done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (
            "agents",
            "my own.py",
            "agent 'my own.py' is a file: name what is in it, 'my own.py:Mine' or 'my own.py:Bare'",
        ),
        ("tasks", "my own.py", "name what is in it, 'my own.py:Short'"),
        ("noise", "my own.py", "or 'my own.py:shout'"),
        ("metrics", "my own.py", "nothing in it is a metric"),
        ("agents", "empty.py", "agent 'empty.py' is a file: nothing in it is an agent"),
        ("agents", "nowhere.py", "nowhere.py cannot be read (No such file or directory)"),
        ("agents", "my own.py:Mien", "my own.py defines no 'Mien'; did you mean 'Mine'?"),
    ],
)
def test_a_file_without_a_name_is_met_with_the_names_in_it(place, kind, name, said):
    with pytest.raises(InvalidInputError) as refused:
        plugins.load(kind, name)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--agent", "my own.py:Bare"], "Bare: its __init__ does not call that of Agent; end it with super().__init__"),
        (["--task", "my own.py:Short"], "task 'my own.py:Short' has no max_length; let its class or its __init__ set"),
        *((["--agent", "my own.py:Mine", "--agent-option", f"enough={x}"], "is not a float") for x in ("high", "null")),
        *(
            (["--agent", "my own.py:Mine", "--agent-option", f"often={x}"], "is not an int or float")
            for x in ("high", "[1]")
        ),
    ],
)
def test_a_class_that_cannot_be_used_is_one_line(place, arguments, said):
    assert said in refusal(*arguments, cwd=place)


def test_a_default_says_what_an_option_is_where_nothing_else_does(place):
    known = argument_types(plugins.load("agents", "my own.py:Mine"))
    assert (known["enough"], known["often"]) == (float, int | float)


LFS = f"{POINTER.decode()}\noid sha256:4d7a\nsize 12345\n"
RECORD = '{"text": "one two three four five six seven eight nine ten"}'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", f"{RECORD}\n{RECORD}\n", "it holds one record per line: give it the suffix .jsonl"),
        ("a.jsonl", f"[{RECORD}, {RECORD}]", "a.jsonl holds a list, not one record per line; give it the suffix .json"),
        ("a.jsonl", f"[{RECORD},\n {RECORD}]", ".jsonl holds one record per line, .json a list of them"),
        ("a.jsonl", json.dumps({"text": "one"}, indent=1), ".jsonl holds one record per line, .json a list of them"),
        ("a.json", "some words\n", "if it is plain text give it the suffix .txt"),
        ("a.txt", f"{RECORD}\n{RECORD}\n", "holds records, one per line, and no plain text: give it the suffix .jsonl"),
        ("a", '\n{"prompt": "a", "completion": "b"}\n', "and no plain text: give it the suffix .jsonl"),
        ("a.jsonl", "some words\n", "if it is plain text give it the suffix .txt"),
        ("a.csv", "text\tother\na b c\t2\n", "separated by tabs; give it the suffix .tsv"),
        ("a.csv", "text;other\na b c;2\n", "separated by semicolons; save it with commas"),
        *((f"a.{suffix}", LFS, "it is a pointer of Git LFS and not the file itself; git lfs pull in its repository")
          for suffix in ("txt", "jsonl", "csv", "parquet")),
    ],
)  # fmt: skip
def test_records_of_another_form_are_met_with_the_suffix(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInputError) as refused:
        Text(tmp_path / name, prompt_length=4, max_length=8)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", ['{"other": 1}\n', '["text"]\n', '{"text": \n', '"text"\n'])
def test_a_text_that_begins_as_json_is_one_all_the_same(tmp_path, content):
    (tmp_path / "a.txt").write_text(content * 40)
    assert Text(tmp_path / "a.txt", prompt_length=4, max_length=8).available("train")


def test_pointers_in_a_folder_are_counted(tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(LFS)
    (tmp_path / "c.txt").write_text("some words " * 20)
    with pytest.raises(InvalidInputError, match=r"a\.txt: it is a pointer of Git LFS.*\(and 1 more of its 3 files\)"):
        Text(tmp_path, prompt_length=4, max_length=8)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "--evaluation e.json does not exist; seqil evaluate --json writes one"),
        ("nope", "is not what seqil evaluate --json writes: it cannot be read as JSON (Expecting value"),
        ("[]", "it holds no JSON object"),
        ("{}", "it does not say 'estimates'"),
        ('{"estimates": {}, "task": "automaton"}', "it does not say 'weights'"),
        ('{"estimates": {}, "task": "automaton", "weights": ""}', "it does not say 'split'"),
        ({"estimates": 3}, "its estimates are no numbers by name"),
        ({"estimates": {"hazard": {"value": 1}}}, "is not an Estimate in its JSON form"),
        ({"task": "chain"}, "--evaluation e.json is an evaluation on chain, the run is of automaton"),
        (LFS, "e.json is a pointer of Git LFS"),
    ],
)
def test_an_evaluation_that_is_none(place, content, said):
    if not (place / "out").exists():
        command("train", *SMALL, "--agent", "bc", "--out", "run", cwd=place)
    whole = {"estimates": {}, "task": "automaton", **dict.fromkeys(
        ("weights", "split", "samples", "temperature", "rules", "max_actions", "seed"), 1)}  # fmt: skip
    if content is not None:
        (place / "e.json").write_text(content if isinstance(content, str) else json.dumps({**whole, **content}))
    done = command("export", "run", "to", "--evaluation", "e.json", cwd=place)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (place / "to").exists()
