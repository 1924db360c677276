"""The tutorials do what they show, with fewer steps here and as they are among the slow tests."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.cli.options import main
from seqil.randomness import seeded

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "201_hugging_face.md"
SHORT = {
    "[::4]": "[::60]",
    "max_steps=600": "max_steps=3",
    "max_steps=20": "max_steps=2",
    "--steps 210": "--steps 2",
    "--steps 200": "--steps 2",
    "at_most(200": "at_most(12",
    "at_most(400": "at_most(8",
}


def run(page, monkeypatch, capsys):
    """What each block printed, and the names that Python blocks left behind."""
    names, shown = {"__name__": "tutorial"}, []
    for kind, block in re.findall(r"^```(bash|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        if "from trl" in block and importlib.util.find_spec("trl") is None:
            continue
        if kind == "python":
            with seeded(0):
                exec(compile(block, str(PAGE), "exec"), names)
        for line in block.splitlines() if kind == "bash" else ():
            monkeypatch.setattr("sys.argv", shlex.split(line))
            with pytest.raises(SystemExit) as ended:
                main()
            assert not ended.value.code, line
        shown.append(capsys.readouterr().out)
    return names, shown


def checked(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    names, shown = run(page, monkeypatch, capsys)
    lines = [line for part in shown for line in part.splitlines() if "bits per byte" in line]
    assert [line.split()[0] for line in lines] == ["plain", "whole", "lora"]
    assert lines[0].endswith(" 0 deletions")
    written = names["tokenizer"].decode(names["ids"][0, names["start"].shape[1] :], skip_special_tokens=True)
    assert re.fullmatch("[A-Z]{3,12}", written)
    costs = [int(n.replace(",", "")) for part in shown for n in re.findall(r"trained on ([\d,]+) positions", part)]
    return names, lines, costs


@pytest.mark.filterwarnings("ignore")
def test_the_way_through_hugging_face_in_short(tmp_path, monkeypatch, capsys):
    page = PAGE.read_text(encoding="utf-8")
    for whole, short in SHORT.items():
        assert whole in page
        page = page.replace(whole, short)
    checked(page, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_way_through_hugging_face(tmp_path, monkeypatch, capsys):
    _, lines, costs = checked(PAGE.read_text(encoding="utf-8"), tmp_path, monkeypatch, capsys)
    bits = [float(line.split()[1]) for line in lines]
    assert max(costs) < 1.03 * min(costs)
    assert max(bits) < 1.1 * min(bits)
    assert max(bits) < 4
