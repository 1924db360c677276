"""Text of one's own: documents that end, records, prompts with completions, and splits."""

import bz2
import csv
import gzip
import itertools
import json
import logging
import lzma
import os
import sys
from importlib.util import find_spec

import pytest
from byte_tokenizer import byte_tokenizer
from corpora import SPLITS, texts, write
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from envs import TextGenerationEnv
from envs.tasks import Text
from seqil import Settings
from seqil.errors import InvalidInputError, MissingExtraError
from seqil.runs.experiment import say_doubts
from seqil.testing import check_task

NEEDS_PARQUET = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra datasets")


STORIES = [f"Story {i} of a {'very ' * (i % 9)}long series.\n" for i in range(60)]


@pytest.mark.parametrize("between", ["<|endoftext|>\n", "<|endoftext|>"])
def test_eos_in_a_file_separates_documents(tmp_path, between):
    (tmp_path / "stories.txt").write_text(between.join(STORIES))
    task = Text(tmp_path / "stories.txt", byte_tokenizer(), prompt_length=8, max_length=24)
    check_task(task)
    assert task.min_length == 0
    written = {p + x for p, x, _ in texts(task)}
    for story in STORIES:
        inside = [text for text in written if text in story]
        assert any(story.endswith(text) for text in inside)
        assert any(story.startswith(text) for text in inside)
    assert all(any(text in story for story in STORIES) for text in written)


@pytest.mark.parametrize("name", ["stories.jsonl", "stories.json", "stories.csv", "stories.tsv", "stories.parquet"])
def test_records_are_documents(tmp_path, name):
    datasets = pytest.importorskip("datasets")
    path, made = tmp_path / name, datasets.Dataset.from_dict({"story": STORIES, "number": [*range(60)]})
    if name.endswith("parquet"):
        made.to_parquet(path)
    elif name.endswith("sv"):
        made.to_pandas().to_csv(path, sep="\t" if "tsv" in name else ",", index=False)
    elif name.endswith("jsonl"):
        write(tmp_path, name, *made)
    else:
        path.write_text(json.dumps(list(made)))
    task = Text(path, prompt_length=8, max_length=96, field="story")
    check_task(task)
    assert sorted(p + x for p, x, _ in texts(task)) == sorted(STORIES)
    with pytest.raises(InvalidInputError, match=r"record 1 of .* has no fields prompt and .*it has: story, number"):
        Text(path)
    with pytest.raises(InvalidInputError, match=r"record 1 of .* has no field 'title'"):
        Text(path, field="title")
    if "json" in name or "parquet" in name:
        with pytest.raises(InvalidInputError, match=r"field 'number' of record 1 of .* is neither text"):
            Text(path, field="number")


def test_a_saved_data_set_keeps_its_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    parts = {"train": STORIES[:40], "validation": STORIES[40:50], "test": STORIES[50:]}
    made = datasets.DatasetDict({name: datasets.Dataset.from_dict({"text": rows}) for name, rows in parts.items()})
    made.save_to_disk(tmp_path / "set")
    task = Text(tmp_path / "set", prompt_length=8)
    for split, rows in zip(SPLITS, parts.values(), strict=True):
        assert sorted(p + x for p, x, _ in texts(task, split)) == sorted(rows)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            {"train": STORIES, "validation": []},
            "split 'validation' of .* has no rows; take it out, and others are held",
        ),
        ({"train": [], "test": STORIES}, "split 'train' of .* has no rows; put texts there"),
        ([], "has no rows; give a data set that has some"),
    ],
)
@pytest.mark.parametrize("typed", [False, True])
def test_a_saved_data_set_without_rows_is_refused(tmp_path, parts, says, typed):
    datasets = pytest.importorskip("datasets")
    columns = datasets.Features({"text": datasets.Value("string")}) if typed else None

    def made(rows):
        return datasets.Dataset.from_dict({"text": rows}, features=columns)

    whole = made(parts) if isinstance(parts, list) else datasets.DatasetDict({k: made(v) for k, v in parts.items()})
    whole.save_to_disk(tmp_path / "set")
    with pytest.raises(InvalidInputError, match=says):
        Text(tmp_path / "set", prompt_length=8)


