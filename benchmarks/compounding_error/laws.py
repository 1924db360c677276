"""What a policy would write next: the entropy of its law by position, and whether the data agree with its mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqil import TokenPolicy, Trajectories
from seqil.metrics import token_log_probs
from seqil.policy import evaluating
from seqil.statistics import Estimate, mean, ratio

_ROWS = 32


@torch.no_grad()
def laws(policy: TokenPolicy, texts: Trajectories) -> Iterator[tuple[Trajectories, Tensor]]:
    """Log-probabilities of the next token, given that none is deleted, at every step: [rows, T, V], batch by batch."""
    with evaluating(policy):
        for at in range(0, len(texts), _ROWS):
            part = texts.select(slice(at, at + _ROWS))
            law = policy.step_log_probs(part.to(policy.weight.device))
            yield part, token_log_probs(law.flatten(0, 1)).unflatten(0, law.shape[:2]).cpu()


def accuracy(policy: TokenPolicy, demonstrations: Trajectories) -> Estimate:
    """Share of demonstrated tokens that are the policy's most probable ones after the demonstrated prefix."""
    right, steps = [], []
    for part, law in laws(policy, demonstrations):
        right += ((law.argmax(-1) == part.actions) & part.inside).sum(1).tolist()
        steps += part.lengths.tolist()
    return ratio(right, steps, "sequences")


def entropies(policy: TokenPolicy, demonstrations: Trajectories, rollouts: Trajectories, width: int) -> dict[str, Any]:
    """Mean entropy (nats) of the next token in bins of `width` positions, after data and after the policy's own texts.

    Returns:
        `bin`, and for `data` and `own` the list of estimates over texts, as JSON.
    """
    return {
        "bin": width,
        "data": _entropy_by_position(policy, demonstrations, width),
        "own": _entropy_by_position(policy, final(rollouts), width),
    }


def final(rollouts: Trajectories) -> Trajectories:
    """The texts that rollouts ended with, as if written without a deletion; texts without a token are left out."""
    texts = rollouts.replay().texts()
    rows = torch.tensor([i for i, text in enumerate(texts) if text], dtype=torch.int64)
    return Trajectories.from_actions(
        rollouts.vocabulary,
        rollouts.prompts[rows],
        [texts[i] for i in rows.tolist()],
        max_length=rollouts.max_length,
        min_length=rollouts.min_length,
    )


def _entropy_by_position(policy: TokenPolicy, texts: Trajectories, width: int) -> list[dict[str, Any]]:
    bins = -(-texts.max_length // width)
    per_text: list[list[float]] = [[] for _ in range(bins)]
    for part, law in laws(policy, texts):
        entropy = torch.special.entr(law.exp()).sum(-1)
        counted = part.inside & (part.actions != part.vocabulary.eos)
        for b in range(bins):
            here = slice(b * width, (b + 1) * width)
            n = counted[:, here].sum(1)
            total = torch.where(counted[:, here], entropy[:, here], 0).sum(1)
            per_text[b] += (total[n > 0] / n[n > 0]).tolist()
    return [mean(np.array(values), "sequences").to_json() for values in per_text if values]
