"""What is in the row of the backspace, and what a folder says of it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_llama import V, llama, tokenizer
from transformers import AutoModelForCausalLM

from seqil import TokenPolicy, Vocabulary
from seqil.errors import CheckpointError, InvalidInputError, UnsupportedModelError
from seqil.policy import load_model


def test_a_trained_row_is_kept(tmp_path):
    policy = TokenPolicy(llama(), V)
    with torch.no_grad():
        policy.weight[V.backspace] += 5
    policy.save_pretrained(tmp_path)
    again = TokenPolicy(AutoModelForCausalLM.from_pretrained(tmp_path), V)
    assert torch.equal(again.weight, policy.weight)
    anew = TokenPolicy(AutoModelForCausalLM.from_pretrained(tmp_path), V, backspace_row="mean")
    torch.testing.assert_close(anew.weight[V.size], policy.weight[: V.size].mean(0))


def test_a_padded_head_asks():
    padded = llama(vocab_size=64)
    with pytest.raises(InvalidInputError, match="has 64 rows for 28 tokens; say whether row 28"):
        TokenPolicy(padded, V)
    kept = TokenPolicy(padded, V, backspace_row="keep")
    assert torch.equal(kept.weight, padded.lm_head.weight)
    mean = TokenPolicy(padded, V, backspace_row="mean")
    torch.testing.assert_close(mean.weight[V.size], padded.lm_head.weight[: V.size].mean(0))
    assert torch.equal(mean.weight[V.size + 1 :], padded.lm_head.weight[V.size + 1 :])
    assert TokenPolicy(padded, V, backspace=False).weight.shape == (64, 16)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"backspace_row": "keep"}, "has 28 rows, all of them tokens"),
        ({"backspace_row": "zero"}, "neither 'keep' nor 'mean'"),
        ({"backspace_row": "mean", "backspace": False}, "of no use to a policy without a backspace"),
    ],
)
def test_a_choice_that_is_none_is_refused(options, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        TokenPolicy(llama(), V, **options)


@pytest.mark.parametrize("backspace", [True, False])
def test_a_vocabulary_much_smaller_than_the_head_is_refused(backspace):
    with pytest.raises(InvalidInputError, match="has 5000 rows, the vocabulary 257 tokens: more than padding"):
        TokenPolicy(llama(vocab_size=5000), Vocabulary(257, 256), backspace)


@pytest.mark.parametrize("backspace", [True, False])
def test_tokens_that_were_added_after_training_do_not_get_the_row_of_the_backspace(tmp_path, backspace):
    TokenPolicy(llama(), V).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    for size in (27, 29):
        with pytest.raises(InvalidInputError, match=rf"row 28 of .* is marked as its backspace.* {size} tokens"):
            TokenPolicy(model, Vocabulary(size, 0), backspace)
    settings = json.loads((tmp_path / "seqil.json").read_text())
    settings["vocabulary"] = {"size": 27, "eos": 0}
    (tmp_path / "seqil.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"marks row 28 as the backspace, seqil.json 27"):
        TokenPolicy.from_pretrained(tmp_path)


def test_a_tokenizer_with_holes_has_the_vocabulary_of_its_largest_id():
    ids = {f"w{i}": i for i in range(0, 20, 2)} | {"<unk>": 1, "<eos>": 29}
    assert Vocabulary.from_tokenizer(tokenizer(ids)) == Vocabulary(30, 29)


def test_a_tokenizer_with_a_backspace_has_the_vocabulary_before_it():
    made = tokenizer({"a": 0, "b": 1, "<eos>": 2})
    made.add_tokens(["<|backspace|>"], special_tokens=True)
    assert Vocabulary.from_tokenizer(made) == Vocabulary(3, 2)
    made.add_tokens(["new"])
    with pytest.raises(InvalidInputError, match=r"tokens up to id 4, behind its <|backspace|> of id 3"):
        Vocabulary.from_tokenizer(made)


@pytest.mark.parametrize(
    ("rename", "complaint"),
    [
        (lambda name: f"_orig_mod.{name}", "are missing, the first is lm_head.weight"),
        (lambda name: name.replace("layers.1", "layers.7"), r"are missing, the first is model.layers.1\."),
        (
            lambda name: None if "layers.0.mlp.up" in name else name,
            r"1 are missing, the first is model.layers.0.mlp.up",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, rename, complaint):
    llama().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = {rename(name): value for name, value in load_file(file).items()}
    weights.pop(None, None)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=complaint) as refused:
        load_model(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


def test_weights_that_no_module_takes_are_refused(tmp_path):
    llama().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({**load_file(file), "model.layers.9.more": torch.ones(1)}, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 are unexpected, the first is model.layers.9.more"):
        load_model(tmp_path)


def test_what_an_architecture_raises_while_it_is_tried_is_a_refusal_by_its_name():
    model = llama()

    def fail(*args, **kwargs):
        raise KeyError("what is this")

    model.model.layers[0].forward = fail
    with pytest.raises(UnsupportedModelError, match=r"LlamaForCausalLM \(llama\) cannot be tried \(KeyError"):
        TokenPolicy(model, V)


def test_a_table_of_another_length_than_the_config_says_is_refused():
    """As Moshi's, which has a row more: with a backspace it was saved, and could not be loaded."""
    model = llama()
    model.config.vocab_size -= 1
    with pytest.raises(UnsupportedModelError, match="has a table of 28 rows where its config says vocab_size=27"):
        TokenPolicy(model, V)
