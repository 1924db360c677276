"""An untrained Llama of 28 tokens, texts with a deletion to train it on, and a tokenizer of words."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seqil import Trajectories, Vocabulary
from seqil.randomness import seeded

V = Vocabulary(28, 27)


def llama(**options):
    config = LlamaConfig(
        **{"vocab_size": 28, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, **options},
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=32, bos_token_id=27, eos_token_id=27,
    )  # fmt: skip
    with seeded(0):
        return LlamaForCausalLM(config)


def demonstrations(n=16):
    g = torch.Generator().manual_seed(1)
    rows = [[*torch.randint(0, 27, (5,), generator=g).tolist(), V.backspace, 3, 27] for _ in range(n)]
    return Trajectories.from_actions(V, [[0]] * n, rows, max_length=8)


def generator():
    return torch.Generator().manual_seed(0)


def tokenizer(ids):
    """Of words, each with its id."""
    made = Tokenizer(models.WordLevel(ids, unk_token=next(iter(ids))))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>")
