"""GOLD: off-policy policy gradient from demonstrations alone (Pang & He, ICLR 2021).

TRL's trainer of that name is another method: general on-line logit distillation, between different tokenizers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives

LikelihoodReward = Callable[[Tensor], Tensor]
"""Log-probability of an action under the cloned policy -> its reward; elementwise, nonnegative."""


def probability(log_prob: Tensor) -> Tensor:
    """The sum of probabilities as return: GOLD-s."""
    return log_prob.exp()


def log_probability(log_prob: Tensor) -> Tensor:
    """The product of probabilities as return: GOLD-p, shifted to be nonnegative: `log p - log .01`, 0 below."""
    return (log_prob - math.log(0.01)).clamp(min=0)


REWARDS: dict[str, LikelihoodReward] = {"probability": probability, "log_probability": log_probability}


class GOLDLoss(TrajectoryLoss):
    """`loss_gold`: minus the likelihood of demonstrated actions, weighted by `pi(a|s) Q(s, a)`.

    `pi(a|s)`, the one-step importance weight, is taken as a constant and not below `floor`. `Q` is the discounted sum
    of rewards from the step on, or 1 without a reward: GOLD-delta.
    """

    out_keys = ["loss_gold"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, reward: LikelihoodReward | None, gamma: float, floor: float) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma, undiscounted=True)
        self.reward, self.gamma, self.floor = reward, gamma, floor
        self.cloned = copy.deepcopy(policy).requires_grad_(False).eval()

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        values = self.policy.step_values(demonstrations)
        weight = values.log_prob.detach().exp().clamp(min=self.floor)
        if self.reward is not None:
            with torch.no_grad():
                rewards = self.reward(self.cloned.step_values(demonstrations).log_prob)
            weight = weight * objectives.returns(torch.where(values.imitate, rewards, 0), self.gamma)
        return {"loss_gold": objectives.weighted_likelihood(values, torch.where(values.imitate, weight, 0))}


class GOLD(Agent):
    """Clones first; then prefers the demonstrations that the policy can reproduce to those that it cannot.

    Args:
        policy: what is trained.
        reward: `probability`, `log_probability`, or None for a reward of 1 per demonstration (GOLD-delta).
        gamma: discount of the rewards to come.
        floor: least importance weight.
        warm_up: share of the steps that only clone; the policy that they end with gives the rewards.
        options: of `Agent`.
    """

    loss: GOLDLoss
    choices = {"reward": REWARDS}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        reward: LikelihoodReward | None = None,
        gamma: float = 0.9,
        floor: float = 0.1,
        warm_up: float = 0.5,
        **options: Any,
    ) -> None:
        self.check_shares(floor=floor)
        super().__init__(policy, GOLDLoss(policy, reward, gamma, floor), warm_up=warm_up, **options)

    def end_warm_up(self) -> None:
        """Keep the cloned policy."""
        self.loss.cloned.load_state_dict(self.policy.state_dict())

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """One more forward after the warm-up, for the rewards."""
        extra = 0 if self.warming or self.loss.reward is None else 1 / 3
        return self.policy.positions(demonstrations) * (1 + extra)
