import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from seqil import TokenPolicy, Vocabulary, rollout
from seqil.rollouts import rollout_reference

V = 7


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=V, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=6)
    )


def llama():
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=V, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                    num_key_value_heads=1, max_position_embeddings=64)
    )  # fmt: skip


@pytest.mark.parametrize("make", [gpt2, llama])
def test_cached_rollout_equals_the_reference(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = TokenPolicy(make().double(), Vocabulary(V, 6))
    with torch.no_grad():
        policy.weight.mul_(8)
    prompts = [[0], [1, 2, 3], [2, 2], [0, 1]]
    limits = {"max_length": 9, "max_actions": 40}
    fast = rollout(policy, prompts, generator=torch.Generator().manual_seed(1), **limits)
    slow = rollout_reference(policy, prompts, generator=torch.Generator().manual_seed(1), **limits)
    assert torch.equal(fast.actions, slow.actions)
    assert torch.allclose(fast.log_prob, slow.log_prob, atol=1e-6)
    values = policy.eval().step_values(fast)
    assert torch.allclose(values.log_prob[fast.inside], fast.log_prob[fast.inside].double(), atol=1e-6)
