"""Documents cut into texts that fit, and the splits of saved data sets by whatever names they have."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.tasks import Text
from seqil.errors import InvalidInputError

SPLITS = ("train", "valid", "test")
STORIES = [f"{i:02} once there was a story" for i in range(60)]


def texts(task, split):
    """Prompt and text of every item, in words, and whether it ends."""
    t = task.demonstrations(task.available(split), split, 0)
    rows = zip(task.prompts(len(t), split, 0), t.replay().texts(), strict=True)
    return [(task.decode(p), task.decode(x), x[-1] == task.vocabulary.eos) for p, x in rows]


def test_a_nul_far_into_a_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"some text " * 999 + b"\0")
    with pytest.raises(InvalidInputError, match=r"a.txt holds a NUL, which no text does; take it out"):
        Text(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_record_with_one_field_twice_is_refused(suffix, tmp_path):
    record = '{"text": "a long and whole text", "text": "short"}'
    (tmp_path / f"a{suffix}").write_text(record if suffix == ".jsonl" else f"[{record}]")
    with pytest.raises(InvalidInputError, match=r"has the field 'text' twice in a record; rename one"):
        Text(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("name", ["val", "eval", "dev"])
def test_other_names_of_the_validation_split_are_known(name, tmp_path):
    datasets = pytest.importorskip("datasets")
    parts = {"train": STORIES[:40], name: STORIES[40:]}
    datasets.DatasetDict({k: datasets.Dataset.from_dict({"text": rows}) for k, rows in parts.items()}).save_to_disk(
        tmp_path / "set"
    )
    found = texts(Text(tmp_path / "set", prompt_length=8), "valid")
    assert sorted(p + x for p, x, _ in found) == sorted(STORIES[40:])


def test_a_split_of_another_name_does_not_get_into_training(tmp_path):
    datasets = pytest.importorskip("datasets")
    parts = {"train": STORIES[:40], "test": STORIES[40:50], "test_ood": STORIES[50:]}
    datasets.DatasetDict({k: datasets.Dataset.from_dict({"text": rows}) for k, rows in parts.items()}).save_to_disk(
        tmp_path / "set"
    )
    with pytest.raises(InvalidInputError, match=r"set has a split 'test_ood', which is none of train, valid, .*rename"):
        Text(tmp_path / "set", prompt_length=8)


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4), prompt=st.integers(1, 20), most=st.integers(1, 20))
def test_documents_of_any_length_are_cut_into_texts_that_fit(lengths, prompt, most):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        documents = [chr(65 + i) + "".join(chr(97 + j % 26) for j in range(n - 1)) for i, n in enumerate(lengths)]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
        task = Text(path, prompt_length=prompt, max_length=most)
        found = [item for split in SPLITS if task.available(split) for item in texts(task, split)]
    for before, after, _ in found:
        assert 1 <= len(before) <= prompt
        assert len(after) <= most
        assert any(before + after in text for text in documents)
    for text in documents:  # its end is an item
        assert any(text.endswith(before + after) for before, after, ended in found if ended)
