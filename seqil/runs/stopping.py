"""A run that is asked to stop: a checkpoint of its last complete step within seconds, however long a step takes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 2.0
"""Seconds in which the loop may end its step and save by itself."""


class Stop:
    """What the signals of a process have asked of it.

    Attributes:
        number: of the signal; 0: nothing was asked.
    """

    def __init__(self, save: Callable[[int], None]) -> None:
        self.number = 0
        self._save, self._handled = save, threading.Event()

    def handled(self) -> None:
        """The loop saves by itself: nobody else need."""
        self._handled.set()

    def _caught(self, number: int) -> None:
        if self.number:
            end_at_once(number)
        self.number = number
        threading.Thread(target=self._take_over, daemon=True).start()

    def _take_over(self) -> None:
        if not self._handled.wait(PATIENCE):
            try:
                self._save(self.number)
            finally:
                end_at_once(self.number)


@contextmanager
def stoppable(save: Callable[[int], None]) -> Iterator[Stop]:
    """Catch SIGINT, SIGTERM and SIGHUP while a loop runs; the second of them ends the process at once.

    The handlers of Python wait for the operation at hand, a backward pass of a minute, say. So a thread hears of
    signals through a pipe, and where the loop does not end its step soon, it saves what the step began from.

    Args:
        save: called in that thread with the signal's number; the process ends after it.
    """
    stop = Stop(save)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _heeded()}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(reading, stop), daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        listener.join()
        os.close(reading)


class Interrupted(KeyboardInterrupt):
    """A signal has asked the process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def interrupting() -> Iterator[None]:
    """Raise `Interrupted` for SIGINT, SIGTERM and SIGHUP in the main thread, for what has nothing to save."""

    def interrupt(number: int, _: object) -> NoReturn:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_once(number: int) -> NoReturn:
    """End this process and its children as a shell reports it of one that died of the signal.

    The main thread may be busy for minutes. Named semaphores, of replay buffers and of pools of processes, are removed
    by Python's own exit function, which waits for children. The threads of a pool close the same pipes, so they come
    first, and what they have to say of processes that were killed is no news.
    """
    sys.stdout.flush()
    threading.excepthook = lambda _: None
    children = multiprocessing.active_children()
    for child in children:
        child.kill()
    until = time.monotonic() + PATIENCE * bool(children)  # without any it is at once, whatever other threads do
    for thread in threading.enumerate():
        if not thread.daemon and thread not in (threading.main_thread(), threading.current_thread()):
            thread.join(max(0.0, until - time.monotonic()))
    multiprocessing.util._exit_function()  # type: ignore[attr-defined]
    os._exit(128 + number)


def _heeded() -> list[signal.Signals]:
    """What `nohup` has a process ignore stays ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in SIGNALS if number != signal.SIGHUP or not ignored]


def _listen(pipe: int, stop: Stop) -> None:
    while caught := os.read(pipe, 1):
        if caught[0] in SIGNALS:
            stop._caught(caught[0])
