"""Peak memory and time of step values and their gradient, against other ways to the same loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy

from seqil.policy.values import head_values

from ...subjects.isolated import apart, peak
from ...subjects.measure import Ratio, ratio

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""hidden [N, D], head [V + 1, D], action int64 [N] -> mean of minus the log-likelihood, a scalar."""


@dataclass(frozen=True)
class Size:
    """Tokens, states, and width of the hidden states."""

    vocabulary: int
    states: int
    width: int


LARGE = Size(50_000, 4096, 768)


def ours(hidden: Tensor, weight: Tensor, action: Tensor) -> Tensor:
    """Values and logits as `step_values` has them, where all actions are legal."""
    state = torch.arange(len(hidden))
    tokens, eos, deletion, taken = head_values(hidden, weight, None, state, action, len(weight) - 1, 0, True)
    values = torch.stack([tokens, eos, deletion], -1).logsumexp(-1)
    return torch.mean(values - taken)


def naive(hidden: Tensor, weight: Tensor, action: Tensor) -> Tensor:
    """All logits at once."""
    logits = (hidden @ weight.T).float()
    return (logits.logsumexp(-1) - logits.gather(1, action[:, None])[:, 0]).mean()


def chunked(hidden: Tensor, weight: Tensor, action: Tensor) -> Tensor:
    """Torch's own, which has no values of the states, only the likelihood."""
    return linear_cross_entropy(hidden, weight, action, options=LinearCrossEntropyOptions())


PEERS: dict[str, Way] = {"naive loss": naive, "linear_cross_entropy": chunked}


def measure(repetitions: int, size: Size = LARGE) -> Iterator[Ratio]:
    """Each way in a process of its own; memory is the growth of its largest resident size (Linux only)."""
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 2e-2)):
        ways = [ours, *PEERS.values()]
        runs = [[apart(_run, way, size, dtype) for way in ways] for _ in range(max(1, repetitions // 3))]
        memory, seconds, gradients = ([[run[w][i] for run in runs] for w in range(len(ways))] for i in range(3))
        for peer, name in enumerate(PEERS, 1):
            difference = max(abs(a - b) / b for a, b in zip(gradients[0], gradients[peer], strict=True))
            if difference > tolerance:
                raise AssertionError(f"the gradient of the {name} in {dtype} differs by {difference:.1e}")
            where = f"V = {size.vocabulary:,}, N = {size.states:,}, {dtype}".replace("torch.", "")
            for what, unit, found in (("peak memory", "MiB", memory), ("time", "s", seconds)):
                title = f"{what} of the loss / {name}, {where}"
                yield ratio(title, unit, found[0], found[peer], more_is_better=False)


def _run(way: Way, size: Size, dtype: torch.dtype) -> tuple[float, float, float]:
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(size.states, size.width, generator=g).to(dtype).requires_grad_()
    weight = (torch.randn(size.vocabulary + 1, size.width, generator=g) * 0.02).to(dtype).requires_grad_()
    action = torch.randint(0, size.vocabulary, (size.states,), generator=g)
    hidden.grad, weight.grad = torch.zeros_like(hidden), torch.zeros_like(weight)
    small = torch.ones(64, 64, dtype=dtype)
    (small @ small).sum()
    before, began = peak(), time.process_time()
    way(hidden, weight, action).backward()
    took = time.process_time() - began
    return peak() - before, took, float(hidden.grad.float().norm() + weight.grad.float().norm())
