"""Files of any size: read in constant memory, kept as ids, cut into windows that tile documents."""

import errno
import shutil
import tracemalloc

import numpy as np
import pytest
from byte_tokenizer import byte_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from envs.tasks import Text
from envs.tasks.base import corpus, counters
from envs.tasks.base.excerpts import Windows
from envs.tasks.base.reading import plain_text
from seqil import Vocabulary
from seqil.durable import UnwrittenError
from seqil.errors import InvalidInputError


@pytest.mark.parametrize("tokenizer", [None, byte_tokenizer()])
def test_large_files_are_kept_as_ids_and_read_again(tmp_path, monkeypatch, tokenizer):
    (tmp_path / "a.txt").write_text("".join(f"line {i} of a text\n" for i in range(5000)))
    small = Text(tmp_path / "a.txt", tokenizer)
    monkeypatch.setattr(corpus, "_KEPT", 1)
    monkeypatch.setattr(plain_text, "_PIECE", 1000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    large = Text(tmp_path / "a.txt", tokenizer)
    kept = list(tmp_path.glob("seqil-text-*/*/ids"))
    assert len(kept) == 1
    assert isinstance(large.windows.ids, np.memmap)
    for split in ("train", "valid", "test"):
        assert large.windows.texts(split) == small.windows.texts(split)
    monkeypatch.setattr(corpus, "_write", lambda *_: pytest.fail("written again"))
    assert Text(tmp_path / "a.txt", tokenizer).windows.texts("test") == small.windows.texts("test")
    assert not list(tmp_path.glob("seqil-text-*/.*"))


def _refused(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("damage", ["junk", "shorter", "missing", "a file in its place"])
@pytest.mark.parametrize("name", ["ids", "documents.npy", "sums.json"])
def test_what_was_kept_and_is_damaged_is_written_anew(tmp_path, monkeypatch, name, damage):
    (tmp_path / "a.txt").write_text("".join(f"line {i} of a text\n" for i in range(500)))
    small = Text(tmp_path / "a.txt").windows
    monkeypatch.setattr(corpus, "_KEPT", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Text(tmp_path / "a.txt").windows.texts("test") == small.texts("test")
    (kept,) = tmp_path.glob(f"seqil-text-*/*/{name}")
    whole = kept.read_bytes()
    if damage == "a file in its place":
        shutil.rmtree(kept.parent)
        kept.parent.write_bytes(whole)
    elif damage == "missing":
        kept.unlink()
    else:
        kept.write_bytes(whole[: len(whole) // 2] + b"\0\1" * (len(whole) // 4 if damage == "junk" else 0))
    assert Text(tmp_path / "a.txt").windows.texts("test") == small.texts("test")
    assert kept.read_bytes() == whole


def test_a_disk_that_keeps_nothing_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a line\n" * 500)
    monkeypatch.setattr(corpus, "_KEPT", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(np, "save", _refused)
    with pytest.raises(UnwrittenError, match=r"seqil-text.*No space left.*free some space, or set TMPDIR"):
        Text(tmp_path / "a.txt")
    assert not [*tmp_path.glob("seqil-text-*/*"), *tmp_path.glob("seqil-text-*/.*")]
    (cache,) = tmp_path.glob("seqil-text-*")
    cache.rmdir()
    cache.write_text("")
    with pytest.raises(UnwrittenError, match=r"seqil-text.*set TMPDIR"):
        Text(tmp_path / "a.txt")


def test_what_cannot_be_read_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n' * 50 + "{")
    monkeypatch.setattr(corpus, "_KEPT", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InvalidInputError, match="line 51 is not JSON"):
        Text(tmp_path / "a.jsonl")
    assert not list(tmp_path.glob("seqil-text-*/*"))
    assert not list(tmp_path.glob("seqil-text-*/.*"))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    line = "a line of a text that goes on, number "
    with (tmp_path / "a.txt").open("w") as file:
        for i in range(4_000_000):
            file.write(f"{line}{i}\n")
    tracemalloc.start()
    task = Text(tmp_path / "a.txt")
    task.demonstrations(100, "train", 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (tmp_path / "a.txt").stat().st_size
    assert size > 160e6
    assert peak < 80 * size / 128 + 64e6


@given(st.integers(1, 40), st.integers(1, 3000))
def test_the_first_of_a_shuffle(k, n):
    k = min(k, n)
    assert counters.first_shuffled(k, n, "a", 1).tolist() == counters.shuffled(n, "a", 1)[:k].tolist()


def test_the_first_of_a_long_shuffle():
    n = (1 << 21) + 5
    assert counters.first_shuffled(9, n, "a").tolist() == counters.shuffled(n, "a")[:9].tolist()


@given(st.lists(st.lists(st.integers(0, 2), max_size=12), min_size=1, max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_windows_tile_documents(given_documents, prompt_length, max_length):
    """Every token beyond a document's first is in exactly one text, or in a prompt; no text crosses a border."""
    rows, at = [], 0
    for number, ids in enumerate(given_documents):
        if ids:
            rows.append((at, -1, len(ids), 0, number, 0))
        at += len(ids)
    if len(rows) < 2:
        return
    ids = np.arange(at)  # so that no two items are equal
    made = corpus.Corpus(ids, np.array(rows), ["a"], [])
    windows = Windows.of_documents("a", Vocabulary(at + 1, at), prompt_length, max_length, made)
    assert (windows.splits >= 0).all()
    borders = [(begun, begun + length) for begun, _, length, *_ in rows]
    written = []
    for begun, before, length in windows.places.tolist():
        _, high = next(border for border in borders if border[0] <= begun < border[1])
        assert before >= 1
        assert begun + before + length <= high
        assert length == max_length or begun + before + length == high
        written += range(begun + before, begun + before + length)
    assert len(written) == len(set(written))
    ends = {begun + before + length for begun, before, length in windows.places.tolist()}
    assert ends >= {high for _, high in borders}
