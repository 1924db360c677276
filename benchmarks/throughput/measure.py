"""Side by side in one run: interleaved repetitions, medians, spread."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

Timed = Callable[[], float]
"""Does the work once and returns how many units of it were done."""


@dataclass(frozen=True)
class Ratio:
    """One line of the table.

    Attributes:
        name: what was measured, `ours` against `peer`, in `unit`.
        ratio: how many times better ours is: median of the ratios of neighbouring repetitions.
        low, high: their smallest and largest.
    """

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    low: float
    high: float


def compare(name: str, unit: str, ours: Timed, peer: Timed, repetitions: int) -> Ratio:
    """Units per second of two ways, run in turns after one warm-up each."""
    rate(ours), rate(peer)
    pairs = [(rate(ours), rate(peer)) for _ in range(repetitions)]
    ratios = [a / b for a, b in pairs]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Ratio(name, first, second, unit, statistics.median(ratios), min(ratios), max(ratios))


def rate(work: Timed) -> float:
    """Units per second."""
    began = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - began)


def machine() -> str:
    """Processor, threads and versions."""
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} thread, torch {torch.__version__}"


def _cpuinfo() -> Iterator[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            yield from file
    except OSError:
        return
