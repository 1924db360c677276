"""Randomness is an argument; where torch offers no such argument, its global state is borrowed and given back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LENT = threading.RLock()
"""Of threads that train at a time one has the global generators, else each would draw the numbers of another."""
if hasattr(os, "register_at_fork"):  # a child has not the thread that may hold it
    os.register_at_fork(after_in_child=_LENT._at_fork_reinit)  # type: ignore[attr-defined]


@contextmanager
def borrowed(device: torch.device | str = "cpu") -> Iterator[None]:
    """Whatever is drawn inside, afterwards the global generators are as before; other threads wait."""
    device = torch.device(device)
    with _LENT, torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run dropout or the initialisation of a model from `seed`, inside `borrowed`."""
    with borrowed(device):
        torch.manual_seed(seed)
        yield


def draw_seed(generator: torch.Generator) -> int:
    """A fresh seed from a generator."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))
