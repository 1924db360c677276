"""What lies beside a model is joined with it, or refused, before the first step."""

import pytest
from small_llama import llama, tokenizer

from envs.tasks import Text
from seqil import Vocabulary
from seqil.errors import CheckpointError, InvalidInputError
from seqil.runs.experiment import make_policy, make_task
from seqil.runs.settings import Chosen, ModelSettings, Settings

WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}


@pytest.fixture
def folder(tmp_path):
    llama(vocab_size=64).save_pretrained(tmp_path / "lm")
    tokenizer(WORDS).save_pretrained(tmp_path / "lm")
    (tmp_path / "novel.txt").write_text(" ".join(f"w{(i * i + i // 7) % 26}" for i in range(4000)))
    return tmp_path


def settings(folder, **options):
    options = {"path": str(folder / "novel.txt"), "prompt_length": 4, "max_length": 8, **options}
    return Settings(task=Chosen("text", options), model=ModelSettings(str(folder / "lm"), backspace_row="mean"))


def test_the_tokenizer_of_a_model_is_the_default_for_text(folder):
    task = make_task(settings(folder))
    assert isinstance(task, Text)
    assert task.vocabulary == Vocabulary(28, 27)
    assert make_policy(settings(folder), task.vocabulary, 16).vocabulary == task.vocabulary


def test_another_vocabulary_than_that_of_the_tokenizer_is_refused(folder):
    with pytest.raises(InvalidInputError, match="has 28 ids, the task a vocabulary of 17"):
        make_policy(Settings(model=ModelSettings(str(folder / "lm"))), Vocabulary(17, 16), 16)


def test_a_model_that_cannot_be_saved_is_named(folder, monkeypatch):
    policy = make_policy(settings(folder), Vocabulary(28, 27), 16)

    def fail(*args, **kwargs):
        raise NotImplementedError("GGUF weights are not saved")

    monkeypatch.setattr(type(policy.model), "save_pretrained", fail)
    with pytest.raises(CheckpointError, match=r"LlamaForCausalLM \(llama\) cannot be saved: GGUF"):
        policy.save_pretrained(folder / "out")
