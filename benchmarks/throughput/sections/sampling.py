"""Actions drawn from logits, against the softmax and `torch.multinomial`."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from seqil.rollouts.sampler import Sampler

from ..subjects.measure import CPU, Ratio, compare, timed

_SIZES = (513, 64), (50_258, 1), (50_258, 64)


def measure(
    repetitions: int, device: torch.device = CPU, sizes: tuple[tuple[int, int], ...] = _SIZES
) -> Iterator[Ratio]:
    """Vocabularies of 512 and of 50,257 tokens, and a backspace."""
    for size, rows in sizes:
        logits = (torch.randn(rows, size, generator=torch.Generator().manual_seed(0)) * 2).to(device)
        names, steps = torch.arange(rows, device=device), torch.zeros(rows, dtype=torch.int64, device=device)
        g = torch.Generator(device).manual_seed(0)
        sampler, times = Sampler(None, 1.0, names), max(1, 2**18 // logits.numel())

        def ours(
            sampler: Sampler = sampler,
            logits: torch.Tensor = logits,
            names: torch.Tensor = names,
            steps: torch.Tensor = steps,
            times: int = times,
        ) -> float:
            for _ in range(times):
                sampler(logits, names, steps)
            return times * len(logits)

        def peer(logits: torch.Tensor = logits, g: torch.Generator = g, times: int = times) -> float:
            for _ in range(times):
                torch.multinomial(logits.softmax(-1), 1, generator=g)
            return times * len(logits)

        name, ways = f"sampler / multinomial, {size:,} x {rows} rows", (timed(ours, device), timed(peer, device))
        yield compare(name, "actions/s", *ways, repetitions)
