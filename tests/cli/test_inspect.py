"""`seqil inspect`: what it shows of runs is what their folders and their texts hold."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from command_line import SMALL, refused

from seqil.cli.options import main
from seqil.cli.reporting.inspecting import sparkline
from seqil.cli.reporting.inspection import Sampling, comparison_table, inspected, settings_table
from seqil.errors import InvalidInputError


def typed(*arguments):
    """Run a command in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Cloning with a backspace, and without; they differ in that, in their mistakes and in their seed."""
    folder = tmp_path_factory.mktemp("runs")
    same = ["train", *SMALL, "--agent", "bc", "--steps", 20]
    typed(*same, "--noise-rate", 0.3, "--out", folder / "one")
    typed(*same, "--no-backspace", "--seed", 1, "--out", folder / "two")
    return [folder / "one", folder / "two"]


HOW = Sampling(n=20, split="test", temperature=1.0, rules=(), max_actions=None, seed=0, best=False)


def test_settings_are_those_that_differ(runs):
    head, *rows = settings_table(inspected(runs, HOW))
    assert head == ["setting", "one", "two"]
    expected = {"backspace": ["True", "False"], "noise_rate": ["0.3", "0.05"], "seed": ["0", "1"]}
    assert {name: cells for name, *cells in rows} == expected
    alone = {name: cells[0] for name, *cells in settings_table(inspected(runs[:1], HOW))[1:]}
    assert (alone["agent"], alone["steps"]) == ("bc", "20")
    assert "seed" not in alone  # which is the default


def test_runs_of_one_name_are_told_apart_by_their_paths(runs, tmp_path):
    (tmp_path / "one").symlink_to(runs[1])
    shutil.copytree(runs[0], tmp_path / "two")
    named = [run.name for run in inspected([runs[1], tmp_path / "two"], HOW)]
    assert named == [str(runs[1]), str(tmp_path / "two")]
    with pytest.raises(InvalidInputError, match="a run is named twice"):
        inspected([runs[1], tmp_path / "one"], HOW)


def test_texts_are_compared_one_by_one(runs):
    one, two = inspected(runs, HOW)
    table = {row[0]: row for row in comparison_table([one, two])}
    gaps = (two.sample.cost.actions - one.sample.cost.actions).astype(float)
    assert gaps.any()
    value = float(re.match(r"(\S+) \[", table["actions, actions per text ↓"][1])[1])
    assert value == pytest.approx(gaps.mean(), rel=1e-3)
    half = 2.0930 * gaps.std(ddof=1) / np.sqrt(20)  # Student's t at 19
    low, high = map(float, re.search(r"\[(.+), (.+)\]", table["actions, actions per text ↓"][1]).groups())
    assert (low, high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), rel=1e-2)
    assert comparison_table([one]) == []


def test_texts_are_those_of_sample_and_evaluate(runs, capsys):
    (one,) = inspected(runs[:1], HOW)
    capsys.readouterr()
    typed("sample", runs[0], "-n", 20, "--format", "json")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one.text(row) for row in range(20)] == [(r["prompt"], [tuple(s) for s in r["spans"]]) for r in rows]
    typed("evaluate", runs[0], "-n", 20, "--json", runs[0] / "numbers.json")
    numbers = json.loads((runs[0] / "numbers.json").read_text())["estimates"]
    assert one.measured["nll_per_token"].value == numbers["nll_per_token"]["value"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_all_of_it_is_shown_at_any_width(runs, columns, capsys, monkeypatch):
    monkeypatch.setattr("seqil.cli.commands.console.width", columns, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    typed("inspect", *runs, "-n", 20, "--texts", 2)
    shown = capsys.readouterr().out
    for title in ("Settings that differ", "Curves", "Costs", "Evaluation", "Compared with", "Texts"):
        assert title in shown
    flat = " ".join(shown.split())
    assert "share of texts ↑" in flat
    assert "noise_rate" in flat
    assert shown.count("after: ") == 2


def test_the_page_holds_the_same_and_loads_nothing(runs, tmp_path):
    log = runs[0] / "metrics.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"step": 20, "lo')  # as a crash leaves it
    typed("inspect", *runs, "-n", 20, "--texts", 2, "--page", tmp_path / "page.html")
    log.write_text(whole)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    one, two = inspected(runs, HOW)
    assert page.count("<dl>") == 2
    assert sum(deleted for row in range(2) for _, deleted in one.text(row)[1]) == page.count("<del>") > 0
    assert not any(deleted for row in range(2) for _, deleted in two.text(row)[1])
    assert page.count("<polyline") >= 2
    assert "http" not in page.replace("http-equiv", "")


def test_what_cannot_be_compared_is_refused(runs, tmp_path, monkeypatch, capsys):
    longer = ["horizon=6" if part == "horizon=8" else part for part in SMALL]
    typed("train", *longer, "--agent", "bc", "--steps", 1, "--out", tmp_path / "other")
    capsys.readouterr()
    one = str(runs[0])
    refused(monkeypatch, capsys, ["inspect", one, str(tmp_path / "other")], "is of task automaton with")
    refused(monkeypatch, capsys, ["inspect", one, one], "named twice")
    refused(monkeypatch, capsys, ["inspect", str(tmp_path)], "is not the folder of a run")
    refused(monkeypatch, capsys, ["inspect", one, "--split", "trian"], "unknown split 'trian'")
    refused(monkeypatch, capsys, ["inspect", one, "--page", str(tmp_path / "no" / "page.html")], "--page")
    refused(monkeypatch, capsys, ["inspect", one, "--best"], "holds no best checkpoint")


def test_a_sparkline_rises_and_falls():
    assert sparkline([0.0, 7.0]) == "0 ▁█ 7"
    assert sparkline([3.0, 3.0]) == "3 ▁▁ 3"
    bars = sparkline([float(x) for x in range(400)]).split()[1]
    assert len(bars) == 40
    assert list(bars) == sorted(bars)


def test_inspection_leaves_the_random_state(runs):
    before = torch.get_rng_state()
    inspected(runs[:1], HOW)
    assert torch.equal(before, torch.get_rng_state())
