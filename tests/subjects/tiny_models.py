"""Untrained models of some families with laws far from uniform, in float64."""

from functools import cache

import torch
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXJapaneseConfig,
    GPTNeoXJapaneseForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from seqil import TokenPolicy, Vocabulary
from seqil.randomness import seeded

V, LARGE = Vocabulary(size=7, eos=6), Vocabulary(size=5000, eos=6)
FAMILIES = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=7, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=6)
    ),
    "llama": lambda: LlamaForCausalLM(
        LlamaConfig(vocab_size=7, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, max_position_embeddings=64)
    ),
}  # fmt: skip
SPECIAL = {
    "large": lambda: GPT2LMHeadModel(  # so many tokens that a law is sampled in blocks
        GPT2Config(vocab_size=LARGE.size, n_positions=64, n_embd=32, n_layer=1, n_head=2, bos_token_id=0,
                   eos_token_id=6)
    ),
    "large, biased": lambda: GPTJForCausalLM(
        GPTJConfig(vocab_size=LARGE.size, n_positions=64, n_embd=32, n_layer=1, n_head=2, rotary_dim=2, bos_token_id=0,
                   eos_token_id=6)
    ),
    "narrow": lambda: GPT2LMHeadModel(  # a law is larger than two of its hidden states
        GPT2Config(vocab_size=7, n_positions=64, n_embd=2, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=6)
    ),
    "japanese": lambda: GPTNeoXJapaneseForCausalLM(  # its attention views keys in another shape
        GPTNeoXJapaneseConfig(vocab_size=7, hidden_size=32, intermediate_multiple_size=2, num_hidden_layers=2,
                              num_attention_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=6)
    ),
    "deepseek": lambda: DeepseekV3ForCausalLM(  # its keys are wider than its values
        DeepseekV3Config(vocab_size=7, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=2, q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=8,
                         v_head_dim=6, first_k_dense_replace=1, max_position_embeddings=64)
    ),
}  # fmt: skip


@cache
def tiny_policy(family):
    with seeded(0), torch.no_grad():
        large = family.startswith("large")
        v, spread = (LARGE, 1.5) if large else (V, 0.25)
        policy = TokenPolicy((FAMILIES | SPECIAL)[family]().double(), v).eval().requires_grad_(False)
        policy.weight.mul_(8)
        policy.weight[v.backspace] += spread * torch.randn(policy.weight.shape[1], dtype=torch.float64)
        if large:
            policy.weight[v.eos] += torch.randn(32, dtype=torch.float64)  # so that it matters where it is illegal
        if policy.bias is not None:
            policy.bias.copy_(torch.randn(len(policy.bias), dtype=torch.float64))
    return policy


def with_exact_norms(model):
    """The same in the precision of its weights: the RMSNorm of transformers computes in float32 always."""
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if "RMSNorm" in type(norm).__name__:
                exact = torch.nn.RMSNorm(norm.weight.shape, norm.variance_epsilon, dtype=norm.weight.dtype)
                exact.weight = norm.weight
                setattr(parent, name, exact)
    return model
