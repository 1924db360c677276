"""What others find in a folder that a policy was saved to."""

import pytest
import torch
from small_llama import V, llama, tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    ByT5Tokenizer,
    YoutuConfig,
    YoutuForCausalLM,
    pipeline,
)

import seqil
from seqil import TokenPolicy, Vocabulary
from seqil.errors import InvalidInputError
from seqil.policy.saved.tokenizers import with_backspace
from seqil.randomness import seeded

WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}


def deleting(padded=False):
    """A policy that would delete at every other step, with rows beyond its backspace if asked for."""
    model = llama(vocab_size=40) if padded else llama()
    policy = TokenPolicy(model, V, backspace_row="mean" if padded else None)
    with torch.no_grad():
        policy.weight[V.size :] = 3 * policy.weight[:27].mean(0)
    return policy


@pytest.mark.parametrize("padded", [False, True])
def test_plain_generation_writes_tokens_alone(tmp_path, padded):
    deleting(padded).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids, options = torch.zeros(40, 1, dtype=torch.int64), {"do_sample": True, "max_new_tokens": 10, "min_new_tokens": 9}
    with seeded(0):
        assert int(model.generate(ids, **options).max()) == V.eos
        model.generation_config.suppress_tokens = None
        assert int(model.generate(ids, **options, top_k=0).max()) > V.eos


def test_the_backspace_is_a_special_token_of_its_id(tmp_path):
    made = tokenizer(WORDS)
    deleting().save_pretrained(tmp_path, made)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("w3 <|backspace|> w4")["input_ids"] == [3, V.backspace, 4]
    assert again.decode([3, V.backspace, 4], skip_special_tokens=True) == "w3 w4"
    assert Vocabulary.from_tokenizer(again) == V
    assert "<|backspace|>" not in made.get_vocab()


def test_a_tokenizer_follows_its_model(tmp_path):
    llama().save_pretrained(tmp_path / "base")
    tokenizer(WORDS).save_pretrained(tmp_path / "base")
    TokenPolicy(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), V).save_pretrained(tmp_path / "one")
    TokenPolicy.from_pretrained(tmp_path / "one").save_pretrained(tmp_path / "two")
    assert AutoTokenizer.from_pretrained(tmp_path / "two").convert_tokens_to_ids("<|backspace|>") == V.backspace


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"w0": 0, "<eos>": 1}, r"the tokenizer has Vocabulary\(size=2.*the policy Vocabulary\(size=28"),
        ({"w0": 0, "<eos>": 27}, r"no token of id 1, so its <\|backspace\|> would not keep the id 28"),
    ],
)
def test_a_tokenizer_of_other_ids_is_refused_and_nothing_is_written(tmp_path, words, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        deleting().save_pretrained(tmp_path / "saved", tokenizer(words))
    assert not (tmp_path / "saved").exists()


def test_a_pipeline_takes_the_folder(tmp_path):
    deleting().save_pretrained(tmp_path, tokenizer(WORDS))
    write = pipeline("text-generation", model=str(tmp_path), device="cpu")
    with seeded(0):
        text = write("w1 w2", max_new_tokens=12, do_sample=True)[0]["generated_text"]
    assert set(text.removeprefix("w1 w2").replace("w", " w").split()) <= set(WORDS)
    assert len(text) > len("w1 w2")


def test_a_pipeline_begins_an_empty_prompt_as_transformers_does(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / ".modules"))
    deleting().save_pretrained(tmp_path / "saved", tokenizer(WORDS))
    write = pipeline("text-generation", model=str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    with seeded(0):
        text = write("", max_new_tokens=12, do_sample=True)[0]["generated_text"]
    first = torch.tensor([[write.model.config.bos_token_id]])
    with seeded(0):
        ids = seqil.generate(write.model, first, max_new_tokens=12, do_sample=True)
    assert text == write.tokenizer.decode(ids[0], skip_special_tokens=True)


@pytest.mark.parametrize("made", [lambda: tokenizer(WORDS), ByT5Tokenizer])
def test_the_tokenizer_of_a_model_whose_backspace_was_taken_off_has_none(tmp_path, made):
    """That of a run has the token; `save_pretrained` writes it without, and is loaded as if it had never had it."""
    plain = made()
    v = Vocabulary.from_tokenizer(plain)
    with_backspace(plain, v).save_pretrained(tmp_path / "run")
    policy = TokenPolicy(llama(vocab_size=v.size), v, backspace=False)
    policy.save_pretrained(tmp_path / "out", AutoTokenizer.from_pretrained(tmp_path / "run"))
    again = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again.get_vocab() == plain.get_vocab()
    assert max(again("w1<|backspace|>", add_special_tokens=False)["input_ids"]) < v.size
    assert TokenPolicy.from_pretrained(tmp_path / "out").vocabulary == v


def test_the_row_of_the_padding_comes_back_as_it_was(tmp_path):
    """Youtu zeroes it while it is loaded, in transformers 5.23, whatever the file holds."""
    sizes = {"vocab_size": 28, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 8, "kv_lora_rank": 8, "head_dim": 8}
    parts = {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "max_position_embeddings": 32}
    with seeded(0):
        model = YoutuForCausalLM(
            YoutuConfig(**sizes, **heads, **parts, pad_token_id=0, bos_token_id=1, eos_token_id=27)
        )
    policy = TokenPolicy(model, V)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[0] = 1.0
    policy.save_pretrained(tmp_path)
    again = TokenPolicy.from_pretrained(tmp_path)
    assert torch.equal(again.model.get_input_embeddings().weight, policy.model.get_input_embeddings().weight)
