"""Actions per second of rollouts with backspaces, against tokens per second of Hugging Face's `generate`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from seqil import TokenPolicy, Vocabulary, rollout
from seqil.randomness import seeded

from .measure import Ratio, compare

_PROMPT, _NEW = 64, 64


def measure(repetitions: int) -> Iterator[Ratio]:
    """GPT-2 of 4 layers x 256, 512 tokens, float32, about 15 % deletions, prompts of 64 and 64 actions."""
    v = Vocabulary(size=512, eos=511)
    config = GPT2Config(
        vocab_size=v.size, n_positions=256, n_layer=4, n_embd=256, n_head=8, bos_token_id=v.eos, eos_token_id=v.eos
    )
    with seeded(0):
        model = GPT2LMHeadModel(config).eval()
    policy = TokenPolicy(model, v)
    raise_backspace(policy, 0.15)
    for rows in (1, 8, 64):
        prompts = torch.randint(0, v.eos, (rows, _PROMPT), generator=torch.Generator().manual_seed(0))

        def ours(prompts: torch.Tensor = prompts) -> float:
            g = torch.Generator().manual_seed(0)
            t = rollout(policy, prompts, max_length=_NEW, max_actions=_NEW, min_length=_NEW, generator=g)
            return float(t.lengths.sum())

        def peer(prompts: torch.Tensor = prompts) -> float:
            with seeded(0), torch.no_grad():
                out = model.generate(
                    prompts,
                    attention_mask=torch.ones_like(prompts),
                    do_sample=True,
                    top_k=0,
                    max_new_tokens=_NEW,
                    min_new_tokens=_NEW,
                    pad_token_id=v.eos,
                )
            return float(out.shape[0] * (out.shape[1] - _PROMPT))

        yield compare(
            f"rollout per action against generate per token, {rows} rows", "actions/s", ours, peer, repetitions
        )


@torch.no_grad()
def raise_backspace(policy: TokenPolicy, share: float) -> None:
    """Make deletions about that share of the actions of an untrained model: scale its row along the mean state."""
    policy.eval()
    cells = torch.randint(0, policy.vocabulary.eos, (64, 32), generator=torch.Generator().manual_seed(1))
    state = policy.model.base_model(cells).last_hidden_state.reshape(-1, policy.weight.shape[1])
    mean = state.mean(0)
    lift = torch.logsumexp(policy.head(state)[:, :-1], -1).mean() + torch.tensor(share / (1 - share)).log()
    policy.weight[policy.vocabulary.backspace] = mean * lift / mean.dot(mean)
