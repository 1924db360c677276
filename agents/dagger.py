"""DAgger: an expert says what it would have done in the learner's own states (Ross, Gordon & Bagnell 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, experts, objectives
from seqil.decoding import Rule


class DAggerLoss(TrajectoryLoss):
    """Cloning of the demonstrations and of the expert's labels on rollouts: algorithm 3.1 with the aggregate's loss.

    `loss_behavior_cloning` and `loss_correction`, nats per counted action each.
    """

    out_keys = ["loss_behavior_cloning", "loss_correction"]  # noqa: RUF012
    divides_by = "counts"

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """`rollouts` carry labels."""
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        correction = torch.zeros_like(cloning)
        if rollouts is not None:
            correction, _ = objectives.behavior_cloning(self.policy.step_values(rollouts))
        return {"loss_behavior_cloning": cloning, "loss_correction": correction}


class DAgger(Agent):
    """Rolls out the mixture of expert and policy, and clones what the expert would have done at every state of it.

    With a backspace the expert deletes wherever the text has gone wrong, so that every mistake of the policy becomes a
    demonstration of its deletion. The replay buffer of `Training` is the aggregated data set (its capacity the most
    that is kept; Ross et al. keep everything).

    Args:
        policy: what is trained.
        expert: one of `seqil.experts`; None: the reference answer, that is the demonstration of the same prompt.
        share: of the expert in the rollouts right after the warm-up (`beta_i` of the paper).
        anneal: share of the steps over which it then falls linearly to 0.
        warm_up: share of the steps that only clone.
        options: of `Agent`.
    """

    uses_rollouts = True
    choices = {"expert": experts.EXPERTS}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        expert: experts.Expert | None = None,
        share: float = 0.5,
        anneal: float = 0.25,
        warm_up: float = 0.25,
        **options: Any,
    ) -> None:
        super().__init__(policy, DAggerLoss(policy), warm_up=warm_up, **options)
        self.check_shares(share=share, anneal=anneal)
        self.expert = expert or experts.reference(policy.vocabulary, policy.backspace)
        self.share, self.anneal = share, anneal

    def rules(self, demonstrations: Trajectories) -> Sequence[Rule]:
        """The expert intervenes, less and less."""
        since = self.updates / self.steps - self.warm_up
        share = 0.0 if since >= self.anneal else self.share * (1 - since / self.anneal)
        return [experts.intervention(self.expert, demonstrations.replay(), share)] if share else []

    def label(self, rollouts: Trajectories, demonstrations: Trajectories, generator: torch.Generator) -> Trajectories:
        """One action of the expert at every state; where it has none, the step does not count."""
        policy = self.policy
        law = experts.laws(self.expert, rollouts, demonstrations, policy.backspace, policy.memory).cpu()
        said = law.sum(-1) > 0
        labels, steps = rollouts.actions.clone(), said.to(rollouts.actions.device)
        if bool(said.any()):
            labels[steps] = torch.multinomial(law[said], 1, generator=generator)[:, 0].to(labels.device)
        return rollouts.labelled(labels, rollouts.imitate & steps)
