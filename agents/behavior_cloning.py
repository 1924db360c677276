"""Behavior cloning: the likelihood of demonstrated actions, backspaces included (Pomerleau 1988)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqil import Agent, StepValues, TokenPolicy, Trajectories, TrajectoryLoss, objectives
from seqil.errors import InvalidInputError


class BehaviorCloningLoss(TrajectoryLoss):
    """`loss_behavior_cloning`: discounted negative log-likelihood per counted action, in nats; smoothed on demand."""

    out_keys = ["loss_behavior_cloning"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma, undiscounted=True)
        if not 0 <= smoothing < 1:
            raise InvalidInputError(f"smoothing={smoothing} must lie in [0, 1)")
        self.gamma, self.smoothing = gamma, smoothing

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        values = self._smoothed(demonstrations) if self.smoothing else self.policy.step_values(demonstrations)
        loss, _ = objectives.behavior_cloning(values, gamma=self.gamma)
        return {"loss_behavior_cloning": loss}

    def _smoothed(self, t: Trajectories) -> StepValues:
        """Values whose log-probability is the cross-entropy with a smoothed label, with its sign turned."""
        laws, legal = self.policy.step_log_probs(t), t.legal_actions(self.policy.backspace)
        taken = laws.gather(2, t.actions[..., None])[..., 0]
        uniform = torch.where(legal, laws, 0).sum(2) / legal.sum(2).clamp(min=1)
        mixed = torch.where(t.inside, (1 - self.smoothing) * taken + self.smoothing * uniform, 0)
        nothing = torch.zeros_like(mixed)
        return StepValues(mixed, nothing, nothing, t.inside, t.imitate & t.inside, t.ended)


class BehaviorCloning(Agent):
    """Imitates every counted step. Maximum likelihood is its special case of demonstrations without backspaces.

    Args:
        policy: what is trained.
        gamma: discount per action; 1 is maximum likelihood.
        smoothing: share of the label that all legal actions have alike (Szegedy et al. 2016), in [0, 1). The loss then
            holds the whole law of every step in memory.
        options: of `Agent`.
    """

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0, smoothing: float = 0.0, **options: Any) -> None:
        super().__init__(policy, BehaviorCloningLoss(policy, gamma=gamma, smoothing=smoothing), **options)
