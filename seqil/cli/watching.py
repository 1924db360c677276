"""Samples that are shown while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import torch
from rich.console import Console

from ..mdp.task import Task
from ..policy.token_policy import TokenPolicy
from ..rollouts.rollouts import rollout
from ..runs import trackers
from ..runs.checkpoint import RunFolder
from ..runs.validation import Validation
from . import showing

_SAMPLES = 3

Say = Callable[[str, int], None]


class Samples:
    """What the policy writes after the first prompts of held-out items, always with the same random numbers.

    Args:
        console: where to.
        task: of the run.
        max_actions: of a sample; None: the task's budget.
        say: is told the text of them all, and the step.
    """

    def __init__(self, console: Console, task: Task, max_actions: int | None, say: Say) -> None:
        self.console, self.task, self.say = console, task, say
        self.budget = task.budget(max_actions)

    def __call__(self, step: int, policy: TokenPolicy) -> None:
        """Show those of a step."""
        task = self.task
        prompts = task.prompts(task.at_most(_SAMPLES, "valid"), "valid", 0)
        how: dict[str, Any] = {"max_length": task.max_length, "min_length": task.min_length, "max_actions": self.budget}
        written = rollout(policy, prompts, generator=torch.Generator().manual_seed(0), **how).to("cpu")
        self.console.print(f"samples at step {step}:")
        showing.show(self.console, task, prompts, written, showing.shown_as(None, self.console))
        plain = StringIO()
        showing.show(Console(file=plain, highlight=False, markup=False), task, prompts, written, "marks")
        self.say(plain.getvalue(), step)


@contextmanager
def watched(
    console: Console,
    run: RunFolder,
    task: Task,
    validation: Validation | None,
    max_actions: int | None,
    track: Sequence[str],
    step: int,
) -> Iterator[None]:
    """Tell trackers what a run logs from a step on, where it is ours, and show samples where it is validated."""
    with trackers.tracking(run, track if run.ours else (), step) as told:
        if validation is not None:
            validation.show = Samples(console, task, max_actions, told.say)
        yield
