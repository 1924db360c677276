"""Actions per second of rollouts with backspaces, against tokens per second of Hugging Face's `generate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from seqil import TokenPolicy, Trajectories, Vocabulary, rollout
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
    for rows in (1, 8, 64):
        prompts = torch.randint(0, v.eos, (rows, _PROMPT), generator=torch.Generator().manual_seed(0))

        def sample(prompts: torch.Tensor = prompts) -> Trajectories:
            g = torch.Generator().manual_seed(0)
            return rollout(policy, prompts, max_length=_NEW, max_actions=_NEW, min_length=_NEW, generator=g)

        def ours(sample: Callable[[], Trajectories] = sample) -> float:
            return float(sample().lengths.sum())

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

        raise_backspace(policy, 0.15, sample)
        share = f"{100 * deletions(sample()):.0f} % deletions"
        name = f"rollout / generate, {rows} rows, {share}"
        yield compare(name, "actions/s", ours, peer, repetitions)


@torch.no_grad()
def raise_backspace(policy: TokenPolicy, share: float, sample: Callable[[], Trajectories]) -> None:
    """Make deletions about that share of the sampled actions of an untrained model: scale its row, by bisection."""
    cells = torch.randint(0, policy.vocabulary.eos, (64, 32), generator=torch.Generator().manual_seed(1))
    mean = policy.model.base_model(cells).last_hidden_state.flatten(0, 1).mean(0)
    low, high = 0.0, 20.0
    for _ in range(12):
        middle = (low + high) / 2
        policy.weight[policy.vocabulary.backspace] = mean * middle / mean.dot(mean)
        low, high = (middle, high) if deletions(sample()) < share else (low, middle)


def deletions(t: Trajectories) -> float:
    """Share of the backspaces among the actions."""
    return float((t.actions == t.vocabulary.backspace).sum() / t.lengths.sum())
