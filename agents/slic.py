"""SLiC: likelihoods calibrated to rank the policy's own samples by similarity to the reference (Zhao et al., 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives
from seqil.learning.whole_batch import total

Similarity = Callable[[Sequence[int], Sequence[int]], float]
"""(reference, sample), token ids of both texts -> how alike they are."""


def common_blocks(reference: Sequence[int], sample: Sequence[int]) -> float:
    """Twice the length of matching blocks over both lengths (Ratcliff & Obershelp), in [0, 1]."""
    return SequenceMatcher(None, reference, sample, autojunk=False).ratio()


class SLiCLoss(TrajectoryLoss):
    """Rank calibration with regularisation by cloning.

    `loss_calibration`: `max(0, margin - log P(better) + log P(worse))`, the mean over all pairs of samples of one
    prompt that are not equally similar to its demonstration (the paper's rank loss).
    `loss_behavior_cloning` keeps the policy near the data. Ours: `log P` is the mean over all actions, deletions
    included, since a sum would reward whoever deletes less; and the similarity is one of texts, not of decoder states.
    """

    out_keys = ["loss_behavior_cloning", "loss_calibration"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, samples: int, margin: float, weight: float, similarity: Similarity) -> None:
        super().__init__(policy)
        self.samples, self.margin, self.weight, self.similarity = samples, margin, weight, similarity

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Row `i` of the rollouts has the prompt of demonstration `i // samples`."""
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        ranking = torch.zeros_like(cloning)
        if rollouts is not None:
            values = self.policy.step_values(rollouts)
            objectives.check_finite(values, "rollouts")
            likelihood = torch.where(values.mask, values.log_prob, 0).sum(1) / rollouts.lengths
            ranking = calibration(likelihood, self._similarities(demonstrations, rollouts), self.samples, self.margin)
        return {"loss_behavior_cloning": self.weight * cloning, "loss_calibration": ranking}

    def _similarities(self, demonstrations: Trajectories, rollouts: Trajectories) -> Tensor:
        wanted = demonstrations.repeat(self.samples).replay().texts()
        found = [self.similarity(a, b) for a, b in zip(wanted, rollouts.replay().texts(), strict=True)]
        return torch.tensor(found, device=rollouts.actions.device)


class SLiC(Agent):
    """Clones first; then samples several texts per prompt and calibrates their likelihoods.

    Args:
        policy: what is trained.
        samples: per prompt, at least 2.
        margin: wanted between a better and a worse sample, in nats per action.
        weight: of cloning.
        similarity: to the demonstration.
        warm_up: share of the steps that only clone.
        pace: factor of the learning rate after them.
        options: of `Agent`.
    """

    uses_rollouts = fresh = True

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        samples: int = 2,
        margin: float = 0.1,
        weight: float = 1.0,
        similarity: Similarity = common_blocks,
        warm_up: float = 0.5,
        pace: float = 0.3,
        **options: Any,
    ) -> None:
        self.check_least(2, samples=samples)
        self.check_least(0, margin=margin, weight=weight)
        super().__init__(
            policy, SLiCLoss(policy, samples, margin, weight, similarity), warm_up=warm_up, pace=pace, **options
        )
        self.samples = samples


def calibration(likelihood: Tensor, similarity: Tensor, samples: int, margin: float) -> Tensor:
    """Mean hinge over the pairs of each prompt: `likelihood` and `similarity` [B * samples], prompts side by side."""
    log_p, alike = likelihood.view(-1, samples), similarity.view(-1, samples)
    better = alike[:, :, None] > alike[:, None, :]
    hinge = (margin - log_p[:, :, None] + log_p[:, None, :]).clamp(min=0)
    return torch.where(better, hinge, 0).sum() / total(better.sum()).clamp(min=1)
