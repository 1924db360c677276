"""SequenceMatch: occupancy matching without an adversary (Cundy & Ermon, ICLR 2024).

A reconstruction: the body of the paper was not read, and no code was published. It is made from the abstract, from what
others say of the paper and from its parents (IQ-Learn, Garg et al. 2021; LS-IQ, Al-Hafez et al. 2023), and derived and
checked anew; what is called the paper's here is what those sources say it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, divergences, objectives
from seqil.errors import InvalidInputError
from seqil.learning.whole_batch import mean


class SequenceMatchLoss(TrajectoryLoss):
    """`beta` parts of behavior cloning and `1 - beta` parts of the SequenceMatch objective.

    Writes `loss_behavior_cloning`, `loss_sequence_match` and, detached, the parts of the latter with the mean and
    largest `V` and implicit reward of the demonstrations: a common offset of the logits is almost free, so it is worth
    watching.
    """

    out_keys = [  # noqa: RUF012
        "loss_behavior_cloning",
        "loss_sequence_match",
        *("likelihood", "penalty_data", "penalty_tail", "penalty_rollouts"),
        *("value_mean", "value_max", "reward_mean", "reward_max"),
    ]
    divides_by = "counts"
    beta: torch.Tensor

    def __init__(
        self,
        policy: TokenPolicy,
        divergence: divergences.Divergence,
        *,
        gamma: float = 0.998,
        next_value: bool = True,
    ) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma)
        self.divergence = divergences.check(divergence)
        self.gamma, self.next_value = gamma, next_value
        self.register_buffer("beta", torch.tensor(1.0, dtype=torch.float64))

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Rollouts enter for a mixture, once `beta` has fallen below 1."""
        beta, values = float(self.beta), self.policy.step_values(demonstrations)
        own = None
        if self.divergence.mixture and beta < 1 and rollouts is not None:
            own = self.policy.step_values(rollouts)
        cloning, _ = objectives.behavior_cloning(values)
        matching, parts = objectives.sequence_match(
            values, divergence=self.divergence, gamma=self.gamma, rollouts=own, next_value=self.next_value
        )
        seen = values.detach() if self.next_value else objectives.without_next_value(values.detach())
        v, reward = seen.v[seen.mask], (seen.q - self.gamma * seen.v_next)[seen.mask]
        return {
            "loss_behavior_cloning": beta * cloning,
            "loss_sequence_match": (1 - beta) * matching,
            **parts,
            "value_mean": mean(v),
            "value_max": v.max(),
            "reward_mean": mean(reward),
            "reward_max": reward.max(),
        }


class SequenceMatch(Agent):
    """Behavior cloning first, then its mixture with occupancy matching.

    Give `seqil.train` noised demonstrations (`corrupt`), so that deletions are demonstrated; a policy without a
    backspace trains on clean ones.

    Args:
        policy: what is trained.
        divergence: which, with its `alpha`; the paper's by default.
        gamma: discount per action, in (0, 1).
        warm_up: share of the steps that only clone.
        anneal: share of the steps over which `beta`, the weight of cloning, then falls linearly from 1.
        beta: its final weight.
        rollout_share: rollouts per demonstration of an update, for a mixture. Few of them estimate the same expectation
            and leave the budget to the data.
        next_value: False takes the value of every next state as 0 in the implicit reward: an ablation, to see what that
            value does, not a method.
        options: of `Agent`.
    """

    loss: SequenceMatchLoss
    choices = {"divergence": divergences.DIVERGENCES}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        divergence: divergences.Divergence | None = None,
        gamma: float = 0.998,
        warm_up: float = 0.25,
        anneal: float = 0.25,
        beta: float = 0.2,
        rollout_share: float = 0.125,
        next_value: bool = True,
        **options: Any,
    ) -> None:
        chosen = divergences.chi2_mixture() if divergence is None else divergence
        loss = SequenceMatchLoss(policy, chosen, gamma=gamma, next_value=next_value)
        super().__init__(policy, loss, warm_up=warm_up, **options)
        self.check_shares(anneal=anneal, beta=beta, rollout_share=rollout_share)
        if rollout_share == 0:
            raise InvalidInputError("SequenceMatch: rollout_share=0 leaves a mixture without rollouts; 0.125 say")
        self.anneal, self.beta, self.rollout_share = anneal, beta, rollout_share

    @property
    def needs_rollouts(self) -> bool:
        """True after the warm-up, if the divergence is from a mixture: no other one has a gradient from rollouts."""
        return self.loss.divergence.mixture and self._beta() < 1

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step on the weighted sum of both losses."""
        self.loss.beta.fill_(self._beta())
        return {**super().update(demonstrations, rollouts), "beta": float(self.loss.beta)}

    def _beta(self) -> float:
        since = self.updates / self.steps - self.warm_up
        if since < 0:
            return 1.0
        done = 1.0 if since >= self.anneal else since / self.anneal
        return 1 - (1 - self.beta) * done
