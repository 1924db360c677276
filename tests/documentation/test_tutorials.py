"""The tutorials run, as they stand but for the length of training; as they stand they show what they promise."""

import re
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
SHORT = {"STEPS": "2", "BUDGET": "2e3", "N": "8"}


def run(name, monkeypatch, folder, short=True):
    """The names that a tutorial leaves."""
    script = TUTORIALS / f"{name}.py"
    text = script.read_text(encoding="utf-8")
    if short:
        text, n = re.subn(r"^(STEPS|BUDGET|N) = \S+", lambda m: f"{m[1]} = {SHORT[m[1]]}", text, flags=re.MULTILINE)
        assert n
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(TUTORIALS.parents[1]))
    names = {"__name__": "__main__", "__file__": str(script)}
    exec(compile(text, script.name, "exec"), names)
    return names


NAMES = [script.stem for script in sorted(TUTORIALS.glob("*.py"))]


LONG = {"105_a_study_of_ones_own": pytest.mark.slow}  # it starts processes


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG.get(name, ())) for name in NAMES])
def test_a_tutorial_runs(name, monkeypatch, tmp_path):
    names = run(name, monkeypatch, tmp_path)
    if name.startswith("101"):
        assert "<svg" in (tmp_path / "runs" / "101" / "inspection.html").read_text(encoding="utf-8")
    if name.startswith("102"):
        assert names["agreement"](names["prompt"], names["tokens"]) == pytest.approx(names["total"])
        assert names["total"] == pytest.approx(0.2)


@pytest.mark.slow
def test_tutorials_show_what_they_promise(monkeypatch, tmp_path):
    right = {}
    for name in ("103_an_agent_of_ones_own", "104_a_task_with_an_exact_teacher"):
        found = run(name, monkeypatch, tmp_path, short=False)["found"]
        right[name[:3]] = {arm: measured["success"].value for arm, measured in found.items()}
    assert right["103"]["GAIL"] < right["103"]["cloning"]
    assert right["103"]["never seen"] > 0.3
    assert right["104"]["DAgger"] > right["104"]["cloning"] + 0.1
