"""Unlikelihood training: what should not be said, said so (Welleck et al., ICLR 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqil import Agent, StepValues, TokenPolicy, Trajectories, TrajectoryLoss, objectives, pack
from seqil.learning.whole_batch import total
from seqil.mdp.bans import legal_along
from seqil.mdp.trajectory import held

Candidates = Callable[[Trajectories], tuple[Tensor, Tensor]]
"""Trajectories -> actions int64 [B, T, K] that are wrong before each step, and which of them count, bool [B, T, K]."""


def previous_tokens(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """Every token of the prefix but the one that comes next, once each: the paper's choice against repetition."""
    t, v = trajectories, trajectories.vocabulary
    tree = pack(v, t)
    seen = tree.visible().gather(1, tree.node_at[:, :-1, None].expand(-1, -1, tree.tokens.shape[1]))
    sorted_tokens = torch.where(seen, tree.tokens[:, None], v.size).sort(-1).values
    again = torch.zeros_like(seen)
    again[..., 1:] = sorted_tokens[..., 1:] == sorted_tokens[..., :-1]
    wrong = (sorted_tokens != v.size) & (sorted_tokens != v.eos) & (sorted_tokens != t.actions[..., None]) & ~again
    writable = held(v, t.actions, t.inside)[0] < t.max_length
    return sorted_tokens, wrong & (t.inside & t.imitate & writable)[..., None]


def mistakes(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
    """The wrong tokens that noise wrote and the loss left out (`mask_noise`): ours, for data with deletions."""
    t, v = trajectories, trajectories.vocabulary
    wrong = t.inside & ~t.imitate & (t.actions != v.backspace) & (t.actions != v.eos)
    return t.actions[..., None], wrong[..., None]


def repeats(n: int = 4) -> Candidates:
    """Of a policy's own text, each token of an n-gram that stood there before (the paper's `C_repeat-n`).

    An n-gram may overlap the earlier one; deleted tokens are free: both ours.
    """

    def candidates(trajectories: Trajectories) -> tuple[Tensor, Tensor]:
        t = trajectories
        _, after = held(t.vocabulary, t.actions, t.inside)
        place = torch.where(t.kept, after - 1, t.max_length + 1)  # those that are not kept share a cell of their own
        text = t.actions.new_full((len(t), t.max_length + n + 1), -1).scatter(1, place, t.actions)
        text[:, t.max_length + 1] = -1
        grams = text.unfold(1, n, 1)
        same = (grams[:, :, None] == grams[:, None]).all(-1) & (grams >= 0).all(-1)[:, None]
        again = same.tril(-1).any(-1)
        covered = torch.stack([pad(again, (k, n - 1 - k)) for k in range(n)]).any(0)
        return t.actions[..., None], (covered.gather(1, place) & t.kept)[..., None]

    return candidates


CANDIDATES: dict[str, Candidates] = {"previous_tokens": previous_tokens, "mistakes": mistakes}
SEQUENCE: dict[str, Candidates] = {"repeats": repeats()}


class UnlikelihoodLoss(TrajectoryLoss):
    """Likelihood of the demonstrations and `alpha` times the unlikelihood `-log(1 - pi(c|s))` of candidates `c`.

    `loss_behavior_cloning` and `loss_unlikelihood`, nats per counted action of the
    demonstrations; `loss_sequence` is the latter's, on rollouts, nats per action of theirs.
    """

    out_keys = ["loss_behavior_cloning", "loss_unlikelihood", "loss_sequence"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(
        self, policy: TokenPolicy, alpha: float, candidates: Candidates, sequence: Candidates | None = None
    ) -> None:
        super().__init__(policy)
        self.alpha, self.candidates, self.sequence = alpha, candidates, sequence

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Rollouts are read for the sequence's candidates alone."""
        values, wrong = self._unlikelihood(demonstrations, self.candidates)
        cloning, _ = objectives.behavior_cloning(values.of(0))
        sequence = torch.zeros_like(cloning)
        if rollouts is not None and self.sequence is not None:
            _, sequence = self._unlikelihood(rollouts, self.sequence)
        return {"loss_behavior_cloning": cloning, "loss_unlikelihood": wrong, "loss_sequence": sequence}

    def _unlikelihood(self, t: Trajectories, candidates: Candidates) -> tuple[StepValues, Tensor]:
        actions, counted = candidates(t)
        if self.policy.memory.forbids:
            counted = counted & legal_along(t, self.policy.backspace, self.policy.memory).gather(2, actions)
        taken = t.actions[..., None]
        values = self.policy.step_values(t, actions=torch.cat([taken, torch.where(counted, actions, taken)], -1))
        wrong = log_complement(values.log_prob[..., 1:], counted) / total(t.imitate.sum()).clamp(min=1)
        return values, self.alpha * wrong


class UnlikelihoodTraining(Agent):
    """Behavior cloning that also lowers the probability of wrong tokens.

    Args:
        policy: what is trained.
        alpha: weight of the unlikelihood.
        candidates: which tokens of the demonstrations are wrong before each step: `previous_tokens` or `mistakes`.
        sequence: which tokens of the policy's own rollouts are wrong, `repeats(4)` say; None: no rollouts. The paper
            decodes greedily and takes this loss instead of the other half of the time; here rollouts are samples, and
            both losses are summed.
        options: of `Agent`; a `warm_up` leaves rollouts and unlikelihood out at first.
    """

    choices = {"candidates": CANDIDATES, "sequence": SEQUENCE}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        alpha: float = 1.0,
        candidates: Candidates = previous_tokens,
        sequence: Candidates | None = None,
        **options: Any,
    ) -> None:
        self.check_least(0, alpha=alpha)
        super().__init__(policy, UnlikelihoodLoss(policy, alpha, candidates, sequence), **options)
        self.uses_rollouts = self.fresh = sequence is not None


def log_complement(log_prob: Tensor, counted: Tensor) -> Tensor:
    """Sum of `-log(1 - p)` over the counted cells; a `p` that rounds to 1 is taken as 1 - 1e-6."""
    safe = torch.where(counted, log_prob, -1.0).clamp(max=-1e-6)
    return -torch.where(counted, torch.log(-torch.expm1(safe)), 0).sum()
