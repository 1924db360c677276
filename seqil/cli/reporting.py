"""How far a run is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_BETWEEN = 5.0  # seconds between two lines

Told = Callable[[int, float], None]
"""Called with a step and its loss."""


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
