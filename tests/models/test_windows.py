"""Sliding windows as models ship them: tree, cache, shared prompts and plain forward say the same of every state."""

import pytest
import torch
import transformers as hf
from small_llama import generator

from seqil import TokenPolicy, Vocabulary, rollout
from seqil.errors import UnsupportedModelError
from seqil.policy.over_trajectories import tree_hidden
from seqil.policy.shared_prompts import SharedPrompts
from seqil.randomness import seeded
from seqil.rollouts import rollout_reference

V = Vocabulary(7, 6)
SHAPE = {"vocab_size": 7, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "intermediate_size": 16, "max_position_embeddings": 64, "head_dim": 8,
         "bos_token_id": 6, "eos_token_id": 6, "pad_token_id": 6}  # fmt: skip
BOTH = ["sliding_attention", "full_attention"]
SHIPPED = {
    "Mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SHAPE, sliding_window=3)),
    "Starcoder2": lambda: hf.Starcoder2ForCausalLM(hf.Starcoder2Config(**SHAPE, sliding_window=3)),
    "Qwen2": lambda: hf.Qwen2ForCausalLM(
        hf.Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=3, layer_types=BOTH)
    ),
    "Gemma 3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**SHAPE, sliding_window=3, layer_types=BOTH)),
    "OLMo 3": lambda: hf.Olmo3ForCausalLM(hf.Olmo3Config(**SHAPE, sliding_window=3, layer_types=BOTH)),
    "GPT-OSS": lambda: hf.GptOssForCausalLM(
        hf.GptOssConfig(**SHAPE, sliding_window=3, layer_types=BOTH, num_local_experts=2, num_experts_per_tok=1)
    ),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_windows_that_bite_are_exact(name):
    with seeded(0):
        model = SHIPPED[name]().eval()
    policy = TokenPolicy(model, V).eval().requires_grad_(False)
    prompts = [[0, 1, 2, 3, 4, 5], [5, 4]]
    t, slow = (
        make(policy, prompts, max_length=12, max_actions=30, generator=generator())
        for make in (rollout, rollout_reference)
    )
    assert torch.equal(t.actions, slow.actions)
    assert bool((t.actions == V.backspace).any())
    torch.testing.assert_close(t.log_prob, slow.log_prob, rtol=0, atol=2e-5)
    torch.testing.assert_close(policy.step_values(t).log_prob[t.inside], t.log_prob[t.inside], rtol=0, atol=2e-5)
    tree = policy.pack(t)
    shared, whole = SharedPrompts.of(t).hidden(policy.trunk, tree), tree_hidden(policy.trunk, tree)
    real = torch.arange(whole.shape[1]) < tree.lengths[:, None]
    torch.testing.assert_close(shared[real], whole[real], rtol=0, atol=1e-5)
    model.config.sliding_window = 64
    blind = TokenPolicy(model, V).eval().requires_grad_(False)
    assert not torch.allclose(blind.step_values(t).log_prob, policy.step_values(t).log_prob, atol=1e-3)


def test_a_window_that_the_model_does_not_have_is_refused():
    """Its config says one, and its forward sees all."""
    with seeded(0):
        model = hf.LlamaForCausalLM(hf.LlamaConfig(**SHAPE))
    model.config.sliding_window = 3
    with pytest.raises(UnsupportedModelError, match=r"does not see the last 3 tokens alone, .*sliding_window; off by"):
        TokenPolicy(model, V)


def test_a_window_that_cannot_bite_is_none():
    with seeded(0):
        model = hf.MistralForCausalLM(hf.MistralConfig(**SHAPE, sliding_window=4096))
    assert TokenPolicy(model, V).step_values(rollout(TokenPolicy(model, V), [[0]], max_length=4)).q.isfinite().all()
