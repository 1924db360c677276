"""Which models are taken, what construction changes, and what comes back from the disk."""

import json

import pytest
import torch
import transformers as hf
from transformers.activations import NewGELUActivation

from seqil import TokenPolicy, Vocabulary, start
from seqil.errors import CheckpointError, InvalidInputError, UnsupportedModelError
from seqil.policy import evaluating, load_model
from seqil.randomness import seeded

V = Vocabulary(7, 6)
TINY = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
ROTARY = {**TINY, "num_key_value_heads": 1, "vocab_size": 7, "max_position_embeddings": 32}


def build(model, config, **options):
    with seeded(0):
        return model(config(**options, bos_token_id=6, eos_token_id=6, pad_token_id=6))


def gpt2(**options):
    return build(hf.GPT2LMHeadModel, hf.GPT2Config, n_embd=8, n_layer=1, n_head=2, n_positions=16,
                 **{"vocab_size": 7, **options})  # fmt: skip


TAKEN = {
    "GPT-2": gpt2,
    "GPT-2, untied": lambda: gpt2(tie_word_embeddings=False),
    "GPT-2, padded head": lambda: gpt2(vocab_size=16),
    "GPT-J, biased head": lambda: build(hf.GPTJForCausalLM, hf.GPTJConfig, vocab_size=7, n_embd=8, n_layer=1, n_head=2,
                                       n_positions=16, rotary_dim=2),
    "Llama": lambda: build(hf.LlamaForCausalLM, hf.LlamaConfig, **ROTARY),
    "Mistral without a window": lambda: build(hf.MistralForCausalLM, hf.MistralConfig, **ROTARY, sliding_window=None),
    "Qwen3": lambda: build(hf.Qwen3ForCausalLM, hf.Qwen3Config, **ROTARY, head_dim=4),
}  # fmt: skip

CHOICE = {"GPT-2, padded head": {"backspace_row": "mean"}}  # its row 7 may be anything

DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 8}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0, 1.0], "long_factor": [4.0, 4.0],
        "original_max_position_embeddings": 8}  # fmt: skip
REFUSED = {
    "scales or caps the logits": lambda: build(hf.Gemma2ForCausalLM, hf.Gemma2Config, **ROTARY, head_dim=4),
    "linear_attention": lambda: build(hf.MambaForCausalLM, hf.MambaConfig, vocab_size=7, hidden_size=8),
    "(bloom)": lambda: build(hf.BloomForCausalLM, hf.BloomConfig, vocab_size=7, hidden_size=8, n_layer=1, n_head=2),
    "frequencies (dynamic)": lambda: build(hf.LlamaForCausalLM, hf.LlamaConfig, **ROTARY, rope_parameters=DYNAMIC),
    "frequencies (longrope)": lambda: build(hf.Phi3ForCausalLM, hf.Phi3Config, **ROTARY, rope_parameters=LONG,
                                            original_max_position_embeddings=8, sliding_window=None),
    "scales or caps": lambda: build(hf.NanoChatForCausalLM, hf.NanoChatConfig, **ROTARY),
    "it scales or caps": lambda: build(hf.GraniteForCausalLM, hf.GraniteConfig, **ROTARY, logits_scaling=8.0),
    "its attention is flex_attention": lambda: build(hf.LlamaForCausalLM, hf.LlamaConfig, **ROTARY,
                                                     attn_implementation="flex_attention"),
    "encoder-decoder": lambda: build(hf.T5ForConditionalGeneration, hf.T5Config, vocab_size=7, d_model=8, d_kv=4,
                                     d_ff=8, num_layers=1, num_heads=2),
    "not a Hugging Face causal LM": lambda: torch.nn.Linear(2, 2),
    "no linear output head": lambda: hf.GPT2Model(gpt2().config),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_the_head_gains_a_row_that_hardly_disturbs(name):
    model = TAKEN[name]().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    policy = TokenPolicy(model, V, **CHOICE.get(name, {})).eval()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    tokens = torch.arange(V.size)[:, None]
    with torch.no_grad():
        ours = policy.head(policy.model.base_model(tokens).last_hidden_state[:, 0])
        theirs = model(tokens).logits[:, 0, : V.size]
    torch.testing.assert_close(ours[:, : V.size], theirs, rtol=1e-5, atol=1e-6)
    assert (ours.softmax(-1)[:, V.backspace] <= 1 / V.num_actions + 1e-6).all()


def test_the_activation_of_gpt2_is_one_kernel_and_the_same_function():
    model = gpt2().double().eval()
    policy, tokens = TokenPolicy(model, V), torch.arange(V.size)[None]
    assert isinstance(model.transformer.h[0].mlp.act, NewGELUActivation)
    assert not any(isinstance(module, NewGELUActivation) for module in policy.modules())
    found, expected = (m.base_model(tokens).last_hidden_state for m in (policy.model, model))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_an_activation_that_was_changed_is_kept():
    model, tokens = gpt2().double().eval(), torch.arange(V.size)[None]
    model.transformer.h[0].mlp.act.register_forward_hook(lambda module, inputs, output: 3 * output)
    found, expected = (m.base_model(tokens).last_hidden_state for m in (TokenPolicy(model, V).model, model))
    assert torch.equal(found, expected)


@pytest.mark.parametrize("backspace", [True, False])
@pytest.mark.parametrize("name", TAKEN)
def test_some_columns_of_the_head_are_those_of_the_head(name, backspace):
    policy = TokenPolicy(TAKEN[name](), V, backspace=backspace, **(CHOICE.get(name, {}) if backspace else {}))
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, policy.weight.shape[1], generator=g)
    columns = torch.randint(0, V.num_actions, (3, 5), generator=g)
    torch.testing.assert_close(policy.logits_of(hidden, columns), policy.head(hidden).gather(1, columns))


