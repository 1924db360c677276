"""The command line measures what the study measures, and says with which budget."""

import json

import pytest
from command_line import command

from benchmarks.compounding_error.running.measurement import measured
from benchmarks.compounding_error.study import Decoding, Place
from seqil import TokenPolicy
from seqil.runs import strict_json
from seqil.runs.checkpoint import RunFolder
from seqil.runs.experiment import make_task
from seqil.runs.resumption import settings_of

SMALL = ["--steps", "60", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "200"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    options = ["--task", "chain", "--agent", "bc", "--noise-rate", ".3", *SMALL]
    done = command("train", "--out", "run", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "unfinished after 200 actions" in done.stdout
    return folder


def evaluated(folder, *more):
    done = command("evaluate", "run", "-n", "60", "--json", "out.json", *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("asked", [None, 31])
def test_evaluate_gives_the_numbers_of_the_study(folder, asked):
    shown, found = evaluated(folder, *([] if asked is None else ["--max-actions", str(asked)]))
    run = RunFolder(folder / "run")
    task = make_task(settings_of(run))
    policy = TokenPolicy.from_pretrained(run.latest(), task.vocabulary)
    place = Place("chain", {"task": "chain"}, budget=1, samples=60, error="", max_actions=asked)
    study = measured(task, policy, Decoding(), place, seed=0)
    assert found["max_actions"] == study["max_actions"] == (asked or 200)
    theirs = json.loads(strict_json.dumps(study["estimates"]))  # what is not finite in the form of records
    assert found["estimates"] == {name: theirs[name] for name in found["estimates"]}
    assert f"at most {asked or 200} actions a text" in " ".join(shown.split())


def test_a_larger_budget_leaves_fewer_unfinished(folder):
    few, many = (evaluated(folder, "--max-actions", n)[1]["estimates"]["unfinished"]["value"] for n in ("6", "400"))
    assert few > many


def test_sample_and_train_take_a_budget(folder):
    shown = command("sample", "run", "-n", "3", "--max-actions", "9", cwd=folder)
    assert "unfinished after 9 actions" in shown.stdout
    done = command("train", "--out", "run", "--resume", "--max-actions", "17", cwd=folder)
    assert "unfinished after 17 actions" in done.stdout, done.stderr
    refused = command("evaluate", "run", "--max-actions", "0", cwd=folder)
    assert refused.returncode == 2
    assert "--max-actions" in refused.stderr
