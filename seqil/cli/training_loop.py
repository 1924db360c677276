"""A run from the step at hand to its end, or to where it is asked to stop."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import torch
from rich.console import Console

from ..errors import LostRankError
from ..learning.processes import Ranks
from ..learning.training import Training
from ..runs.checkpoint import RunFolder
from ..runs.stopping import Stop, stoppable
from ..runs.validation import Validation
from .reporting import progress


def carry_on(
    console: Console,
    run: RunFolder,
    training: Training,
    save_every: int,
    identity: dict[str, Any],
    validation: Validation | None = None,
) -> float:
    """Train, log, save and measure; the seconds that the run has taken in all.

    Raises:
        SystemExit: the run was asked to stop, and has been saved.
        LostRankError: another rank has ended.
    """
    total, saved = training.agent.steps, training.step
    before = run.rewind(training.step).get("seconds")
    began = time.perf_counter() - (before if isinstance(before, float | int) and math.isfinite(before) else 0)

    def save() -> int:
        run.save(training.step, training.policy, {"identity": identity, "training": training.state_dict()})
        return training.step

    def take_over(number: int) -> None:
        with training.unchanging:
            if training.step > 0:
                save()
            _say_stopped(console, run, training.step, total)

    number, over = 0, False
    with progress(console, training.step, total) as told, stoppable(take_over) as stop:
        try:
            for step, metrics in training.run():
                due = validation is not None and validation.due(step, total)
                if validation is not None and due:
                    metrics |= validation.measured(step, training.policy)
                if step % 10 == 0 or step == total or due:
                    run.log({"step": step, "seconds": round(time.perf_counter() - began, 3), **metrics})
                told(step, metrics["loss"])
                with training.unchanging:
                    over = validation is not None and due and validation.over(step)
                    number, over = _agreed(training.ranks, stop.number, over)
                    if number:
                        stop.handled()
                    if step % save_every == 0 or step == total or number or over:
                        saved = save()
                if number or over:
                    break
        except LostRankError:
            _leave_it_to(stop)
            raise
    if saved < total and number:
        _say_stopped(console, run, saved, total)
        raise SystemExit(128 + number)
    return time.perf_counter() - began


def _agreed(ranks: Ranks | None, number: int, over: bool) -> tuple[int, bool]:
    """What any rank was asked, so that all end after the same step."""
    if ranks is None:
        return number, over
    number, ended = ranks.max(torch.tensor([number, int(over)])).tolist()
    return number, bool(ended)


def _leave_it_to(stop: Stop) -> None:
    """Where the ranks were asked to stop, another has ended for that: the thread that saves ends this one, too."""
    if stop.number:
        threading.Event().wait()


def _say_stopped(console: Console, run: RunFolder, step: int, total: int) -> None:
    remedy = f"go on with: seqil train --out {run.path} --resume"
    console.print(f"stopped at step {step} of {total}; {remedy}", soft_wrap=True)
