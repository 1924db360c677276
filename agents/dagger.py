"""DAgger: an expert says what it would have done in the learner's own states (Ross, Gordon & Bagnell 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, experts, objectives
from seqil.decoding import Rule
from seqil.errors import check_known
from seqil.revision.draws import uniforms

Switch = Literal["each", "once"]
_NEVER = 2**62


class DAggerLoss(TrajectoryLoss):
    """Cloning of the demonstrations and of the expert's labels on rollouts: algorithm 3.1 with the aggregate's loss.

    `loss_behavior_cloning` and `loss_correction`, nats per counted action each.
    """

    out_keys = ["loss_behavior_cloning", "loss_correction"]  # noqa: RUF012
    divides_by = "counts"

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """`rollouts` carry labels."""
        cloning, _ = objectives.behavior_cloning(self.policy.step_values(demonstrations))
        correction = torch.zeros_like(cloning)
        if rollouts is not None:
            correction, _ = objectives.behavior_cloning(self.policy.step_values(rollouts))
        return {"loss_behavior_cloning": cloning, "loss_correction": correction}


class DAgger(Agent):
    """Rolls out the expert and the policy in turns, and clones what the expert would have done at every state.

    With a backspace the expert deletes wherever the text has gone wrong, so that every mistake of the policy becomes a
    demonstration of its deletion. The replay buffer of `Training` is the aggregated data set (its capacity the most
    that is kept; Ross et al. keep everything).

    Args:
        policy: what is trained.
        expert: one of `seqil.experts`; None: the reference answer, that is the demonstration of the same prompt.
        expert_noise: chance that the expert does anything legal instead, in rollouts and labels (`experts.noisy`).
        share: of the expert in the rollouts right after the warm-up (`beta_i` of the paper).
        switch: `each`: the expert acts at every step anew with probability `share` (the mixture of the paper). `once`:
            in `share` of the rollouts it takes over at one of as many actions as the demonstration has, all alike, and
            finishes the text, as in on-policy expert corrections (arXiv 2512.14895, by abstract). There the student
            learns from what the expert does after the switch; here from its labels before it, too.
        anneal: share of the steps over which it then falls linearly to 0.
        warm_up: share of the steps that only clone.
        options: of `Agent`.
    """

    uses_rollouts = True
    choices = {"expert": experts.EXPERTS}  # noqa: RUF012

    def __init__(
        self,
        policy: TokenPolicy,
        *,
        expert: experts.Expert | None = None,
        expert_noise: float = 0.0,
        share: float = 0.5,
        switch: Switch = "each",
        anneal: float = 0.25,
        warm_up: float = 0.25,
        **options: Any,
    ) -> None:
        super().__init__(policy, DAggerLoss(policy), warm_up=warm_up, **options)
        self.check_shares(share=share, anneal=anneal, expert_noise=expert_noise)
        check_known("switch", switch, get_args(Switch))
        self.expert = expert or experts.reference(policy.vocabulary, policy.backspace)
        if expert_noise:
            self.expert = experts.noisy(policy.vocabulary, self.expert, expert_noise, policy.backspace)
        self.share, self.anneal, self.switch = share, anneal, switch

    def rules(self, demonstrations: Trajectories) -> Sequence[Rule]:
        """The expert intervenes, less and less."""
        since = self.updates / self.steps - self.warm_up
        share = 0.0 if since >= self.anneal else self.share * (1 - since / self.anneal)
        if not share:
            return []
        references = demonstrations.replay()
        if self.switch == "each":
            return [experts.intervention(self.expert, references, share)]
        return [experts.takeover(self.expert, references, self._times(demonstrations, share))]

    def _times(self, demonstrations: Trajectories, share: float) -> Tensor:
        """After how many actions the expert takes over: int64 [B]."""
        drawn, when = uniforms(demonstrations, 2, self.updates).unbind(1)
        return torch.where(drawn < share, (when * demonstrations.lengths).long(), _NEVER)

    def label(self, rollouts: Trajectories, demonstrations: Trajectories, generator: torch.Generator) -> Trajectories:
        """One action of the expert at every state; where it has none, the step does not count."""
        policy = self.policy
        law = experts.laws(self.expert, rollouts, demonstrations, policy.backspace, policy.memory).cpu()
        said = law.sum(-1) > 0
        labels, steps = rollouts.actions.clone(), said.to(rollouts.actions.device)
        if bool(said.any()):
            labels[steps] = torch.multinomial(law[said], 1, generator=generator)[:, 0].to(labels.device)
        return rollouts.labelled(labels, rollouts.imitate & steps)
