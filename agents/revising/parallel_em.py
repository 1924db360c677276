"""Texts in one shot, of a law that is made simpler: expectation and maximisation (arXiv 2006.16378, by abstract)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from seqil import Agent, TokenPolicy, Trajectories, TrajectoryLoss, objectives, rollout
from seqil.mdp.prefix import start
from seqil.models.from_scratch import small_gpt2
from seqil.models.modes import evaluating
from seqil.revision import ParallelPolicy

from .parallel import check_queries, final_texts, key_of, one_shot


class EMLoss(TrajectoryLoss):
    """`-log q` and `-log p` of the same texts: of the policy (see `ParallelLoss`) and of its autoregressive teacher.

    `loss_behavior_cloning` is the teacher's, nats per action too.
    """

    policy: Any
    divides_by = "counts"

    def __init__(self, policy: ParallelPolicy, teacher: TokenPolicy) -> None:
        self.out_keys = [key_of(policy), "loss_behavior_cloning"]
        super().__init__(cast(Any, policy))
        self.teacher = teacher

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the texts that stand in the end; rollouts are not read."""
        cloning, _ = objectives.behavior_cloning(self.teacher.step_values(demonstrations))
        return {self.out_keys[0]: one_shot(self.policy, demonstrations), "loss_behavior_cloning": cloning}


class ParallelEM(Agent):
    """Learns in one shot what an autoregressive teacher says that one shot can say.

    Until the warm-up is over both learn from the demonstrations. Then, at each update, of `candidates` texts that the
    teacher `p` writes for a prompt the one is kept that has the highest `log q + beta log p`; the policy `q` and the
    teacher learn from it (the selection is from memory, not from the paper). So modes that one shot would mix are given
    up, all but one.

    Args:
        policy: what is trained.
        queries: of the policy, see `Parallel`.
        candidates: per prompt and update.
        beta: weight of the teacher's likelihood in the selection; at least 0.
        teacher: an autoregressive policy without a backspace; None: a GPT-2 of the policy's size. It learns at the
            full rate.
        warm_up: share of the steps that learn from the demonstrations.
        options: of `Agent`.
    """

    policy_class = ParallelPolicy
    policy_options = ("queries",)

    def __init__(
        self,
        policy: ParallelPolicy,
        *,
        queries: int | None = None,
        candidates: int = 4,
        beta: float = 0.0,
        teacher: TokenPolicy | None = None,
        warm_up: float = 0.5,
        **options: Any,
    ) -> None:
        check_queries(type(self).__name__, policy, queries)
        self.check_least(1, candidates=candidates)
        self.check_least(0, beta=beta)
        loss = EMLoss(policy, teacher if teacher is not None else small_teacher(policy))
        super().__init__(cast(Any, policy), loss, warm_up=warm_up, **options)
        self.candidates, self.beta = candidates, beta

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step on the demonstrations, or on the texts that are kept for their prompts."""
        if not self.warming:
            if self.updates == math.ceil(self.warm_up * self.steps):
                self.end_warm_up()
            demonstrations = self.expected(demonstrations)
        return self._counted(self._step(self._door, demonstrations, None))

    @torch.no_grad()
    def expected(self, demonstrations: Trajectories) -> Trajectories:
        """The best of the teacher's texts for the prompt of each row, drawn anew at each update."""
        t, k = demonstrations, self.candidates
        drawn = rollout(
            self.loss.teacher,
            t.repeat(k).prompts,
            max_length=t.max_length,
            min_length=t.min_length,
            max_actions=t.max_length + 1,
            generator=torch.Generator().manual_seed(self.updates),
        )
        assert drawn.log_prob is not None
        with evaluating(self.policy):
            law = self.policy.law(start(t.vocabulary, t.prompts, t.max_length, t.min_length))
            ours = self.policy.log_prob(final_texts(drawn), law.repeat_interleave(k, 0))
        score = ours + self.beta * torch.where(drawn.inside, drawn.log_prob, 0).sum(1)
        best = score.reshape(-1, k).argmax(1) + k * torch.arange(len(t), device=score.device)
        return replace(drawn.select(best), log_prob=None)

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Both are trained; candidates and the law of the prompts are forwards without a backward."""
        ours, theirs = (model.positions(demonstrations) for model in (self.policy, self.loss.teacher))
        drawn = 0.0 if self.updates <= self.warm_up * self.steps else (ours + self.candidates * theirs) / 3
        return ours + theirs + drawn


def small_teacher(policy: ParallelPolicy) -> TokenPolicy:
    """An untrained GPT-2 of a policy's layers, width, heads and positions, always the same."""
    c, v = policy.model.config, policy.vocabulary
    sizes = c.max_position_embeddings, c.num_hidden_layers, c.hidden_size, c.num_attention_heads
    model = small_gpt2(v.size, v.eos, *sizes, seed=0)
    return TokenPolicy(model, v, backspace=False).to(policy.device)  # type: ignore[no-any-return]