@pytest.mark.parametrize("training", [True, False])
def test_a_policy_starts_in_the_mode_of_its_model(tmp_path, training):
    model = gpt2().train(training)
    model.transformer.h[0].eval()  # frozen, say
    modes = [module.training for module in model.modules()]
    policy = TokenPolicy(model, V)
    for _ in range(2):
        assert [module.training for module in policy.modules()] == [training, *modes]
        with evaluating(policy):
            assert not any(module.training for module in policy.modules())
    policy.save_pretrained(tmp_path)
    assert not any(module.training for module in TokenPolicy.from_pretrained(tmp_path).modules())


@pytest.mark.parametrize("reason", REFUSED)
def test_models_that_cannot_be_rewound_are_refused_by_name(reason):
    with seeded(0):
        model = REFUSED[reason]()
    with pytest.raises(UnsupportedModelError) as refused:
        TokenPolicy(model, V)
    assert reason in str(refused.value)
    assert type(model).__name__ in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_head_smaller_than_the_vocabulary_is_refused():
    with pytest.raises(InvalidInputError, match="has 7 rows, the vocabulary 9 tokens"):
        TokenPolicy(gpt2(), Vocabulary(9, 8))


def test_more_cells_than_positions_are_refused():
    policy = TokenPolicy(gpt2(), V)
    with pytest.raises(InvalidInputError, match=r"take 17 positions, GPT2LMHeadModel \(gpt2\) has 16"):
        policy.log_probs(start(V, [[0] * 17], max_length=4))


@pytest.mark.parametrize("backspace", [True, False])
@pytest.mark.parametrize("name", TAKEN)
def test_round_trip_through_the_disk(tmp_path, name, backspace):
    policy = TokenPolicy(TAKEN[name](), V, backspace=backspace, **(CHOICE.get(name, {}) if backspace else {}))
    policy.save_pretrained(tmp_path)
    again = TokenPolicy.from_pretrained(tmp_path, V)
    assert again.vocabulary == V
    assert again.backspace == backspace
    assert policy.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in policy.state_dict().items())
    plain = hf.AutoModelForCausalLM.from_pretrained(tmp_path)  # an ordinary checkpoint for anyone else
    assert plain.get_output_embeddings().weight.shape[0] >= V.size + backspace


CODE = "from pathlib import Path\nPath({!r}).touch()\n"


