"""SLiC: likelihoods calibrated to rank the policy's own samples by similarity to the reference (Zhao et al., 2022)."""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives, rewards
from seqil.errors import InvalidInputError, check_known
from seqil.learning.whole_batch import mean
from seqil.metrics.distances import SMOOTHING, reverse_kl

from .beam_search import beams
from .calibrations import CALIBRATIONS, Calibration, rank, reward

Candidates = Literal["sample", "beam"]
_MARGIN = 0.1


class SLiCLoss(TrajectoryLoss):
    """Calibration of the rollouts, with two ways to stay near the data.

    - `loss_calibration`: of the samples of each prompt, by how good they are. `log P` is the mean over all actions,
      deletions included, since a sum would reward whoever deletes less: ours.
    - `loss_behavior_cloning`: `weight` times the loss of cloning.
    - `loss_kl`: `kl` times `KL(pi || warm start)` at the counted steps of the demonstrations (its direction is from
      memory).
    """

    out_keys = ["loss_behavior_cloning", "loss_calibration", "loss_kl"]  # noqa: RUF012
    divides_by = "counts"

    def __init__(
        self,
        policy: TokenPolicy,
        calibration: Calibration,
        similarity: rewards.TextReward,
        *,
        samples: int,
        margin: float,
        weight: float,
        kl: float,
    ) -> None:
        super().__init__(policy)
        self.calibration, self.similarity = calibration, similarity
        self.samples, self.margin, self.weight, self.kl = samples, margin, weight, kl
        if kl:
            self.start = copy.deepcopy(policy).requires_grad_(False).eval()

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Row `i` of the rollouts has the prompt of demonstration `i // samples`."""
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        calibrated = torch.zeros_like(cloning) if rollouts is None else self._calibrated(demonstrations, rollouts)
        return {
            "loss_behavior_cloning": self.weight * cloning,
            "loss_calibration": calibrated,
            "loss_kl": self._kl(demonstrations) if self.kl else torch.zeros_like(cloning),
        }

    def _calibrated(self, demonstrations: Trajectories, rollouts: Trajectories) -> Tensor:
        values = self.policy.step_values(rollouts)
        objectives.check_finite(values, "rollouts")
        log_p = torch.where(values.mask, values.log_prob, 0).sum(1) / rollouts.lengths
        wanted = demonstrations.repeat(self.samples).replay()
        alike = rewards.paid(self.similarity, wanted, rollouts.replay())
        return self.calibration(log_p.view(-1, self.samples), alike.view(-1, self.samples), self.margin)

    def _kl(self, demonstrations: Trajectories) -> Tensor:
        counted = demonstrations.imitate & demonstrations.inside
        with torch.no_grad():
            p = self.start.step_log_probs(demonstrations)[counted].exp()
        return self.kl * mean(reverse_kl(p, self.policy.step_log_probs(demonstrations)[counted], SMOOTHING))


class SLiC(Agent):
    """Clones first; then writes several texts per prompt and calibrates their likelihoods.

    Args:
        policy: what is trained.
        calibration: `rank`, `margin`, `listwise` or `reward` of `agents.slic`.
        similarity: what makes a sample better, one of `seqil.rewards`; it sees prompt and demonstration. None: common
            blocks.
        samples: per prompt, at least 2.
        candidates: `sample` draws them; `beam`: the likeliest that a beam of that width finds, given that nothing is
            deleted.
        margin: wanted between a better and a worse sample, in nats per action; of `margin` per unit of similarity, of
            `listwise` per place. None: 0.1; `reward` has none.
        weight: of cloning.
        kl: weight of the divergence from the policy that the warm-up ended with, at the demonstrations; the paper
            takes this or cloning.
        warm_up: share of the steps that only clone.
        pace: factor of the learning rate after them.
        options: of `Agent`.
    """

    uses_rollouts = fresh = True
    loss: SLiCLoss
    choices = {"calibration": CALIBRATIONS, "similarity": rewards.REWARDS}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        calibration: Calibration = rank,
        similarity: rewards.TextReward | None = None,
        samples: int = 2,
        candidates: Candidates = "sample",
        margin: float | None = None,
        weight: float = 1.0,
        kl: float = 0.0,
        warm_up: float = 0.5,
        pace: float = 0.3,
        **options: Any,
    ) -> None:
        self.check_least(2, samples=samples)
        check_known("candidates", candidates, get_args(Candidates))
        if margin is not None and calibration is reward:
            raise InvalidInputError(f"SLiC: margin={margin} would do nothing, for `reward` has none; leave it out")
        margin = _MARGIN if margin is None else margin
        self.check_least(0, margin=margin, weight=weight, kl=kl)
        similarity = similarity or rewards.common_blocks
        loss = SLiCLoss(policy, calibration, similarity, samples=samples, margin=margin, weight=weight, kl=kl)
        super().__init__(policy, loss, warm_up=warm_up, pace=pace, **options)
        self.samples, self.candidates = samples, candidates

    def collect(self, demonstrations: Trajectories, **how: Any) -> tuple[Trajectories, int]:
        """Drawn texts, or of each prompt its beams, the best first."""
        if self.candidates == "sample":
            return super().collect(demonstrations, **how)
        if how["temperature"] != 1 or how["max_actions"] <= how["max_length"]:
            raise InvalidInputError(
                "SLiC: a beam has no temperature and ends where it ends; leave sampling_temperature and "
                "sampling_actions out, or take candidates='sample'"
            )
        rows = how["streams"]
        rows = torch.arange(len(demonstrations)) if rows is None else rows
        groups, place = (rows // self.samples).unique(return_inverse=True)
        first = torch.stack([(place == group).nonzero()[0, 0] for group in range(len(groups))])
        limits = {name: how[name] for name in ("max_length", "min_length")}
        found, fed = beams(self.policy, demonstrations.prompts[first], number=self.samples, **limits)
        return found.select(place * self.samples + rows % self.samples), fed

    def end_warm_up(self) -> None:
        """Keep the policy that cloning has made."""
        if self.loss.kl:
            self.loss.start.load_state_dict(self.policy.state_dict())

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """One more forward over the demonstrations after the warm-up, for the divergence."""
        extra = 0 if self.warming or not self.loss.kl else self.policy.positions(demonstrations) / 3
        return super().positions(demonstrations, rollouts) + extra
