"""Texts of files: windows, splits, and what cannot be read."""

import itertools

import pytest

from envs.tasks import Text
from envs.tasks.corpora.pydoc import PyDoc, encode, snapshot
from seqil.errors import InvalidInputError
from seqil.testing import check_task


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "a.txt").write_text("".join(f"line {i}, squared {i * i}\n" for i in range(30_000)))
    (folder / "b.md").write_text("é" * 5000)
    return folder


def test_text_keeps_the_contract(text_folder):
    check_task(Text(str(text_folder)))


def test_pydoc_is_its_snapshot():
    task = PyDoc()
    joined = "\0".join(text for _, text in snapshot())
    for window in task.windows.texts("test")[:50]:
        assert task.decode(window) in joined
    assert encode(task.decode([0, 1, 95])) == [0, 1, 95]


def test_pydoc_windows_of_different_splits_share_nothing():
    windows = PyDoc().windows
    for a, b in itertools.combinations(map(windows.texts, ("train", "valid", "test")), 2):
        assert not set(a) & set(b)


def test_pydoc_first_unknown_word():
    task = PyDoc()
    prompt, tokens = encode("Return the fo"), encode("rmat of the zzyqx string, zzy")
    at = task.first_unknown_word(prompt, tokens)
    assert task.decode(tokens[: at + 1]).endswith("zzyqx")
    assert task.first_unknown_word(prompt, encode("rmat of the str")) is None
    t = task.demonstrations(100, "test", 0)
    rows = zip(task.prompts(100, "test", 0), t.replay().texts(), strict=True)
    assert all(task.first_unknown_word(p, x) is None for p, x in rows)


def test_text_of_one_file_and_of_a_folder(text_folder):
    one, folder = Text(str(text_folder / "a.txt")), Text(str(text_folder))
    assert (one.min_length, folder.min_length) == (96, 0)  # of two documents each has an end
    assert len(folder.windows.places) == len(one.windows.places) + 3  # both ends, and "é" over and over
    assert one.decode(one.prompts(1, "train", 0)[0]) in (text_folder / "a.txt").read_text()


def test_what_cannot_be_read_is_named(tmp_path, text_folder, monkeypatch):
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "binary.bin").write_bytes(b"\xff\xfe" * 500)
    (tmp_path / "short.txt").write_text("too short")
    (tmp_path / "folder").mkdir()
    for name, complaint in {
        "nowhere": "does not exist",
        "empty.txt": "is empty",
        "binary.bin": "cannot be read as UTF-8",
        "short.txt": "holds no window of 32",
        "folder": "holds no files",
    }.items():
        with pytest.raises(InvalidInputError, match=rf"{name}.*{complaint}"):
            Text(str(tmp_path / name))
    with pytest.raises(InvalidInputError, match=r"is an address; nothing is downloaded: fetch it first"):
        Text("https://example.org/text.txt")
    with pytest.raises(InvalidInputError, match=r"there is no tokenizer in .*: tokenizer.json or .* is missing"):
        Text(str(text_folder), tokenizer=str(tmp_path / "folder"))

    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on stdin"))
    (tmp_path / "folder" / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["code.T", null]}}')
    (tmp_path / "folder" / "config.json").write_text('{"model_type": "foreign"}')
    with pytest.raises(InvalidInputError, match=r"tokenizer .* cannot be loaded: .* custom code"):
        Text(str(text_folder), tokenizer=str(tmp_path / "folder"))

    class NoEnd:
        eos_token_id = None

    with pytest.raises(InvalidInputError, match="no eos token"):
        Text(str(text_folder), tokenizer=NoEnd())
