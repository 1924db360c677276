"""`seqil sample`: prompts of one's own, forms of showing, text as it is written."""

import gzip
import html
import json
import re
import sys

import pytest
from command_line import refused

from seqil.cli.options import main
from seqil.errors import visible


def typed(monkeypatch, capsys, *arguments):
    """What a command prints."""
    monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert not stopped.value.code, shown.err
    return shown.out


@pytest.fixture(scope="module")
def novel(tmp_path_factory):
    """A run on text, barely trained."""
    folder = tmp_path_factory.mktemp("novel")
    (folder / "novel.txt").write_text("It was a bright cold day in April,\nand the clocks were striking.\n" * 20)
    options = ["path=novel.txt", "prompt_length=8", "max_length=24"]
    chosen = ["--task", "text", "--agent", "bc", *(x for o in options for x in ("--task-option", o))]
    small = ["--steps", "2", "--layers", "1", "--width", "16", "--heads", "2", "--batch-size", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["seqil", "train", *chosen, *small, "--out", "run", "--demonstrations", "4"])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder / "run"


def parsed(shown):
    return [json.loads(line) for line in shown.splitlines()]


def test_json_holds_all_and_nothing_else(novel, monkeypatch, capsys):
    rows = parsed(typed(monkeypatch, capsys, "sample", novel, "-n", 3, "--format", "json", "--split", "train"))
    assert len(rows) == 3
    for row in rows:
        assert set(row) == {"prompt", "text", "spans", "ended"}
        assert len(row["prompt"]) == 8
        assert row["text"] == "".join(text for text, deleted in row["spans"] if not deleted)
    assert any(deleted for row in rows for _, deleted in row["spans"])


def test_without_a_terminal_deletions_are_marked(novel, monkeypatch, capsys):
    same = ["sample", novel, "-n", 3, "--split", "train"]
    rows = parsed(typed(monkeypatch, capsys, *same, "--format", "json"))
    expected = "\n---\n".join(
        f"{row['prompt']}[|]" + "".join(f"[-{text}-]" if gone else text for text, gone in row["spans"]) for row in rows
    )
    expected = visible(expected)
    shown = typed(monkeypatch, capsys, *same)
    assert shown.startswith(expected + "\n")
    assert "\x1b" not in shown
    assert "\x1b" in typed(monkeypatch, capsys, *same, "--format", "ansi")


def test_a_prompt_of_ones_own(novel, monkeypatch, capsys, tmp_path):
    (tmp_path / "prompt.txt").write_text("the clocks were\n")
    own = ["--prompt", "It was", "--prompt", "", "--prompt-file", tmp_path / "prompt.txt", "-n", 2]
    rows = parsed(typed(monkeypatch, capsys, "sample", novel, *own, "--format", "json", "--max-length", 5))
    assert [row["prompt"] for row in rows] == ["It was", "It was", "", "", "the clocks were", "the clocks were"]
    assert all(len(row["text"]) <= 5 for row in rows)
    refused(
        monkeypatch, capsys, ["sample", str(novel), "--prompt-file", "nowhere"], "--prompt-file nowhere does not exist"
    )
    for content, said in {
        "the".encode("utf-16"): "it is UTF-16; save it as UTF-8 first",
        gzip.compress(b"the"): "it is compressed; unpack it first",
        b"caf\xe9": "it holds the byte 0xe9, which is none of UTF-8",
    }.items():
        (tmp_path / "odd.txt").write_bytes(content)
        refused(monkeypatch, capsys, ["sample", str(novel), "--prompt-file", str(tmp_path / "odd.txt")], said)
    refused(monkeypatch, capsys, ["sample", str(novel), "--prompt", "x", "--split", "test"], "--split would do nothing")
    refused(monkeypatch, capsys, ["sample", str(novel), "--prompt", "x" * 99], "positions")


def test_a_stream_ends_as_the_sample(novel, monkeypatch, capsys):
    same = ["sample", novel, "-n", 3, "--split", "train", "--temperature", 0.7]
    rows = parsed(typed(monkeypatch, capsys, *same, "--format", "json"))
    shown = typed(monkeypatch, capsys, *same, "--stream")
    standing = []
    for character in shown:
        _ = standing.pop() if character == "⌫" else standing.append(character)
    expected, apart = "", any("\n" in row["prompt"] for row in rows)
    for number, row in enumerate(rows):
        apart = apart or any("\n" in before["text"] for before in rows[:number])
        expected += "---\n" * bool(number and apart) + row["prompt"] + row["text"] + "\n"
    assert "---" in expected
    assert "".join(standing).startswith(visible(expected))
    for form in ("json", "marks", "ansi"):
        refused(
            monkeypatch, capsys, ["sample", str(novel), "--stream", "--format", form], f"--format {form} once it is"
        )


def test_a_recording_is_of_the_sample(novel, monkeypatch, capsys, tmp_path):
    same = ["sample", novel, "-n", 2, "--split", "train"]
    rows = parsed(typed(monkeypatch, capsys, *same, "--format", "json", "--record", tmp_path / "text.svg"))
    picture = (tmp_path / "text.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    texts = html.unescape(re.search(r'aria-label="[^:]+: (.*?)">', picture, re.DOTALL)[1])
    kept = re.sub(r"\[-.*?-\]", "", texts, flags=re.DOTALL)
    assert kept == visible(" / ".join(row["prompt"] + row["text"] for row in rows))
    assert kept != texts
    refused(monkeypatch, capsys, ["sample", str(novel), "--record", str(tmp_path / "no" / "x.svg")], "--record")


def test_a_text_of_a_window_may_be_shorter_where_one_asks_for_it(novel, monkeypatch, capsys):
    asked = [
        "sample",
        novel,
        "--prompt",
        "It",
        "-n",
        4,
        "--rule",
        "grammar=[a-z]{2,5}",
        "--max-length",
        8,
        "--format",
        "json",
    ]
    refused(
        monkeypatch, capsys, list(map(str, asked)), "has no text of 8 to 8 tokens; give other lengths (of seqil sample"
    )
    rows = parsed(typed(monkeypatch, capsys, *asked, "--min-length", 0, "--max-actions", 200))
    assert all(re.fullmatch("[a-z]{2,5}", row["text"]) for row in rows if row["ended"])
    assert any(row["ended"] for row in rows)
