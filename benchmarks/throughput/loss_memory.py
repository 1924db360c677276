"""Peak memory and time of step values and their gradient, against logits of all positions at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from seqil.values import head_values

from .measure import Ratio

_V, _N, _D = 50_000, 4096, 768


def measure(repetitions: int) -> Iterator[Ratio]:
    """Each variant in a process of its own; memory is the growth of its largest resident size (Linux only)."""
    runs = [(_child(True), _child(False)) for _ in range(max(1, repetitions // 3))]
    difference = max(abs(a[2] - b[2]) / abs(b[2]) for a, b in runs)
    if difference > 1e-4:
        raise AssertionError(f"gradients of the two ways differ by {difference:.1e}")
    name = f"{{}} of the loss / naive loss, V = {_V:,}, N = {_N:,}"
    for what, unit, i in (("peak memory", "MiB", 0), ("time", "s", 1)):
        ratios = [b[i] / a[i] for a, b in runs]
        first, second = runs[len(runs) // 2][0][i], runs[len(runs) // 2][1][i]
        yield Ratio(name.format(what), first, second, unit, sorted(ratios)[len(ratios) // 2], min(ratios), max(ratios))


def _child(ours: bool) -> tuple[float, float, float]:
    context = get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_run, args=(far, ours))
    process.start()
    found: tuple[float, float, float] = near.recv()
    process.join()
    return found


def _run(pipe: Connection, ours: bool) -> None:
    torch.set_num_threads(1)
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(_N, _D, generator=g).requires_grad_()
    weight = (torch.randn(_V + 1, _D, generator=g) * 0.02).requires_grad_()
    action = torch.randint(0, _V, (_N,), generator=g)
    hidden.grad, weight.grad = torch.zeros_like(hidden), torch.zeros_like(weight)
    (torch.ones(64, 64) @ torch.ones(64, 64)).sum()
    before, began = _peak(), time.perf_counter()
    if ours:
        tokens, eos, deletion, taken = head_values(hidden, weight, None, torch.arange(_N), action, _V, 0, True)
        v = torch.stack([tokens, eos, deletion], -1).logsumexp(-1)
    else:
        logits = hidden @ weight.T
        v, taken = logits.logsumexp(-1), logits.gather(1, action[:, None])[:, 0]
    (v - taken).mean().backward()
    took = time.perf_counter() - began
    pipe.send((_peak() - before, took, float(hidden.grad.norm() + weight.grad.norm())))


def _peak() -> float:
    """Largest resident size so far, MiB: of this process (the one of `getrusage` is inherited from the parent)."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
