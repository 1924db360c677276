"""Actions drawn from logits, against the softmax and `torch.multinomial`."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from seqil.sampling import Sampler

from .measure import Ratio, compare, timed


def measure(repetitions: int) -> Iterator[Ratio]:
    """Vocabularies of 512 and of 50,257 tokens, and a backspace."""
    for size, rows in ((513, 64), (50_258, 1), (50_258, 64)):
        logits = torch.randn(rows, size, generator=torch.Generator().manual_seed(0)) * 2
        names, steps, g = torch.arange(rows), torch.zeros(rows, dtype=torch.int64), torch.Generator().manual_seed(0)
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

        yield compare(
            f"sampler / multinomial, {size:,} x {rows} rows", "actions/s", timed(ours), timed(peer), repetitions
        )
