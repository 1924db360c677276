"""The on-policy gradient of a divergence between occupancies, where SequenceMatch descends a surrogate of it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, divergences, objectives
from seqil.learning.whole_batch import centre_and_spread, share


class OccupancyGradientLoss(TrajectoryLoss):
    """`min over pi of max over x`: a soft Q whose implicit reward measures the divergence, a policy that ascends it.

    SequenceMatch lets one network be both, so that its policy is always the soft-optimal one of its own reward. There
    the score function of that reward says nothing: with `pi = softmax(l)` the soft advantage
    `x_i + g V_{i+1} - V_i - log pi_i` is `l_i - V_i - log pi_i = 0`, step by step. Here the soft Q is a second
    network `l`:

    - `loss_soft_q` = `-alpha` times `objectives.occupancy_divergence`, over demonstrations and fresh rollouts. At its
      optimum the reward is the density ratio: `z = alpha x = 2 (D - P) / (D + P)` for the chi2-mixture.
    - `loss_policy`: the score function with the return of `x - log pi`, the causal entropy that the divergence is
      regularised with (as in SequenceMatch), and for a mixture of `G(alpha x) / alpha` too: the policy is
      half of what it is measured against. `V` is its baseline, and makes the one-step advantages
      `log softmax(l)(a|s) - log pi(a|s)`, for a mixture with that penalty on top; `trace` sums them as generalised
      advantages do (Schulman et al. 2016), the true gradient at 1.

    Two players, but no classifier. Derivation and agent are ours.
    """

    out_keys = ["loss_soft_q", "loss_policy", "divergence", "reward_rollouts", "advantage_spread"]  # noqa: RUF012
    divides_by = "values"

    def __init__(self, policy: TokenPolicy, divergence: divergences.Divergence, gamma: float, trace: float) -> None:
        super().__init__(policy)
        objectives.check_gamma(gamma)
        self.divergence, self.gamma, self.trace = divergences.check(divergence), gamma, trace
        self.soft_q = copy.deepcopy(policy).eval()

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Without rollouts there is no gradient."""
        if rollouts is None:
            zero = self.policy.weight.sum() * 0
            return dict.fromkeys(self.out_keys, zero)
        own, seen = self.policy.step_values(rollouts), self.soft_q.step_values(rollouts)
        bound, reward = objectives.occupancy_divergence(
            self.soft_q.step_values(demonstrations), seen, divergence=self.divergence, gamma=self.gamma
        )
        step = torch.where(own.mask, seen.log_prob - own.log_prob, 0)
        step = step + objectives.mixture_penalty(seen, divergence=self.divergence, gamma=self.gamma)
        advantage = objectives.returns(step.detach(), self.gamma * self.trace)
        _, spread = centre_and_spread(advantage[own.mask])
        divergence = self.divergence.alpha * bound
        return {
            "loss_soft_q": -divergence,
            "loss_policy": objectives.weighted_likelihood(
                own, objectives.powers(own, self.gamma) * advantage / spread.clamp(min=1)
            ),
            "divergence": divergence.detach(),
            "reward_rollouts": reward,
            "advantage_spread": spread * share(own.q),
        }


class OccupancyGradient(Agent):
    """Clones first; then follows the gradient of the chosen divergence on rollouts of the present policy.

    Args:
        policy: what is trained; the soft Q starts as its copy when the warm-up ends.
        divergence: which, with its `alpha`; the chi2-mixture by default.
        gamma: discount per action, in (0, 1).
        trace: decay of the advantages, in [0, 1]; 1 is the true gradient.
        warm_up: share of the steps that only clone.
        pace: factor of the learning rate after them.
        options: of `Agent`.
    """

    uses_rollouts = fresh = undropped = True
    loss: OccupancyGradientLoss
    choices = {"divergence": divergences.DIVERGENCES}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        divergence: divergences.Divergence | None = None,
        gamma: float = 0.98,
        trace: float = 1.0,
        warm_up: float = 0.5,
        pace: float = 0.1,
        **options: Any,
    ) -> None:
        loss = OccupancyGradientLoss(
            policy, divergences.chi2_mixture() if divergence is None else divergence, gamma, trace
        )
        super().__init__(policy, loss, warm_up=warm_up, pace=pace, **options)
        self.check_shares(trace=trace)

    def end_warm_up(self) -> None:
        """The soft Q begins where cloning ended: its advantages are zero there, but for a mixture's penalty."""
        self.loss.soft_q.load_state_dict(self.policy.state_dict())

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Both networks train on the rollouts."""
        own = 0 if rollouts is None else 2 * self.policy.positions(rollouts)
        return self.policy.positions(demonstrations) + own
