"""Folders whose files name their splits, as hubs of data sets have them."""

import json
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.tasks import Text
from envs.tasks.base.reading.named_splits import SPLIT_OF, Source, divided
from seqil.errors import InvalidInputError
from seqil.runs.experiment import make_task, say_doubts
from seqil.runs.settings import Settings

SPLITS = ("train", "valid", "test")
TEXTS = {split: [f"{split} {i}" for i in range(20)] for split in SPLITS}
RECORDS = [".jsonl", ".json", ".csv", ".tsv", pytest.param(".parquet", marks=pytest.mark.skipif(
    find_spec("pyarrow") is None, reason="needs the extra datasets"))]  # fmt: skip


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"text": text} for text in texts]
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".parquet":
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case ".csv" | ".tsv":
            path.write_text("\n".join(["text", *texts]))
        case _:
            path.write_text("\n".join(texts))


def items(task, split):
    n = task.available(split)
    texts = task.demonstrations(n, split, 0).replay().texts(prompt=True, eos=False)
    return sorted(task.decode(text) for text in texts)


@pytest.mark.parametrize("suffix", RECORDS)
@pytest.mark.parametrize(
    "name",
    ["{}{}", "data/{}-00000-of-00001{}", "{}/0001{}", "my_{}.v2{}", "x/{}{}", "de/{}-1{}"],
)
def test_files_keep_the_splits_that_they_name(tmp_path, name, suffix):
    for split, texts in TEXTS.items():
        write(tmp_path / name.format(split, suffix), texts)
    write(tmp_path / "README.md", ["card"])
    write(tmp_path / ("infos.csv" if suffix == ".json" else "infos.json"), ["no data"])
    task = Text(tmp_path, prompt_length=1)
    assert {split: items(task, split) for split in SPLITS} == {s: sorted(t) for s, t in TEXTS.items()}
    assert task.left_out == ["README.md", "infos.csv" if suffix == ".json" else "infos.json"]


@pytest.mark.parametrize("word", sorted(set(SPLIT_OF) - {"train"}))
def test_other_names_of_splits(tmp_path, word):
    write(tmp_path / "train.jsonl", TEXTS["train"])
    write(tmp_path / f"{word}.jsonl", ["apart"])
    task = Text(tmp_path, prompt_length=1)
    there = [split for split in SPLITS if "apart" in items(task, split)]
    assert there == [SPLIT_OF[word]]


def test_a_corpus_of_plain_text_keeps_them_as_well(tmp_path):
    for split in SPLITS:
        write(tmp_path / f"wiki.{split}.tokens", [f"<{split}>" * 60])
    task = Text(tmp_path, prompt_length=2, max_length=10)
    for split in SPLITS:
        assert f"<{split}>" in items(task, split)[0]
        assert not any(f"<{other}>" in item for other in SPLITS if other != split for item in items(task, split))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("corpus.jsonl", "test.jsonl"), "test.jsonl names a split and corpus.jsonl none.*rename 1 file"),
        (("train.csv", "valid.csv", "a.csv", "b.csv"), "valid.csv names a split and a.csv none.*rename 2 files"),
        (("train/test.jsonl", "valid.jsonl"), "valid.jsonl names a split and train/test.jsonl none"),
        (("train.txt", "test.txt", "words.txt"), "test.txt names a split and words.txt none"),
        (("valid.jsonl", "test.jsonl"), "has the splits test and valid and none of training; name one train"),
    ],
)
def test_what_would_be_learned_by_mistake_is_refused(tmp_path, names, says):
    for name in names:
        write(tmp_path / name, TEXTS["train"])
    with pytest.raises(InvalidInputError, match=says):
        Text(tmp_path, prompt_length=1)


@pytest.mark.parametrize(
    "names",
    [("a.jsonl", "b.jsonl"), ("train.jsonl", "more.jsonl"), ("novel.txt", "testing_times.txt"), ("train.py", "test.py"),
     ("test-1.jsonl", "test-2.jsonl"), ("latest.jsonl", "contest.jsonl")],
)  # fmt: skip
def test_names_that_say_nothing_divide_nothing(tmp_path, names):
    for name, split in zip(names, SPLITS, strict=False):
        write(tmp_path / name, TEXTS[split])
    task = Text(tmp_path, prompt_length=1, max_length=12)
    assert not task.left_out
    assert min(task.available(split) for split in SPLITS) > 0


@given(st.lists(st.sampled_from(["train", "valid", "test", "a", "b"]), unique=True, min_size=1), st.booleans())
def test_no_file_is_read_as_two_splits_or_lost(tmp_path_factory, names, card):
    folder = tmp_path_factory.getbasetemp()
    found = [Source(f"{name}.jsonl", folder / f"{name}.jsonl") for name in names]
    found += [Source("README.md", folder / "README.md")] * card
    try:
        kept, left_out = divided(folder, found)
    except InvalidInputError:
        assert {"valid", "test"} & set(names)
        return
    assert [*(source.name for source in kept), *left_out] == [source.name for source in found]
    assert left_out in ([], ["README.md"])
    named = {source.split for source in kept}
    assert named == {None} or named == {source.name.removesuffix(".jsonl") for source in kept}


def test_what_is_left_out_is_said(tmp_path, capsys):
    for split in SPLITS:
        write(tmp_path / f"{split}.jsonl", TEXTS[split])
    for name in ("LICENSE", "README.md"):
        write(tmp_path / name, ["x"])
    settings = Settings.of({"task": "text", "task_options": {"path": str(tmp_path), "prompt_length": 1}})
    say_doubts(settings, make_task(settings))
    assert "LICENSE (and 1 other file) is left out: files beside it name the splits" in capsys.readouterr().err


@pytest.mark.parametrize(("test", "empty"), [(TEXTS["train"], "train"), ([], "test")])
def test_a_split_that_is_named_and_left_with_nothing_is_refused(tmp_path, test, empty):
    """The same documents in two splits are those of the first file; what has none is not cut out of training."""
    write(tmp_path / "train.jsonl", TEXTS["train"])
    write(tmp_path / "test.jsonl", test)
    with pytest.raises(InvalidInputError, match=rf"the split {empty} is named, and is empty, or holds nothing"):
        Text(tmp_path, prompt_length=2, max_length=12)


def test_a_number_without_end_in_a_record_is_said(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ' + "9" * 5000 + "}\n")
    with pytest.raises(InvalidInputError, match="line 1 is not JSON: a number has more digits than Python reads"):
        Text(tmp_path / "a.jsonl", prompt_length=2, max_length=12)


def test_a_picture_of_pages_is_no_text_though_it_be_ascii(tmp_path):
    (tmp_path / "a.txt").write_text("%PDF-1.4\n" + "1 0 obj\n" * 99)
    with pytest.raises(InvalidInputError, match=r"a\.txt cannot be read as UTF-8 text: it holds binary data"):
        Text(tmp_path / "a.txt", prompt_length=2, max_length=12)


def test_columns_of_one_name_and_files_cut_short_are_told_of_in_parquet(tmp_path):
    table = pytest.importorskip("pyarrow").Table.from_arrays([["a"] * 9, ["b"] * 9], names=["text", "text"])
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InvalidInputError, match=r"a.parquet has the column 'text' twice; rename one"):
        Text(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    with pytest.raises(
        InvalidInputError, match=r"b.parquet cannot be read as Parquet: .*; write it anew, or take it out"
    ):
        Text(tmp_path / "b.parquet")
