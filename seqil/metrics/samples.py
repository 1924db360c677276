"""What a policy wrote, and all that metrics ask of it: computed when first asked for, and once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from ..errors import InvalidInputError
from ..errors.arguments import check_kind, on_one_line
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from .costs import Cost
from .costs import cost as cost_of
from .deletions import Backspaces, backspaces
from .distances import kl, token_log_probs
from .lifetimes import Floats, Ints, Judge, first_errors, prompt_lists
from .positions import final_texts, negative_log_likelihood, taught

_GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Sample:
    """What a policy wrote, beside held-out demonstrations; a property is None where the task cannot tell it.

    Attributes:
        task: with or without teacher, judge and success.
        policy: what was sampled.
        demonstrations: held-out ones.
        rollouts: samples of the policy.
        cost: what these took.
    """

    task: Task
    policy: TokenPolicy
    demonstrations: Trajectories
    rollouts: Trajectories
    cost: Cost

    @classmethod
    def of(
        cls,
        task: Task,
        policy: TokenPolicy,
        demonstrations: Trajectories,
        rollouts: Trajectories,
        cost: Cost | None = None,
    ) -> Sample:
        """`cost` None: that of sampling without rules."""
        if not (hasattr(policy, "vocabulary") and callable(getattr(policy, "positions", None))):
            raise InvalidInputError(f"evaluation: policy={on_one_line(policy, 60)} is not a TokenPolicy")
        check_kind("evaluation", "cost", cost, Cost, type(None))
        for name, texts in {"demonstrations": demonstrations, "rollouts": rollouts}.items():
            check_kind("evaluation", name, texts, Trajectories)
        return cls(task, policy, demonstrations, rollouts, cost_of(rollouts) if cost is None else cost)

    @property
    def autoregressive(self) -> bool:
        """Whether the policy has a law of the next token; one of whole texts has none."""
        return bool(getattr(self.policy, "autoregressive", True))

    @cached_property
    def prompts(self) -> list[list[int]]:
        """Of the rollouts, as id lists."""
        return prompt_lists(self.rollouts)

    @cached_property
    def texts(self) -> list[list[int]]:
        """What was finally written, without `eos`."""
        return self.rollouts.replay().texts(eos=False)

    @cached_property
    def references(self) -> list[list[int]]:
        """The demonstrations' texts, without `eos`."""
        return self.demonstrations.replay().texts(eos=False)

    @cached_property
    def successes(self) -> list[bool] | None:
        """Whether each final text is right."""
        found = [self.task.success(p, t) for p, t in zip(self.prompts, self.rollouts.replay().texts(), strict=True)]
        return None if None in found else [bool(right) for right in found]

    @cached_property
    def first_errors(self) -> tuple[Ints, Ints] | None:
        """First error and tokens at risk of every final text, by the judge or its proxy."""
        judge = judge_of(self.task)
        return None if judge is None else first_errors(self.rollouts, judge)

    @cached_property
    def deletions(self) -> Backspaces | None:
        """By exact errors only, not by a proxy; None where nothing was deleted."""
        judge = judge_of(self.task)
        if judge is None or judge != self.task.first_error:
            return None
        found = backspaces(self.rollouts, judge)
        return found if found.deletions else None

    @cached_property
    def nll(self) -> Floats | None:
        """Nats per action of each demonstration, given that none is deleted: float64 [B]."""
        return negative_log_likelihood(self.policy, self.demonstrations) if self.autoregressive else None

    @cached_property
    def has_teacher(self) -> bool:
        """Whether the task knows the law of the next token."""
        return self.task.next_distribution(self.demonstrations.replay()) is not None

    @property
    def comparable(self) -> bool:
        """Whether both the task and the policy have a law of the next token."""
        return self.autoregressive and self.has_teacher

    @cached_property
    def off_policy_step_errors(self) -> Floats | None:
        """Of the demonstrations: float64 [B]; see `step_errors`."""
        return step_errors(self.task, self.policy, self.demonstrations) if self.comparable else None

    @cached_property
    def on_policy_step_errors(self) -> Floats | None:
        """Of the policy's own texts: float64 [B]; see `step_errors`."""
        return step_errors(self.task, self.policy, self.rollouts) if self.comparable else None

    @cached_property
    def taught(self) -> Floats | None:
        """The teacher's probability of every token that was finally written: float64 [B, T], NaN beyond the end."""
        return taught(self.task.next_distribution, final_texts(self.rollouts)) if self.has_teacher else None


def judge_of(task: Task) -> Judge | None:
    """The task's judge of first errors, unless it says that it is not `judged`; else its proxy; None without either."""
    if task.judged:
        return task.first_error
    return None if type(task).first_unknown_word is Task.first_unknown_word else task.first_unknown_word


@torch.no_grad()
def step_errors(task: Task, policy: TokenPolicy, trajectories: Trajectories) -> Floats:
    """`KL(teacher || student)` of the next token, in nats, at one prefix of every final text: float64 [B].

    That of row i holds the share `i * 0.6180339887 mod 1` of the text's tokens, rounded down: the fractions spread
    evenly over any number of rows, and the same rows have the same ones every time.
    """
    final = trajectories.replay()
    share = (torch.arange(len(final)) * _GOLDEN) % 1
    length = final.prompt_length + (share * (final.generated - final.ended.long())).long()
    cells = torch.arange(final.tokens.shape[1])
    tokens = torch.where(cells < length[:, None], final.tokens, trajectories.vocabulary.size)
    cut = replace(final, tokens=tokens, length=length, ended=torch.zeros_like(final.ended))
    with evaluating(policy):
        student = token_log_probs(policy.log_probs(cut.to(policy.weight.device))).cpu()
    law = task.next_distribution(cut)
    if law is None:
        raise InvalidInputError(f"the task {task.name!r} has no exact teacher: its step errors are not defined")
    errors: Floats = kl(law, student).numpy()
    return errors
