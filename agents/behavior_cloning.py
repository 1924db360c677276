"""Behavior cloning: the likelihood of demonstrated actions, backspaces included (Pomerleau 1988)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives


class BehaviorCloningLoss(TrajectoryLoss):
    """`loss_behavior_cloning`: discounted negative log-likelihood per counted action, in nats."""

    out_keys = ["loss_behavior_cloning"]  # noqa: RUF012

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma, undiscounted=True)
        self.gamma = gamma

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        loss, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations), gamma=self.gamma)
        return {"loss_behavior_cloning": loss}


class BehaviorCloning(Agent):
    """Imitates every counted step. Maximum likelihood is its special case of demonstrations without backspaces.

    Args:
        policy: what is trained.
        gamma: discount per action; 1 is maximum likelihood.
        options: of `Agent`.
    """

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0, **options: Any) -> None:
        super().__init__(policy, BehaviorCloningLoss(policy, gamma=gamma), **options)
