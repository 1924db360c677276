"""One decoding step of the trunk: with the modules of any model, and without them for a plain GPT-2.

Called for one token per row, the modules of a small model cost more than the arithmetic inside them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.activations import GELUTanh, NewGELUActivation
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Attention, GPT2Block, GPT2Model
from transformers.pytorch_utils import Conv1D

from ..mdp.prefix import Prefixes
from ..models.masks import additive
from ..models.products import Affine
from ..policy.activations import unchanged
from ..policy.cache import SlotCache
from ..policy.token_policy import TokenPolicy

Decoder = Callable[[Tensor, Tensor, SlotCache], Tensor]
"""(tokens [n], length [n], cache) -> last hidden states [n, D] of the tokens at position `length - 1` of n lanes.

`cache.step` was called; rows see the slots below their `length`.
"""

_PLAIN = {
    *(GPT2Model, GPT2Block, GPT2Attention, GPT2MLP, GELUTanh, NewGELUActivation, Conv1D),
    *(nn.ModuleList, nn.Embedding, nn.LayerNorm, nn.Dropout),
}


def decoder_of(policy: TokenPolicy, rows: int = 1) -> Decoder:
    """The fastest decoder of so many rows at most that computes what the modules of the policy compute, up to rounding.

    The weights must not change while it is used.
    """
    trunk = policy.model.base_model
    return GPT2Decoder(trunk, rows) if is_plain_gpt2(trunk) else ModuleDecoder(policy)


def is_plain_gpt2(trunk: nn.Module) -> bool:
    """Whether it is a GPT-2 of transformers' own modules, without adapters, hooks or other changes."""
    return (
        isinstance(trunk, GPT2Model)
        and not trunk.config.reorder_and_upcast_attn
        and all(type(module) in _PLAIN and unchanged(module) for module in trunk.modules())
    )


def read_prompts(policy: TokenPolicy, prompts: Prefixes, lanes: slice | Tensor, cache: SlotCache) -> None:
    """Write all but the last token of prompts to these lanes (a slice, or int64 [n]) of the cache."""
    n, prefix = len(prompts), int(prompts.length.max()) - 1
    if prefix > 0:
        cache.prefill(lanes, prefix)
        position = torch.arange(prefix, device=prompts.tokens.device)
        causal = additive(position[None, :] <= position[:, None], policy.mask_dtype)
        policy.hidden(prompts.tokens[:, :prefix], position.expand(n, -1), causal.expand(n, 1, -1, -1), cache)


class ModuleDecoder:
    """The model's own modules."""

    def __init__(self, policy: TokenPolicy) -> None:
        self.policy = policy

    def __call__(self, tokens: Tensor, length: Tensor, cache: SlotCache) -> Tensor:
        """As `Decoder`."""
        mask = cache.mask(length, self.policy.mask_dtype)
        step = tokens[:, None], length[:, None] - 1, mask, cache
        try:
            return self.policy.hidden(*step)[:, 0]
        except RuntimeError as error:
            if cache.contiguous or "view size" not in str(error):
                raise
        cache.contiguous = True  # attention that views keys in another shape; what was written is written again
        return self.policy.hidden(*step)[:, 0]


class GPT2Decoder:
    """The functions inside the modules of GPT-2, on their weights, in evaluation mode."""

    def __init__(self, trunk: GPT2Model, rows: int) -> None:
        self.tokens, self.positions = trunk.wte.weight, trunk.wpe.weight
        self.width, self.heads = trunk.embed_dim, trunk.config.n_head
        self.blocks = [
            (
                (b.ln_1.weight, b.ln_1.bias, b.ln_1.eps),
                _affine(b.attn.c_attn, rows),
                b.attn.scaling,
                _affine(b.attn.c_proj, rows),
                (b.ln_2.weight, b.ln_2.bias, b.ln_2.eps),
                _affine(b.mlp.c_fc, rows),
                _affine(b.mlp.c_proj, rows),
            )
            for b in trunk.h
        ]
        self.norm = trunk.ln_f.weight, trunk.ln_f.bias, trunk.ln_f.eps

    @torch.inference_mode()
    def __call__(self, tokens: Tensor, length: Tensor, cache: SlotCache) -> Tensor:
        """As `Decoder`."""
        n, D = tokens.shape[0], self.width
        x = torch.embedding(self.tokens, tokens) + torch.embedding(self.positions, length - 1)
        mask = None if cache.whole else cache.mask(length, x.dtype)
        for layer, (norm_1, attention, scaling, output, norm_2, up, down) in zip(
            cache.layers, self.blocks, strict=True
        ):
            qkv = attention(torch.layer_norm(x, (D,), *norm_1))
            qkv = qkv.view(n, 3, self.heads, 1, -1)
            keys, values = layer.step(qkv[:, 1:])
            mixed = scaled_dot_product_attention(qkv[:, 0], keys, values, attn_mask=mask, scale=scaling)
            x += output(mixed.reshape(n, D))
            x += down(up.gelu(torch.layer_norm(x, (D,), *norm_2)))
        return torch.layer_norm(x, (D,), *self.norm)


def _affine(layer: Conv1D, rows: int) -> Affine:
    """Of a Conv1D, whose weight is the other way round than that of a linear layer."""
    return Affine(layer.weight.T, layer.bias, rows)
