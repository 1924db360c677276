"""What is left when nothing but GPT-2 is asked for: a hand-written loop, the ceiling of what Python can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, scaled_dot_product_attention
from transformers import GPT2LMHeadModel

from .measure import clock


@dataclass
class LeanGPT2:
    """GPT-2 with preallocated keys and values; all rows have one length and none deletes.

    Args:
        model: whose weights are read; `gelu_new` is computed by torch's own kernel.
    """

    model: GPT2LMHeadModel

    def __post_init__(self) -> None:
        trunk = self.model.transformer
        self.heads, self.width = trunk.config.n_head, trunk.config.n_embd // trunk.config.n_head
        self.layers = [
            (
                (b.ln_1.weight, b.ln_1.bias, b.attn.c_attn.weight, b.attn.c_attn.bias),
                (b.attn.c_proj.weight, b.attn.c_proj.bias, b.ln_2.weight, b.ln_2.bias),
                (b.mlp.c_fc.weight, b.mlp.c_fc.bias, b.mlp.c_proj.weight, b.mlp.c_proj.bias),
            )
            for b in trunk.h
        ]

    @torch.inference_mode()
    def generate(self, prompts: Tensor, new: int) -> tuple[Tensor, float]:
        """`new` sampled tokens after prompts int64 [B, P]: int64 [B, P + new], and when the prompts were read."""
        B, P = prompts.shape
        kv = self.room(B, P + new)
        text = torch.cat([prompts, prompts.new_zeros(B, new)], 1)
        fed, at, began = prompts, 0, 0.0
        points = torch.rand(new, B, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        points = points.to(prompts.device)
        for step in range(new):
            logits = self.logits(fed, at, kv)
            began = began or clock(prompts.device)
            cdf = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
            token = torch.searchsorted(cdf, points[step] * cdf[:, -1:]).clamp_(max=cdf.shape[1] - 1)
            at = P + step
            text[:, at : at + 1] = token
            fed = token
        return text, began

    def room(self, rows: int, slots: int) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of every layer, [rows, heads, slots, head width] each."""
        shape = rows, self.heads, slots, self.width
        zeros = self.model.lm_head.weight.new_zeros
        return [(zeros(shape), zeros(shape)) for _ in self.layers]

    def logits(self, tokens: Tensor, at: int, kv: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """After tokens int64 [B, N] at positions `at …`, whose keys and values are written: [B, V]."""
        trunk = self.model.transformer
        B, N = tokens.shape
        D = self.heads * self.width
        x = (embedding(tokens, trunk.wte.weight) + trunk.wpe.weight[at : at + N]).view(B * N, D)
        for (keys, values), ((g1, b1, wa, ba), (wo, bo, g2, b2), (wf, bf, wp, bp)) in zip(kv, self.layers, strict=True):
            q, k, v = torch.addmm(ba, layer_norm(x, (D,), g1, b1), wa).view(B, N, 3, self.heads, -1).unbind(2)
            keys[:, :, at : at + N] = k.transpose(1, 2)
            values[:, :, at : at + N] = v.transpose(1, 2)
            seen = keys[:, :, : at + N], values[:, :, : at + N]
            a = scaled_dot_product_attention(q.transpose(1, 2), *seen, is_causal=N > 1)
            x = torch.addmm(x.add_(bo), a.transpose(1, 2).reshape(B * N, D), wo)
            h = gelu(torch.addmm(bf, layer_norm(x, (D,), g2, b2), wf), approximate="tanh")
            x = torch.addmm(x.add_(bp), h, wp)
        last = x.view(B, N, D)[:, -1]
        last = layer_norm(last, (D,), trunk.ln_f.weight, trunk.ln_f.bias)
        return linear(last, self.model.lm_head.weight).float()
