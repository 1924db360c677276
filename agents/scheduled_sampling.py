"""Scheduled sampling: the data's next token, after a prefix that the model wrote in part (Bengio et al. 2015)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories
from seqil.errors.arguments import check_number
from seqil.rollouts.sampler import inverse_cdf

from .behavior_cloning import BehaviorCloningLoss


class ScheduledSampling(Agent):
    """Behavior cloning on demonstrations in which tokens were replaced by the model's own.

    The replacements are drawn in one pass, from the model's law at the demonstration's own prefixes (Mihaylova &
    Martins 2019, for transformers); what is to be imitated stays the demonstration. Its optimum is not the law of the
    data: at `rate=1` it is a product of marginals (Huszár 2015). Deletions, `eos` and steps that do not count are
    never replaced; that they may stand between is ours. Where what was tried is forbidden, deleted tokens are not
    replaced either.

    Args:
        policy: what is trained.
        rate: share of the tokens that are replaced at the end; it grows linearly from 0 after the warm-up.
        warm_up: share of the steps that only clone.
        options: of `Agent`.
    """

    def __init__(self, policy: TokenPolicy, *, rate: float = 0.25, warm_up: float = 0.25, **options: Any) -> None:
        super().__init__(policy, BehaviorCloningLoss(policy), warm_up=warm_up, **options)
        self.check_shares(rate=rate)
        self.rate = rate

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """Clone the demonstrations at prefixes that are partly the model's."""
        if self.warming:
            return super().update(demonstrations)
        since = self.updates - self.warm_up * self.steps
        done = min(1.0, since / max(1.0, self.steps * (1 - self.warm_up)))
        return super().update(mix(self.policy, demonstrations, self.rate * done, self.division.microbatch))

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """One more forward after the warm-up, for the replacements."""
        return self.policy.positions(demonstrations) * (1 if self.warming else 4 / 3)


def mix(policy: TokenPolicy, demonstrations: Trajectories, rate: float, at_once: int | None = None) -> Trajectories:
    """Replace a share `rate` of the counted tokens by samples of the policy; the labels are the demonstration's.

    Draws from torch's default generator, as dropout does; what is drawn does not depend on `at_once`, the rows whose
    laws are in memory at once (None: all).
    """
    t, rate = demonstrations, check_number("mix", "rate", rate, 0, 1)
    draws = torch.rand(2, *t.actions.shape, dtype=torch.float64, device=t.actions.device)
    rows = torch.arange(len(t), device=t.actions.device).split(at_once or len(t))
    actions = torch.cat([_mixed(policy, t, some, rate, *draws[:, some]) for some in rows])
    return replace(t, actions=actions).labelled(t.actions)


@torch.no_grad()
def _mixed(
    policy: TokenPolicy, demonstrations: Trajectories, rows: Tensor, rate: float, chance: Tensor, point: Tensor
) -> Tensor:
    """Actions of some rows, [n, T], by two uniforms per cell."""
    t, v = demonstrations.select(rows), demonstrations.vocabulary
    T = t.actions.shape[1]
    law = policy.step_log_probs(t)[..., : v.size].exp()
    law[..., v.eos] = 0
    genuine = t.inside & t.imitate & (t.actions != v.eos) & (t.actions != v.backspace) & (law.sum(-1) > 0)
    if policy.memory.forbids:  # what is deleted and written anew must not be the same
        genuine &= t.kept
    chosen = genuine & (chance[:, :T] < rate)
    actions = demonstrations.actions[rows]
    if bool(chosen.any()):
        actions[:, :T][chosen] = inverse_cdf(law[chosen], point[:, :T][chosen])[0]
    return actions
