"""On-policy distillation: a teacher's law, learned at the student's own states (Agarwal et al., ICLR 2024, GKD)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, experts, objectives
from seqil.learning.whole_batch import total
from seqil.metrics.distances import STEP_DIVERGENCES, StepDivergence, kl


class DistillationLoss(TrajectoryLoss):
    """Cloning of the demonstrations, and the divergence from teacher to student at every state of the rollouts.

    `loss_behavior_cloning` and `loss_distillation`, nats per action. No gradient flows through the sampling.
    """

    out_keys = ["loss_behavior_cloning", "loss_distillation"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, expert: experts.Expert, divergence: StepDivergence, share: float) -> None:
        super().__init__(policy)
        self.expert, self.divergence, self.share = expert, divergence, share

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Row `i` of both has the same prompt."""
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        distillation = torch.zeros_like(cloning)
        if rollouts is not None:
            laws = experts.laws(self.expert, rollouts, demonstrations, self.policy.backspace, self.policy.memory)
            taught = laws.sum(-1) > 0  # all, but where the expert has nothing to say
            log_q = self.policy.step_log_probs(rollouts)[taught]
            distillation = self.divergence(laws[taught].to(log_q), log_q).sum() / total(taught.sum()).clamp(min=1)
        return {"loss_behavior_cloning": (1 - self.share) * cloning, "loss_distillation": self.share * distillation}


class OnPolicyDistillation(Agent):
    """Clones first; then learns the whole law of an expert wherever its own rollouts lead.

    Unlike DAgger it needs the expert's law, not one action, and takes rollouts of the present policy alone.

    Args:
        policy: what is trained.
        expert: one of `seqil.experts`: an exact teacher, another policy; None: the reference answer.
        divergence: of `STEP_DIVERGENCES`: `forward_kl` (cover what the teacher does), `reverse_kl`, `jensen_shannon`.
        share: weight of the rollouts. The paper's `lambda` is the share of batches that are the student's own, and on
            the others too it learns the teacher's law; cloning the demonstrations there is ours.
        warm_up: share of the steps that only clone.
        options: of `Agent`.
    """

    uses_rollouts = fresh = True
    choices = {"expert": experts.EXPERTS, "divergence": STEP_DIVERGENCES}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        expert: experts.Expert | None = None,
        divergence: StepDivergence = kl,
        share: float = 0.5,
        warm_up: float = 0.25,
        **options: Any,
    ) -> None:
        expert = expert or experts.reference(policy.vocabulary, policy.backspace)
        super().__init__(policy, DistillationLoss(policy, expert, divergence, share), warm_up=warm_up, **options)
        self.check_shares(share=share)
