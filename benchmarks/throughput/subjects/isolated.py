"""Work in a process of its own, whose memory is its own."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

Found = TypeVar("Found")


def apart(work: Callable[..., Found], *given: Any) -> Found:
    """What a function of a module returns in a new process, on one thread."""
    context = get_context("spawn")
    near, far = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(far, work, given))
    process.start()
    far.close()
    found: Found = near.recv()
    process.join()
    return found


def _send(pipe: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    pipe.send(work(*given))


def peak() -> float:
    """Largest resident size so far, MiB: of this process (the one of `getrusage` is inherited from the parent)."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
