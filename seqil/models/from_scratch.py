"""Models that nobody has trained."""

from __future__ import annotations

from transformers import GPT2Config, GPT2LMHeadModel

from ..randomness import seeded


def small_gpt2(size: int, eos: int, cells: int, layers: int, width: int, heads: int, seed: int) -> GPT2LMHeadModel:
    """A GPT-2 without dropout, of `size` tokens and `cells` positions."""
    config = GPT2Config(
        vocab_size=size,
        n_positions=cells,
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=eos,
        eos_token_id=eos,
    )
    with seeded(seed):
        return GPT2LMHeadModel(config)
