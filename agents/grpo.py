"""GRPO: a policy gradient whose baseline is the mean over several rollouts of a prompt (Shao et al. 2024)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, StepValues, TokenPolicy, Trajectories, TrajectoryLoss, objectives, rewards
from seqil.errors import InvalidInputError
from seqil.learning.whole_batch import count, mean
from seqil.policy.refusals import refuse_wrapped

_TOLERANCE = 1e-6


class GRPOLoss(TrajectoryLoss):
    """Rollouts of a prompt are paid by how much better they are than the others of it.

    With the advantage `A` of a text, the ratio `r = pi(a|s) / pi_old(a|s)` of a step, deletions included, and `w` the
    law of the warm start over that of the policy:

    - `loss_policy`: `-min(r A, clamp(r, 1 - epsilon, 1 + epsilon) A)`;
    - `loss_kl`: `kl (w - log w - 1)`, whose mean over the policy's own actions is `KL(pi || warm start)`. Where they
      were drawn from the policy itself its gradient is that of `KL(warm start || pi)`.

    Both are means over the actions of a text, then over texts: every text weighs the same, however much it deletes.
    `reward` is the mean of what is paid, `clip_fraction` the share of steps whose ratio is outside. The formulas are
    from memory.
    """

    out_keys = ["loss_policy", "loss_kl", "reward", "clip_fraction"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(
        self, policy: TokenPolicy, reward: rewards.TextReward, *, samples: int, epsilon: float, kl: float, spread: bool
    ) -> None:
        super().__init__(policy)
        self.reward, self.samples, self.epsilon, self.kl, self.spread = reward, samples, epsilon, kl, spread
        if kl:
            self.start = copy.deepcopy(policy).requires_grad_(False).eval()

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Row `i` of the rollouts has the prompt of demonstration `i // samples`; without them nothing is learned."""
        if rollouts is None:
            return dict.fromkeys(self.out_keys, self.policy.weight.sum() * 0)
        if rollouts.log_prob is None:
            raise InvalidInputError("the rollouts lack log_prob, which the ratio needs; make them by seqil.rollout")
        wanted = demonstrations.repeat(self.samples).replay()
        paid = rewards.paid(self.reward, wanted, rollouts.replay())
        values = self.policy.step_values(rollouts)
        objectives.check_finite(values, "rollouts")
        ratio = torch.where(values.mask, values.log_prob - rollouts.log_prob, 0).exp()
        better = advantages(paid.view(-1, self.samples), self.spread).view(-1, 1).to(ratio)
        outside = ((ratio.detach() - 1).abs() > self.epsilon)[values.mask]
        return {
            "loss_policy": over_texts(-surrogate(ratio, better, self.epsilon), values.mask),
            "loss_kl": self.kl * over_texts(self._divergence(values, rollouts), values.mask),
            "reward": mean(paid).to(ratio),
            "clip_fraction": mean(outside.to(ratio)),
        }

    def _divergence(self, values: StepValues, rollouts: Trajectories) -> Tensor:
        if not self.kl:
            return torch.zeros_like(values.q)
        with torch.no_grad():
            before = self.start.step_values(rollouts).log_prob
        return divergence(torch.where(values.mask, before - values.log_prob, 0))


class GRPO(Agent):
    """Clones first; then writes several texts per prompt, has them judged, and prefers the better ones of each prompt.

    There is no critic, and texts with deletions are texts as others are: a deletion is preferred where texts that have
    it end better. Prompts that all rollouts of a group begin with are fed to the model once, where they are long enough
    for that to pay.

    Args:
        policy: what is trained.
        reward: of final texts, one of `seqil.rewards`; on the command line the task's own judge unless it is named.
        samples: rollouts per prompt, at least 2.
        epsilon: how far the ratio counts, above 0.
        kl: weight of the divergence from the policy that the warm-up ended with.
        spread: whether advantages are divided by the standard deviation of their group, as the paper does; without that
            prompts that are nearly always or never solved count for less (Liu et al. 2025).
        passes: over the same rollouts, per update.
        warm_up: share of the steps that only clone.
        pace: factor of the learning rate after them.
        options: of `Agent`.
    """

    uses_rollouts = fresh = undropped = True
    loss: GRPOLoss
    choices = {"reward": rewards.REWARDS}  # noqa: RUF012
    from_task = {"reward": rewards.by_success}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        reward: rewards.TextReward,
        samples: int = 8,
        epsilon: float = 0.2,
        kl: float = 0.04,
        spread: bool = True,
        passes: int = 2,
        warm_up: float = 0.5,
        pace: float = 0.1,
        **options: Any,
    ) -> None:
        refuse_wrapped(policy)
        self.check_least(2, samples=samples)
        self.check_least(1, passes=passes)
        self.check_least(0, kl=kl, epsilon=epsilon)
        if not epsilon:
            raise InvalidInputError("GRPO: epsilon=0 would learn nothing; give 0.2 say")
        loss = GRPOLoss(policy, reward, samples=samples, epsilon=epsilon, kl=kl, spread=spread)
        super().__init__(policy, loss, warm_up=warm_up, pace=pace, **options)
        self.samples, self.passes = samples, passes

    def end_warm_up(self) -> None:
        """Keep the policy that cloning has made."""
        if self.loss.kl:
            self.loss.start.load_state_dict(self.policy.state_dict())

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """The rollouts, `passes` times, with a forward for the divergence; demonstrations are read while cloning."""
        if rollouts is None:
            return self.policy.positions(demonstrations)
        return self.passes * self.policy.positions(rollouts) * (1 + (1 / 3 if self.loss.kl else 0))


def advantages(paid: Tensor, spread: bool = True) -> Tensor:
    """Rewards [G, n] less the mean of their group; with `spread` over its standard deviation, 0 where all agree."""
    centred = paid - paid.mean(1, keepdim=True)
    if not spread:
        return centred
    deviation = paid.std(1, keepdim=True, correction=0)
    return torch.where(deviation > _TOLERANCE, centred / deviation.clamp(min=_TOLERANCE), 0)


def surrogate(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """PPO's clipped objective of every step (Schulman et al. 2017), to be maximised."""
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def divergence(log_w: Tensor) -> Tensor:
    """`w - log w - 1` of every step, never negative: what estimates `KL(pi || q)` from `log w = log q - log pi`."""
    return log_w.exp() - log_w - 1


def over_texts(of_steps: Tensor, mask: Tensor) -> Tensor:
    """Mean over the texts of the batch of the mean over their steps, [B, T]: a scalar."""
    of_texts = torch.where(mask, of_steps, 0).sum(1) / mask.sum(1).clamp(min=1)
    return of_texts.sum() / count(of_texts)
