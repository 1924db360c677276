"""Runs of agents whose policy sees whole texts: trained, resumed, sampled and measured from the command line."""

import json
import random
import sys

import pytest
from command_line import refused

from seqil.cli.options import main

SMALL = ["--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "64", "--batch-size", "8"]


@pytest.mark.parametrize(
    ("task", "option", "agent", "more"),
    [
        ("potentials", "length=5", "ice", ["--agent-option", "tag=true"]),
        ("dyck", "length=6", "masked", ["--agent-option", "quality=true"]),
        ("dyck", "length=6", "parallel", ["--agent-option", "queries=2"]),
        ("scan", "split=length", "parallel_em", ["--agent-option", "queries=2", "--agent-option", "beta=1.0"]),
    ],
)
def test_a_run_is_trained_resumed_sampled_and_measured(task, option, agent, more, tmp_path, monkeypatch, capsys):
    out, before = tmp_path / "run", random.getstate()

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return " ".join(capsys.readouterr().out.split("\n"))

    asked = ["--task", task, "--task-option", option, "--agent", agent, "--steps", "3", *SMALL, *more]
    assert "forward positions per net token" in run("train", "--out", out, *asked)
    assert "resumed at step 3 of 4" in run("train", "--out", out, "--resume", "--steps", "4")
    assert run("sample", out, "-n", "3", "--format", "json").count('"ended"') == 3
    run("evaluate", out, "-n", "4", "--json", tmp_path / "numbers.json")
    estimates = json.loads((tmp_path / "numbers.json").read_text())["estimates"]
    assert "success" in estimates
    assert "nll_per_token" not in estimates
    random.setstate(before)  # which loading a masked model of transformers advances


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["--task", "automaton", "--agent", "ice"], "has no attribute to be raised"),
        (
            ["--task", "automaton", "--agent", "masked", "--memory", "tried"],
            "setting memory='tried' is of no use to masked",
        ),
        (["--task", "potentials", "--agent", "ice", "--agent-option", "warm_up=0.5"], "no warm-up"),
        (["--task", "automaton", "--agent", "parallel", "--agent-option", "queries=0"], "queries=0"),
    ],
)
def test_what_they_have_no_use_for_is_refused(arguments, culprit, tmp_path, monkeypatch, capsys):
    refused(monkeypatch, capsys, ["train", "--out", str(tmp_path / "run"), "--steps", "2", *SMALL, *arguments], culprit)
    assert not (tmp_path / "run").exists()