def test_without_the_extra_its_name_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"a.parquet needs the extra datasets; .*\[datasets\]"):
        Text(tmp_path / "a.parquet")


def test_files_of_a_folder_are_documents(tmp_path):
    for i, story in enumerate(STORIES):
        (tmp_path / f"{i}.md").write_text(story)
    write(tmp_path, "more.jsonl", *({"text": story.upper()} for story in STORIES))
    task = Text(tmp_path, prompt_length=8)
    check_task(task)
    assert sorted(p + x for p, x, _ in texts(task)) == sorted(STORIES + [story.upper() for story in STORIES])


def test_long_documents_are_windows_and_an_end(tmp_path):
    long = "".join(f"{i:03}," for i in range(25))  # 100 characters
    task = Text(
        write(tmp_path, "a.jsonl", {"text": long}, {"text": "ab"}, {"text": "z"}), prompt_length=8, max_length=24
    )
    found = sorted(texts(task))
    assert found == sorted(
        [(long[at : at + 8], long[at + 8 : at + 32], True) for at in (0, 32, 64)]
        + [(long[88:96], long[96:], True), ("a", "b", True), ("z", "", True)]
    )


def test_pairs_are_learned_from_the_prompt_on(tmp_path):
    pairs = [{"prompt": f"What is {i} and {i} in words that are many?", "completion": str(2 * i)} for i in range(50)]
    path = write(tmp_path, "pairs.jsonl", *pairs, {"prompt": "", "completion": "nothing"})
    for tokenizer in (None, byte_tokenizer()):
        task = Text(path, tokenizer, prompt_length=8)
        check_task(task)
        assert {(p, x) for p, x, _ in texts(task)} == {(r["prompt"], r["completion"]) for r in pairs} | {
            ("", "nothing")
        }
        assert any([task.vocabulary.eos] in task.prompts(task.available(s), s, 0) for s in SPLITS)
    with pytest.raises(InvalidInputError, match=r"1 of 51 completions are longer than max_length=4; give max_length=7"):
        Text(path, max_length=4)


def test_folders_behind_links_are_read_once(tmp_path):
    for name in ("data", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "real" / "a.txt").write_text("some text " * 99)
    (tmp_path / "data" / "sub").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "data")
    whole, alone = Text(tmp_path / "data"), Text(tmp_path / "real" / "a.txt")
    assert sum(map(whole.available, SPLITS)) == sum(map(alone.available, SPLITS))


