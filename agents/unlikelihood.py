"""Unlikelihood training: what should not be said, said so (Welleck et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives, pack
from seqil.trajectory import held

Candidates = Callable[[Trajectories], tuple[Tensor, Tensor]]
"""Trajectories -> actions int64 [B, T, K] that are wrong before each step, and which of them count, bool [B, T, K]."""


def previous_tokens(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Every token of the prefix but the one that comes next, once each: the paper's choice against repetition."""
    t, v = trajectories, trajectories.vocabulary
    tree = pack(v, t)
    seen = tree.visible().gather(1, tree.node_at[:, :-1, None].expand(-1, -1, tree.tokens.shape[1]))
    sorted_tokens = torch.where(seen, tree.tokens[:, None], v.size).sort(-1).values
    again = torch.zeros_like(seen)
    again[..., 1:] = sorted_tokens[..., 1:] == sorted_tokens[..., :-1]
    wrong = (sorted_tokens != v.size) & (sorted_tokens != v.eos) & (sorted_tokens != t.actions[..., None]) & ~again
    writable = held(v, t.actions, t.inside)[0] < t.max_length
    return sorted_tokens, wrong & (t.inside & t.imitate & writable)[..., None]


def mistakes(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """The wrong tokens that noise wrote and the loss left out (`mask_noise`): ours, for data with deletions."""
    t, v = trajectories, trajectories.vocabulary
    wrong = t.inside & ~t.imitate & (t.actions != v.backspace) & (t.actions != v.eos)
    return t.actions[..., None], wrong[..., None]


CANDIDATES: dict[str, Candidates] = {"previous_tokens": previous_tokens, "mistakes": mistakes}


class UnlikelihoodLoss(TrajectoryLoss):
    """Likelihood of the demonstrations and `alpha` times the unlikelihood `-log(1 - pi(c|s))` of candidates `c`.

    `loss_behavior_cloning` and `loss_unlikelihood` (equation 4 of the paper), nats per counted action.
    """

    out_keys = ["loss_behavior_cloning", "loss_unlikelihood"]  # noqa: RUF012

    def __init__(self, policy: TokenPolicy, alpha: float, candidates: Candidates) -> None:
        super().__init__(policy)
        self.alpha, self.candidates = alpha, candidates

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        actions, counted = self.candidates(demonstrations)
        taken = demonstrations.actions[..., None]
        asked = torch.cat([taken, torch.where(counted, actions, taken)], -1)
        values = self.policy.step_values(demonstrations, actions=asked)
        wrong = unlikelihood(values.log_prob[..., 1:], counted) / demonstrations.imitate.sum().clamp(min=1)
        cloning, _ = objectives.behavior_cloning(values.of(0))
        return {"loss_behavior_cloning": cloning, "loss_unlikelihood": self.alpha * wrong}


class UnlikelihoodTraining(Agent):
    """Behavior cloning that also lowers the probability of wrong tokens.

    Args:
        policy: what is trained.
        alpha: weight of the unlikelihood.
        candidates: which tokens are wrong: `previous_tokens` or `mistakes`.
        options: of `Agent`.
    """

    choices = {"candidates": CANDIDATES}  # noqa: RUF012

    def __init__(
        self, policy: TokenPolicy, *, alpha: float = 1.0, candidates: Candidates = previous_tokens, **options: Any
    ) -> None:
        super().__init__(policy, UnlikelihoodLoss(policy, alpha, candidates), **options)


def unlikelihood(log_prob: Tensor, counted: Tensor) -> Tensor:
    """Sum of `-log(1 - p)` over the counted cells; a `p` that rounds to 1 is taken as 1 - 1e-6."""
    safe = torch.where(counted, log_prob, -1.0).clamp(max=-1e-6)
    return -torch.where(counted, torch.log(-torch.expm1(safe)), 0).sum()