def test_loading_a_folder_runs_no_code_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on stdin"))
    ran, maps = tmp_path / "ran", {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "foreign", "auto_map": maps}))
    (tmp_path / "code.py").write_text(CODE.format(str(ran)))
    with pytest.raises(CheckpointError, match="custom code") as refused:
        load_model(tmp_path)
    assert len(str(refused.value).splitlines()) == 1
    assert not ran.exists()


BROKEN = [
    *({"n_head": "2"}, {"n_layer": None}, {"n_embd": 0}, {"vocab_size": [7]}, {"activation_function": "none"}),
    {"quantization_config": {"quant_method": "awq"}},
]


@pytest.mark.parametrize("change", BROKEN)
def test_a_config_that_cannot_be_is_refused_in_one_line(tmp_path, change):
    gpt2().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=r"cannot be loaded|config\.json is damaged|are quantised") as refused:
        load_model(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "seqil.json is missing"),
        ("{", "seqil.json is damaged"),
        ("null", "seqil.json is damaged"),
        ("[1]", "seqil.json is damaged"),
        ('"x"', "seqil.json is damaged"),
        ('{"vocabulary": 3, "backspace": true}', "seqil.json is damaged"),
        (json.dumps({"vocabulary": {"size": 6, "eos": 5}, "backspace": True}), "was saved with Vocabulary"),
        (json.dumps({"vocabulary": {"size": 70, "eos": 6}, "backspace": True}), "was saved with Vocabulary"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, content, complaint):
    TokenPolicy(gpt2(), V).save_pretrained(tmp_path)
    (tmp_path / "seqil.json").unlink()
    if content is not None:
        (tmp_path / "seqil.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        TokenPolicy.from_pretrained(tmp_path, V)
    assert complaint in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("scale", [0.0, 1e-4])
@pytest.mark.parametrize("name", ["mpt", "bert"])
def test_a_head_that_says_nothing_yet_hides_no_model_that_cannot_be_rewound(name, scale):
    """ALiBi counts places in the batch, and an encoder reads both ways: neither shows in logits that are all alike."""
    made = {
        "mpt": lambda: build(hf.MptForCausalLM, hf.MptConfig, vocab_size=7, d_model=8, n_heads=2, n_layers=1),
        "bert": lambda: build(hf.BertLMHeadModel, hf.BertConfig, **TINY, vocab_size=7, tie_word_embeddings=False),
    }
    model = made[name]()
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach() * scale)
    with pytest.raises(UnsupportedModelError, match="gives other logits when its prefixes are packed into a tree"):
        TokenPolicy(model, Vocabulary(size=7, eos=6))


def test_matrices_of_zeros_are_zero_again_once_a_model_was_looked_at():
    model = gpt2()
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight.zero_()
        model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    TokenPolicy(model, Vocabulary(size=7, eos=6), backspace=False)
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], p) for name, p in before.items())


class Gated(torch.nn.Module):
    """A block whose output depends on what was read in the batch before, behind a gate."""

    def __init__(self, block, gate):
        super().__init__()
        self.block, self.gate = block, torch.nn.Parameter(gate)

    def forward(self, hidden, *given, **options):
        found = self.block(hidden, *given, **options)
        states, *rest = found if isinstance(found, tuple) else (found,)
        states = states + self.gate * hidden.cumsum(1)
        return (states, *rest) if isinstance(found, tuple) else states


@pytest.mark.parametrize("gate", [torch.zeros(8), torch.zeros(()), torch.zeros(1, 1)])
def test_a_gate_that_is_still_shut_hides_no_recurrence(gate):
    model = gpt2()
    model.transformer.h[0] = Gated(model.transformer.h[0], gate)
    with pytest.raises(UnsupportedModelError, match="gives other logits when its prefixes are packed into a tree"):
        TokenPolicy(model, V)


def test_a_model_that_cannot_read_by_itself_is_told_so():
    """Its configuration promises keys for more heads than its states have."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 16}
    with seeded(0):
        model = hf.StableLmForCausalLM(hf.StableLmConfig(vocab_size=V.size, **sizes))
    with pytest.raises(
        UnsupportedModelError, match=r"cannot read two tokens by itself \(RuntimeError: .*mend config.json"
    ):
        TokenPolicy(model, V)
