"""Data sets of trajectories: what others read is what was written, and TRL trains a deleting model on it."""

import math
import sys

import pytest
import torch
from small_llama import V, demonstrations, generator, llama, tokenizer
from tiny_models import V as TINY
from tiny_models import tiny_policy

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from envs.tasks import PyDoc, Text
from seqil import TokenPolicy, Trajectories, rollout
from seqil.errors import InvalidInputError, MissingExtraError
from seqil.mdp.plain_rows import IGNORED
from seqil.randomness import seeded

datasets = pytest.importorskip("datasets")


def test_rows_come_back_from_a_folder_as_they_were(tmp_path):
    t = rollout(tiny_policy("gpt2"), [[0], [1, 2]] * 5, max_length=6, max_actions=20, generator=generator())
    t.to_dataset().save_to_disk(str(tmp_path / "rows"))
    found = datasets.load_from_disk(str(tmp_path / "rows"))
    plain = [{name: row[name] for name in ("input_ids", "labels")} for row in found]
    assert plain == t.to_rows()
    counted = torch.tensor([log for row in found for log in row["log_probs"]])
    assert math.isclose(float(counted.sum()), float(t.log_prob.sum()), rel_tol=1e-5)
    for row in found:
        for label, log in zip(row["labels"], row["log_probs"], strict=True):
            assert (log == 0) if label == IGNORED else log < 0
    without = Trajectories.from_actions(TINY, t.prompts, t.actions, lengths=t.lengths, max_length=6).to_dataset()
    assert sorted(without.column_names) == ["input_ids", "labels"]


@pytest.mark.parametrize("form", ["text", "messages"])
def test_texts_are_those_that_stand_in_the_end(form):
    task = PyDoc()
    texts = [[*task.encode("def"), task.vocabulary.backspace, *task.encode("e. x"), task.vocabulary.eos]] * 2
    t = Trajectories.from_actions(task.vocabulary, [task.encode("Go "), task.encode("A")], texts)
    rows = t.to_dataset(form, task)
    expected = [("Go ", "dee. x"), ("A", "dee. x")]
    if form == "messages":
        found = [tuple(message["content"] for message in row["messages"]) for row in rows]
        assert [message["role"] for message in rows[0]["messages"]] == ["user", "assistant"]
    else:
        found = [(row["prompt"], row["completion"]) for row in rows]
    assert found == expected


def test_what_is_written_as_text_is_read_by_the_task_of_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"prompt": "ab", "completion": "cdé"}\n{"prompt": "x", "completion": "yz"}\n' * 2
    )
    task = Text(tmp_path / "a.jsonl", max_length=8)
    t = task.demonstrations(task.at_most(9, "train"), "train", 0)
    t.to_dataset("text", task).save_to_disk(str(tmp_path / "out"))
    again = Text(tmp_path / "out", max_length=8)
    seen = {
        (tuple(p), tuple(a))
        for split in ("train", "valid", "test")
        if again.available(split)
        for one in [again.demonstrations(again.at_most(9, split), split, 0)]
        for p, a in zip(one.prompts.tolist(), one.actions.tolist(), strict=True)
    }
    assert {(tuple(p), tuple(a)) for p, a in zip(t.prompts.tolist(), t.actions.tolist(), strict=True)} <= seen


def test_what_text_cannot_say_is_refused(monkeypatch):
    t = Trajectories.from_actions(V, [[0], [0]], [[1, 27], [2, 3]])
    with pytest.raises(InvalidInputError, match="of 2 texts 1 did not end"):
        t.to_dataset("text", PyDoc())
    with pytest.raises(InvalidInputError, match="give reader="):
        t.select(t.ended).to_dataset("messages")
    with pytest.raises(InvalidInputError, match="form='chat' is none of rows, text, messages"):
        t.to_dataset("chat")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[datasets\]'"):
        t.to_dataset()


def padded(rows, name, value):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row[name]) for row in rows], True, value)


@pytest.mark.clients
@pytest.mark.filterwarnings("ignore")
def test_trl_trains_a_deleting_model_on_them(tmp_path):
    trl = pytest.importorskip("trl")
    policy, t = TokenPolicy(llama(), V), demonstrations(8)
    said = trl.SFTConfig(
        output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=99, learning_rate=1e-2, report_to="none",
        use_cpu=True, save_strategy="no", bf16=False, logging_steps=1,
    )  # fmt: skip
    words = tokenizer({f"w{i}": i for i in range(27)} | {"<eos>": 27})
    words.pad_token = "<eos>"
    with seeded(0):
        trainer = trl.SFTTrainer(policy.model, said, train_dataset=t.to_dataset(), processing_class=words)
    deletions, rows = t.imitate & (t.actions == V.backspace), t.to_rows()
    with torch.no_grad():
        ids, labels = padded(rows, "input_ids", 0), padded(rows, "labels", IGNORED)
        expected = float(policy.model(ids, labels=labels).loss)
        before = policy.step_values(t).log_prob[deletions].exp().mean()
    with seeded(0):
        trainer.train()
    with torch.no_grad():
        after = policy.step_values(t).log_prob[deletions].exp().mean()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, abs=1e-3)
    assert before < 0.1
    assert after > 0.3
