"""The models that are timed: from a config, with random weights, and a policy that deletes as often as is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from seqil import TokenPolicy, Trajectories, Vocabulary
from seqil.policy.cache import SlotCache
from seqil.randomness import seeded
from seqil.rollouts import lanes, lockstep
from seqil.rollouts.decoder import Decoder, decoder_of

from .measure import CPU, clock

SMALL = {"vocab_size": 512, "n_layer": 4, "n_embd": 256, "n_head": 8}
GPT2_124M = {"vocab_size": 50_257, "n_layer": 12, "n_embd": 768, "n_head": 12}


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, its policy and its size."""

    model: GPT2LMHeadModel
    policy: TokenPolicy

    @classmethod
    def of(
        cls, shape: dict[str, int], positions: int, dtype: torch.dtype = torch.float32, device: torch.device = CPU
    ) -> Subject:
        """GPT-2 of that shape, in evaluation mode."""
        v = Vocabulary(size=shape["vocab_size"], eos=shape["vocab_size"] - 1)
        config = GPT2Config(n_positions=positions, bos_token_id=v.eos, eos_token_id=v.eos, **shape)
        with seeded(0):
            model = GPT2LMHeadModel(config).eval().to(device, dtype)
        return cls(model, TokenPolicy(model, v))

    def prompts(self, rows: int, length: int) -> Tensor:
        """Random ids [rows, length]."""
        g, eos = torch.Generator().manual_seed(0), self.policy.vocabulary.eos
        return torch.randint(0, eos, (rows, length), generator=g).to(self.model.device)


class Watch:
    """When the trunk had computed its first states, and how many rows it was fed.

    What is replayed as a CUDA graph is not counted.
    """

    began, rows = 0.0, 0

    def decoder_of(self, policy: TokenPolicy, rows: int) -> Decoder:
        """That of the policy, watched."""
        decoder = decoder_of(policy, rows)

        def decode(tokens: Tensor, length: Tensor, cache: SlotCache) -> Tensor:
            hidden = decoder(tokens, length, cache)
            self.began = self.began or clock(hidden.device)
            self.rows += len(tokens)
            return hidden

        return decode


@contextmanager
def watched() -> Iterator[Watch]:
    """Rollouts inside are watched."""
    watch = Watch()
    with patch.object(lanes, "decoder_of", watch.decoder_of), patch.object(lockstep, "decoder_of", watch.decoder_of):
        yield watch


@torch.no_grad()
def raise_backspace(policy: TokenPolicy, share: float) -> None:
    """Make deletions about that share of the actions of an untrained model, in all states alike.

    One coordinate of the last hidden states is made large, and the backspace, the only one to read it, is scaled.
    """
    policy.model.base_model.ln_f.bias[0] = 16.0
    policy.weight[:, 0] = 0.0
    cells = torch.randint(0, policy.vocabulary.eos, (8, 64), generator=torch.Generator().manual_seed(1))
    cells = cells.to(policy.weight.device)
    hidden = policy.model.base_model(cells).last_hidden_state.flatten(0, 1)
    along = hidden[:, 0].float() / 16
    tokens = policy.head(hidden)[:, : policy.vocabulary.size].logsumexp(-1)
    low, high = 0.0, 100.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if (along * middle - tokens).sigmoid().mean() < share else (low, middle)
    policy.weight[policy.vocabulary.backspace] = 0.0
    policy.weight[policy.vocabulary.backspace, 0] = low / 16


def deletions(t: Trajectories) -> float:
    """Share of the backspaces among the actions."""
    return float((t.actions == t.vocabulary.backspace).sum() / t.lengths.sum())
