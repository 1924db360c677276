"""What was taken in silence and is refused now, each by one line."""

import pytest
import torch
from byte_tokenizer import byte_tokenizer
from command_line import SMALL, command
from tokenizers import AddedToken
from transformers import BertConfig, BertLMHeadModel

from envs.tasks import Automaton, Chain, Text
from seqil import TokenPolicy, Trajectories, Vocabulary, decoding, rollout
from seqil.errors import InvalidInputError, UnsupportedModelError
from seqil.randomness import seeded
from seqil.testing.agents import tiny_policy


def test_marks_are_no_weights():
    v = Vocabulary(5, 4)
    assert Trajectories.from_actions(v, [[0]], [[1, 2]], imitate=[[1, 0]]).imitate.tolist() == [[True, False]]
    for weights in ([[0.4, 1.0]], [[float("nan"), 1.0]]):
        with pytest.raises(InvalidInputError, match="give True or False, not a weight"):
            Trajectories.from_actions(v, [[0]], [[1, 2]], imitate=torch.tensor(weights))


@pytest.mark.parametrize("memory", ["tried", "history"])
def test_a_memory_of_deletions_needs_a_backspace(memory):
    model, v = tiny_policy().model, tiny_policy().vocabulary
    with pytest.raises(InvalidInputError, match=f"memory={memory} would do nothing without a backspace"):
        TokenPolicy(model, v, backspace=False, memory=memory)


def test_a_rule_needs_a_reader_of_the_same_ids():
    policy = tiny_policy()
    for reader in (Automaton(), Chain()):
        assert reader.vocabulary.size != policy.vocabulary.size
        with pytest.raises(InvalidInputError, match=rf"has {reader.vocabulary.size} ids, the policy a vocabulary of"):
            rollout(policy, [[0]], max_length=2, rules=[decoding.grammar("[0-9]+", reader=reader)])


def test_a_text_that_spells_the_backspace_is_named_by_its_record(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("<|backspace|>", special=True)])  # as an export has it
    _written(tmp_path, "a.jsonl", '{"text": "some text"}\n{"text": "I type <|backspace|> here"}\n')
    with pytest.raises(
        InvalidInputError, match=r"record 2 of .*a.jsonl: the text spells <\|backspace\|>, which is an act"
    ):
        Text(tmp_path / "a.jsonl", tokenizer)


def test_a_model_that_reads_both_ways_is_told_so():
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    with seeded(0):
        model = BertLMHeadModel(BertConfig(vocab_size=12, max_position_embeddings=32, **shape))
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.mul_(50)
    with pytest.raises(UnsupportedModelError, match="reads what comes later, too"):
        TokenPolicy(model, Vocabulary(12, 11))


def test_options_of_the_command_in_a_file_are_told_where_they_go(tmp_path):
    _written(tmp_path, "run.toml", "save_every = 5\n")
    ended = command("train", "--config", "run.toml", "--out", "run", *SMALL, "--agent", "bc", cwd=tmp_path)
    assert ended.returncode == 2
    assert "save_every is an option of the command and no setting: give --save-every" in ended.stderr
    assert not (tmp_path / "run").exists()


def test_merging_needs_adapters(tmp_path):
    assert command("train", "--out", "run", *SMALL, "--agent", "bc", cwd=tmp_path).returncode == 0
    ended = command("export", "run", "model", "--merge", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--merge would do nothing: the policy has no adapters" in ended.stderr
    assert not (tmp_path / "model").exists()


def _written(folder, name, text):
    (folder / name).write_text(text)
    return folder / name