def test_a_completion_that_goes_on_after_its_end_is_refused(tmp_path):
    goes_on = write(tmp_path, "on.jsonl", {"prompt": "a", "completion": "b<|endoftext|>c"})
    with pytest.raises(InvalidInputError, match=r"its completion goes on after <\|endoftext\|>"):
        Text(goes_on, byte_tokenizer())


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": ', "a.jsonl, line 2 is not JSON"),
        ("a.jsonl", "17\n", "record 1 of .*a.jsonl has no named fields, it is of type int"),
        ("a.jsonl", '{"text": "\\ud800 half a pair"}\n', "record 1 of .* holds half a character"),
        ("a.json", '{"text": "a"}', "a.json holds no list of records"),
        pytest.param("a.parquet", "no table", "a.parquet cannot be read as Parquet", marks=NEEDS_PARQUET),
        ("a.jsonl", "\n\n", "a.jsonl is empty"),
        ("a.csv", "id,text\n1,hello\n2,to, all\n", "record 2 of .*a.csv has 3 cells, the first line names 2"),
        ("a.csv", "text,text\na,b\n", "a.csv has the column 'text' twice; rename one"),
        ("a.jsonl", '{"instruction": "a", "output": "b"}\n', "make prompt and completion of them, or name the one to"),
        ("a.csv", "id,text\n1\n", "record 1 of .*a.csv has 1 cell, the first line names 2; put .* into quotes"),
        (
            "a.tsv",
            'text\n"open\n',
            "a.tsv cannot be read as a table: unexpected end of data in line 2; close every quote",
        ),
        ("a.csv", 'text\n"a"b\n', "a.csv cannot be read as a table"),
        ("a.jsonl", '{"text": " "}\n{"text": ""}\n', "a.jsonl is empty"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": null}\n',
            "field 'text' of record 2 of .*a.jsonl is null; leave the record",
        ),
        ("a.json", '[{"prompt": "a", "completion": null}]', "field 'completion' of record 1 of .* is null"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, name, content, complaint):
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInputError, match=complaint):
        Text(tmp_path / name)


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".json", ".csv", ".gz"])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (gzip.compress(b"some text", mtime=0), "as UTF-8 text: it is compressed by gzip; unpack it first$"),
        (lzma.compress(b"some text"), "it is compressed by xz; unpack it first$"),
        (bz2.compress(b"some text" * 99), "it is compressed by bzip2; unpack it first$"),
        (b"PK\x03\x04\xff\xfe", "it is a ZIP archive; unpack it first$"),
        ("Text".encode("utf-16"), "it is UTF-16; save it as UTF-8 first$"),
        (bytes(range(256)), "it holds binary data; move it elsewhere, or give its text as .txt, .md, .jsonl, .csv or"),
        (b"\0" * 9999, "it holds binary data; move it elsewhere"),
        (b"abc\0def\0", "holds a NUL|binary data"),
        (b"%PDF-1.7 \xe2\xe3", "it holds binary data; move it elsewhere, or give its text"),
        ("café au lait".encode("latin-1"), r"byte 0xe9 is none of UTF-8 \(.*\); save it as UTF-8 first$"),
        (("no mark of its order " * 9).encode("utf-16-le"), "it is UTF-16 by the look of it; save it as UTF-8 first"),
    ],
    ids=["gzip", "xz", "bzip2", "zip", "utf-16", "binary", "nul", "nul between", "pdf", "latin-1", "utf-16 unmarked"],
)
def test_what_is_no_text_is_told_what_it_is(tmp_path, suffix, content, complaint):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(InvalidInputError, match=complaint):
        Text(tmp_path / f"a{suffix}")


def test_a_part_of_a_saved_data_set_asks_for_its_folder(tmp_path):
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff\x10\0\0\0")
    with pytest.raises(InvalidInputError, match=r"it is a part of a data set .*; give the folder that save_to_disk"):
        Text(tmp_path / "data-00000-of-00001.arrow")


def test_a_record_without_a_prompt_begins_at_the_start(tmp_path):
    path = write(tmp_path, "a.jsonl", *({"prompt": None, "completion": f"answer {n}"} for n in range(9)))
    assert Text(path).prompts(1, "train", 0) == [[256]]


def test_files_of_a_folder_that_are_no_text_are_counted_at_once(tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 99)
    (tmp_path / "cut.txt").write_text("é" * 4096)  # whose beginning ends within a character
    Text(tmp_path)
    for name in ("b.txt", "c.png", "d.jsonl"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n\0")
    with pytest.raises(
        InvalidInputError, match=r"no text: b.txt: it holds binary data; .* \(and 2 more of its 5 files\)$"
    ):
        Text(tmp_path)


def test_a_field_of_plain_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 99)
    with pytest.raises(InvalidInputError, match=r"field='body': .*a.txt is plain text, which has no fields; leave it"):
        Text(tmp_path / "a.txt", field="body")


def test_a_cell_of_a_table_may_be_long_and_the_limit_of_others_stays(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "a.csv").write_text("text\n" + "word and another " * 9000 + "\n")
    assert sum(map(Text(tmp_path / "a.csv").available, SPLITS)) > 9
    assert csv.field_size_limit() == before


@given(st.integers(3, 400), st.text("abc", min_size=1, max_size=6), st.booleans())
def test_every_split_has_items_as_soon_as_there_are_three(tmp_path_factory, count, name, of_records):
    folder = tmp_path_factory.mktemp("few")
    if of_records:
        path = write(folder, f"{name}.jsonl", *({"text": f"{i:04} and"} for i in range(count)))
    else:
        path = folder / f"{name}.txt"
        path.write_text("".join(f"{i:08}" for i in range(count)))
    task = Text(path, prompt_length=4, max_length=4)
    there = [task.available(split) for split in SPLITS]
    assert min(there) > 0
    assert sum(there) == count
    found = [{p + x for p, x, _ in texts(task, split)} for split in SPLITS]
    assert not any(a & b for a, b in itertools.combinations(found, 2))


