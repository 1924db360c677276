"""Mutual exclusivity: what one prompt means, another one does not (Jiang et al., arXiv 2211.15578, by abstract)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqil import Agent, Task, TokenPolicy, Trajectories, TrajectoryLoss, objectives
from seqil.errors import InvalidInputError
from seqil.learning.whole_batch import total
from seqil.revision.draws import uniforms

from .unlikely_tokens import log_complement

Swap = Callable[[Tensor, Tensor], Tensor]
"""Prompts int64 [B, P] and numbers in [0, 1) [B, 2] -> prompts of another meaning; those that have none as they are."""


class ExclusivityLoss(TrajectoryLoss):
    """Likelihood of the demonstrations, and the unlikelihood of each after a prompt that means something else.

    `loss_behavior_cloning`, nats per action; `loss_exclusivity`, `alpha` times the mean over the texts that have such a
    prompt of `-log(1 - p)`, `p` the probability of all of the text. Which prompt is drawn is a function of the row and
    of the buffer `calls`.
    """

    out_keys = ["loss_behavior_cloning", "loss_exclusivity"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(self, policy: TokenPolicy, swap: Swap, alpha: float) -> None:
        super().__init__(policy)
        self.swap, self.alpha = swap, alpha
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        t = demonstrations
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(t))
        prompts = self.swap(t.prompts, uniforms(t, 2, self.calls))
        other = (prompts != t.prompts).any(1)
        values = self.policy.step_values(replace(t, prompts=prompts))
        whole = torch.where(values.mask & values.imitate, values.log_prob, 0).sum(1)
        wrong = log_complement(whole, other) / total(other.sum()).clamp(min=1)
        return {"loss_behavior_cloning": cloning, "loss_exclusivity": self.alpha * wrong}


class MutualExclusivity(Agent):
    """Behavior cloning that does not let a prompt that was never shown mean what another one means.

    Args:
        policy: what is trained.
        swap: makes prompts of another meaning; on the command line the task's own, `Scan.swapped`.
        alpha: weight of the unlikelihood.
        options: of `Agent`; a `warm_up` only clones.
    """

    from_task = {"swap": lambda task, policy: swap_of(task)}  # noqa: RUF012

    def __init__(self, policy: TokenPolicy, *, swap: Swap, alpha: float = 1.0, **options: Any) -> None:
        self.check_least(0, alpha=alpha)
        super().__init__(policy, ExclusivityLoss(policy, swap, alpha), **options)

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step, and other prompts at the next."""
        metrics = super().update(demonstrations, rollouts)
        self.loss.calls += 1
        return metrics

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Texts are read after their own prompts and, once the warm-up is over, after others."""
        return super().positions(demonstrations, rollouts) * (1 if self.updates <= self.warm_up * self.steps else 2)


def swap_of(task: Task) -> Swap:
    """The task's own.

    Raises:
        InvalidInputError: it has none.
    """
    found: Swap | None = getattr(task, "swapped", None)
    if found is None:
        raise InvalidInputError(f"the task {task.name!r} has no `swapped`, prompts of another meaning; use scan")
    return found
