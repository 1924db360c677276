"""Randomness is an argument; where torch offers no such argument, its global state is borrowed and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Run dropout or the initialisation of a model from `seed`; afterwards the global generators are as before."""
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def draw_seed(generator: torch.Generator) -> int:
    """A fresh seed from a generator."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))
