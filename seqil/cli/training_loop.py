"""A run from the step at hand to its end, or to where it is asked to stop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..errors import LostRankError, quoted
from ..learning.processes import Ranks
from ..learning.training import Training
from ..runs.checkpoint import RunFolder
from ..runs.stopping import Stop, stoppable
from .validation import Validation

_BETWEEN = 5.0  # seconds between two lines
_LOOK = 5.0  # seconds after which the processor time is looked at
_CROWDED = 0.8  # of a core: less than a program gets that has a core to itself
_WIDE = 80  # columns of a window from which on there is room for a bar

Told = Callable[[int, float], None]
"""Called with a step and its loss."""


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
    crowd = Crowd(console, training.policy.device)
    with progress(console, training.step, total) as told, stoppable(take_over) as stop:
        try:
            for step, metrics in training.run():
                due = validation is not None and validation.due(step, total)
                if validation is not None and due:
                    metrics |= validation.measured(step, training.policy)
                if step % 10 == 0 or step == total or due:
                    run.log({"step": step, "seconds": round(time.perf_counter() - began, 3), **metrics})
                told(step, metrics["loss"])
                crowd.look()
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


class Crowd:
    """Says once where threads wait for each other because others compute: small steps take many times as long then."""

    def __init__(self, console: Console, device: torch.device) -> None:
        self.console, self.looked = console, torch.get_num_threads() < 2 or device.type != "cpu"
        self.began, self.spent = time.perf_counter(), time.process_time()

    def look(self) -> None:
        """After some seconds, whether this process has had a core to itself."""
        gone = time.perf_counter() - self.began
        if self.looked or gone < _LOOK:
            return
        self.looked = True
        share = (time.process_time() - self.spent) / gone
        if share < _CROWDED:
            self.console.print(
                f"{torch.get_num_threads()} threads get {share:.1f} of a core: other programs compute here, and "
                "threads wait for each other; with OMP_NUM_THREADS=1 a small model is several times as fast then",
                soft_wrap=True,
            )


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
    remedy = f"go on with: seqil train --out {quoted(run.path)} --resume"
    console.print(f"stopped at step {step} of {total}; {remedy}", soft_wrap=True)


@contextmanager
def progress(console: Console, done: int, total: int) -> Iterator[Told]:
    """Show steps, their rate, the time that went by and the time that is left, from step `done` on."""
    if console.is_terminal:
        with _bar(console, done, total) as told:
            yield told
    else:
        yield _Lines(console, done, total)


@contextmanager
def _bar(console: Console, done: int, total: int) -> Iterator[Told]:
    loss, rate = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
    times = TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
    columns: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn(), loss)
    if console.width >= _WIDE:
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), rate, *times, loss)
    with Progress(*columns, console=console) as shown:
        bar, began = shown.add_task("", total=total, completed=done, rate=""), time.perf_counter()

        def told(step: int, loss: float) -> None:
            rate = (step - done) / max(time.perf_counter() - began, 1e-9)
            shown.update(bar, completed=step, description=f"loss {loss:.3f}", rate=f"{rate:.1f} steps/s")

        yield told


class _Lines:
    """A line after the first step, every few seconds and after the last step."""

    def __init__(self, console: Console, done: int, total: int) -> None:
        self.console, self.done, self.total = console, done, total
        self.began = time.perf_counter()
        self.next = self.began

    def __call__(self, step: int, loss: float) -> None:
        now = time.perf_counter()
        if now < self.next and step < self.total:
            return
        self.next = now + _BETWEEN
        rate = (step - self.done) / max(now - self.began, 1e-9)
        elapsed, left = (timedelta(seconds=round(s)) for s in (now - self.began, (self.total - step) / rate))
        self.console.print(
            f"step {step} of {self.total}, loss {loss:.3f}, {rate:.1f} steps/s, {elapsed} elapsed, {left} left",
            soft_wrap=True,
        )
