"""Runs of agents whose policy sees whole texts: trained, resumed, sampled and measured from the command line."""

import json
import random
import sys
import xml.etree.ElementTree as ET

import pytest
from command_line import refused

from seqil.cli.options import main
from seqil.mdp.rendering import marked

SMALL = ["--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "64", "--batch-size", "8"]


@pytest.mark.parametrize(
    ("task", "option", "agent", "writing", "more"),
    [
        ("potentials", "length=5", "ice", "attribute=true", ["--agent-option", "tag=true"]),
        ("chain", "delay=2", "edit_dagger", "", ["--agent-option", "states=2"]),
        ("dyck", "length=6", "masked", "order=random_scan", ["--agent-option", "quality=true"]),
        ("dyck", "length=6", "parallel", "", ["--agent-option", "queries=2"]),
        ("scan", "split=length", "parallel_em", "", ["--agent-option", "queries=2", "--agent-option", "beta=1.0"]),
    ],
)
def test_a_run_is_trained_resumed_sampled_and_measured(
    task, option, agent, writing, more, tmp_path, monkeypatch, capsys
):
    out, before = tmp_path / "run", random.getstate()
    edits = agent in ("ice", "edit_dagger")
    revises = edits or agent == "masked"

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return " ".join(capsys.readouterr().out.split("\n"))

    asked = ["--task", task, "--task-option", option, "--agent", agent, "--steps", "3", *SMALL, *more]
    assert "forward positions per net token" in run("train", "--out", out, *asked)
    assert "resumed at step 3 of 4" in run("train", "--out", out, "--resume", "--steps", "4")
    shown = run("sample", out, "-n", "3", "--format", "json", "--record", tmp_path / "it.svg")
    samples = [json.loads(line) for line in shown.replace("} {", "}\n{").splitlines()]
    assert len(samples) == 3
    marks = run("sample", out, "-n", "3", "--format", "marks")
    assert all("".join(text for text, gone in one["spans"] if not gone) == one["text"] for one in samples)
    assert all(f"{one['prompt']}[|]{marked(one['spans'])}" in marks for one in samples)
    picture = ET.parse(tmp_path / "it.svg").getroot()
    shown = [piece.text for piece in picture if "g" in piece.get("class", "").split()]
    assert bool(shown) == any(gone for one in samples for _, gone in one["spans"]) >= revises
    assert ("[-" in run("inspect", out, "-n", "4", "--texts", "4", "--page", tmp_path / "it.html")) >= revises
    assert ("<del>" in (tmp_path / "it.html").read_text(encoding="utf-8")) >= revises
    run("evaluate", out, "-n", "4", "--json", tmp_path / "numbers.json")
    estimates = json.loads((tmp_path / "numbers.json").read_text())["estimates"]
    assert "success" in estimates
    assert "nll_per_token" not in estimates
    _written_otherwise(run, out, writing)
    for command in ("sample", "evaluate", "inspect"):
        culprit = "writes, 'blocks'; known: " if revises else "blocks: there is one way in which"
        refused(monkeypatch, capsys, [command, str(out), "--writing", "blocks=2"], culprit)
    if revises:
        name = "steps" if edits else "sweeps"
        refused(monkeypatch, capsys, ["sample", str(out), "--writing", f"{name}=x"], f"--writing: {name}='x' is not an")
    if edits:
        asked = ["--writing", "candidates=100000"]
        refused(monkeypatch, capsys, ["sample", str(out), *asked], "candidates=100,000: a text has")
    refused(monkeypatch, capsys, ["export", str(out), "it"], "load the newest folder below checkpoints by")
    for command, option, said in (
        ("sample", ["--temperature", "inf"], "temperature=inf must be 0"),
        ("sample", ["--stream"], "--stream is for policies that write token by token"),
        ("evaluate", ["--rule", "tabu"], "leave them out, and see --writing"),
    ):
        refused(monkeypatch, capsys, [command, str(out), *option], said)
    for idle in (
        ["sample", out],
        ["evaluate", out],
        ["inspect", out],
        ["train", "--resume", "--steps", "5", "--out", out],
    ):
        refused(monkeypatch, capsys, [*map(str, idle), "--max-actions", "9"], "--max-actions would do nothing")
    random.setstate(before)  # which loading a masked model of transformers advances


def _written_otherwise(run, out, writing):
    """Twice as many sweeps or edits feed as many cells more, in each command."""
    if not writing:
        return
    name, most = ("steps", 6) if "attribute" in writing else ("sweeps", 4)

    def fed(number):
        asked = ["--writing", f"{name}={number}", "--writing", writing]
        shown = run("evaluate", out, "-n", "4", *asked, "--json", out / "numbers.json")
        assert f"temperature 1, {name}={number}, {writing}" in shown
        assert "actions a text" not in shown
        found = json.loads((out / "numbers.json").read_text())
        assert found["writing"][name] == number
        assert f"{name}={number}, {writing}, seed 0." in run("inspect", out, "-n", "4", *asked)
        run("sample", out, "-n", "2", *asked)
        return found["estimates"]["forwards_per_net_token"]["value"]

    assert fed(most) > 1.3 * fed(most // 2)


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