def test_an_environment_takes_the_items_that_there_are(tmp_path):
    (tmp_path / "small.txt").write_text("".join(f"{i:08}" for i in range(200)))
    task = Text(tmp_path / "small.txt", prompt_length=4, max_length=4)
    env = TextGenerationEnv(task.vocabulary, max_length=16, task=task)
    prompts = {tuple(p) for p in task.prompts(task.available("train"), "train", 0)}
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        assert tuple(observation[: info["prompt_length"]].tolist()) in prompts


def test_transformers_says_nothing(tmp_path, caplog):
    byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    (tmp_path / "a.txt").write_text("a text, longer than the tokenizer likes. " * 20)
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        Text(tmp_path / "a.txt", tmp_path / "tokenizer", prompt_length=4, max_length=12)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.records


def test_a_start_token_begins_every_document(tmp_path):
    tokenizer = byte_tokenizer(bos=True)
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", bos)]
    )
    task = Text(write(tmp_path, "a.jsonl", {"text": "abcdef"}, {"text": "ghijkl"}), tokenizer, prompt_length=4)
    assert {p[0] for split in SPLITS if task.available(split) for p in task.prompts(1, split, 0)} == {bos}
    assert task.encode("") == [bos]
    assert Text(write(tmp_path, "b.jsonl", {"text": "abcdef"})).encode("") == [256]


def test_what_a_folder_holds_and_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("some text " * 50)
    (tmp_path / "b.txt").symlink_to("nowhere.txt")
    with pytest.raises(InvalidInputError, match=r"b\.txt is a link to what is not there; fetch that"):
        Text(tmp_path)
    (tmp_path / "b.txt").unlink()
    os.mkfifo(tmp_path / "c.txt")
    with pytest.raises(InvalidInputError, match=r"c\.txt is a pipe or a device; remove it"):
        Text(tmp_path)


def test_characters_that_a_tokenizer_leaves_out_are_told_of(tmp_path, capsys):
    few = Tokenizer(models.BPE({"a": 0, "b": 1, "<e>": 2}, []))
    made = PreTrainedTokenizerFast(tokenizer_object=few, eos_token="<e>")
    (tmp_path / "a.txt").write_text("ab\tba\u00e9 \u00fc" * 60)
    task = Text(tmp_path / "a.txt", made, prompt_length=2, max_length=6)
    assert task.lost == "\u00e9\u00fc"
    say_doubts(Settings(), task)
    assert "the tokenizer has no id for '\u00e9' and 1 other character, and leaves out" in capsys.readouterr().err
    assert Text(tmp_path / "a.txt", byte_tokenizer(), prompt_length=2, max_length=6).lost == ""


def test_a_tokenizer_that_fails_is_named_in_one_line(tmp_path):
    broken = Tokenizer(models.WordLevel({"a": 0, "<e>": 1}, unk_token="[UNK]"))
    broken.pre_tokenizer = pre_tokenizers.Whitespace()
    (tmp_path / "a.txt").write_text("a b a b " * 60)
    with pytest.raises(InvalidInputError, match=r"the tokenizer fails on it: .*UNK.*; give another"):
        Text(tmp_path / "a.txt", PreTrainedTokenizerFast(tokenizer_object=broken, eos_token="<e>"))


def test_they_are_told_of_where_the_ids_were_kept_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("envs.tasks.base.corpus._KEPT", 10)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("envs.tasks.base.corpus._cache", lambda: tmp_path / "kept")
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0, "<e>": 1}, [])), eos_token="<e>")
    (tmp_path / "a.txt").write_text("a\u00e9 " * 60)
    assert [Text(tmp_path / "a.txt", made, prompt_length=2, max_length=6).lost for _ in range(2)] == ["\u00e9"] * 2
