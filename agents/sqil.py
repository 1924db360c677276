"""SQIL: soft Q-learning with a constant reward on the data and another off it (Reddy, Dragan & Levine, ICLR 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqil import Agent, StepValues, TokenPolicy, Trajectories, TrajectoryLoss, objectives
from seqil.learning.whole_batch import total


class SQILLoss(TrajectoryLoss):
    """Squared soft Bellman residuals with bounded targets; the logits of the policy are the soft Q-values.

    `loss_data`, `loss_rollouts`: mean of `(l(a|s) - target)^2`, with `target = r + gamma V(s')` taken as a constant,
    `r = reward` on counted steps of the data and `-reward` on rollouts (SQIL; the symmetric rewards are LS-IQ's,
    Al-Hafez et al. 2023). Also theirs: targets are clipped to what such rewards can add up to,
    `[-reward, reward] / (1 - gamma)`, and the absorbing state has its value in closed form, `r / (1 - gamma)`, in place
    of a bootstrap. `loss_behavior_cloning`, with weight `cloning`, is ours: without it the scale of the logits is free.
    """

    out_keys = ["loss_behavior_cloning", "loss_data", "loss_rollouts"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, reward: float, gamma: float, cloning: float) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma)
        self.reward, self.gamma, self.cloning = reward, gamma, cloning

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Half from the data, half from the rollouts."""
        values = self.policy.step_values(demonstrations)
        cloning, _ = objectives.behavior_cloning(values)
        data = residual(values, self.reward, self.reward, self.gamma)
        own = torch.zeros_like(data)
        if rollouts is not None:
            own = residual(self.policy.step_values(rollouts), -self.reward, self.reward, self.gamma)
        return {"loss_behavior_cloning": self.cloning * cloning, "loss_data": data / 2, "loss_rollouts": own / 2}


class SQIL(Agent):
    """Clones first; then learns soft Q-values from demonstrations and a replay buffer of rollouts.

    Args:
        policy: what is trained.
        reward: per step of the data; its negative off it. In nats, as the logits are.
        gamma: discount per action, in (0, 1).
        cloning: weight of behavior cloning.
        warm_up: share of the steps that only clone.
        pace: factor of the learning rate after them.
        options: of `Agent`.
    """

    uses_rollouts = True

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        reward: float = 1.0,
        gamma: float = 0.9,
        cloning: float = 1.0,
        warm_up: float = 0.5,
        pace: float = 0.1,
        **options: Any,
    ) -> None:
        self.check_least(0, reward=reward, cloning=cloning)
        super().__init__(policy, SQILLoss(policy, reward, gamma, cloning), warm_up=warm_up, pace=pace, **options)


def residual(values: StepValues, reward: float, bound: float, gamma: float) -> Tensor:
    """Mean squared soft Bellman residual of the counted steps: a scalar, 0 if there is none.

    Args:
        values: of B rows.
        reward: of every step.
        bound: largest absolute reward there is.
        gamma: discount per action.
    """
    objectives.check_finite(values)
    steps = torch.arange(values.mask.shape[1], device=values.q.device)
    final = values.ended[:, None] & (steps == values.mask.sum(1, keepdim=True) - 1)
    following = torch.where(final, reward / (1 - gamma), values.v_next.detach())
    limit = bound / (1 - gamma)
    target = (reward + gamma * following).clamp(-limit, limit)
    counted = values.mask & values.imitate
    return torch.where(counted, (values.q - target).square(), 0).sum() / total(counted.sum()).clamp(min=1)
