"""A head of its own stays one, and files beside the weights are read or refused."""

import json

import pytest
import torch
from small_llama import V, llama

from seqil import TokenPolicy
from seqil.errors import CheckpointError, InvalidInputError, first_line
from seqil.policy.saved.files import load_model


def test_a_head_that_is_not_its_table_is_kept_though_the_config_calls_it_tied(tmp_path):
    made = llama(tie_word_embeddings=False)
    made.save_pretrained(tmp_path / "lm")
    config = json.loads((tmp_path / "lm" / "config.json").read_text())
    (tmp_path / "lm" / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    policy = TokenPolicy(load_model(tmp_path / "lm"), V)
    policy.save_pretrained(tmp_path / "ours")
    for one in (policy, TokenPolicy.from_pretrained(tmp_path / "ours")):
        assert torch.equal(one.weight[: V.size], made.lm_head.weight)
        assert torch.equal(one.model.get_input_embeddings().weight[: V.size], made.model.embed_tokens.weight)
    tied = TokenPolicy(llama(tie_word_embeddings=True), V)
    assert tied.weight.data_ptr() == tied.model.get_input_embeddings().weight.data_ptr()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("generation_config.json", "", "generation_config.json is damaged"),
        ("generation_config.json", "[1]", "generation_config.json holds no JSON object; restore it"),
    ],
)
def test_what_transformers_passes_over_is_refused(tmp_path, name, content, complaint):
    llama().save_pretrained(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=complaint):
        load_model(tmp_path)


def test_pickled_weights_are_named(tmp_path):
    llama().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin holds pickled weights, which could run code"):
        load_model(tmp_path)


def test_a_line_that_announces_more_is_not_left_alone():
    assert first_line(ValueError("It is invalid:\n- temperature\n- more")) == "It is invalid: - temperature"
    assert first_line(InvalidInputError("one\ntwo")) == "one two"  # a complaint of ours has one line
