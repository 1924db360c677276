"""Side by side in one run: interleaved repetitions, medians, spread."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

CPU = torch.device("cpu")
Timed = Callable[[], float]
"""Does the work once and returns how many units of it were done per second."""


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
    """Units per second of two ways."""
    first, second = interleaved([ours, peer], repetitions)
    return ratio(name, unit, first, second)


def interleaved(ways: Sequence[Timed], repetitions: int) -> list[list[float]]:
    """What each way returns, run in turns after one warm-up each."""
    for way in ways:
        way()
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(repetitions):
        for way, rates in zip(ways, found, strict=True):
            rates.append(way())
    return found


def ratio(name: str, unit: str, ours: Sequence[float], peer: Sequence[float], more_is_better: bool = True) -> Ratio:
    """The line of two ways that were run in turns."""
    pairs = list(zip(ours, peer, strict=True))
    ratios = [a / b if more_is_better else b / a for a, b in pairs]
    first, second = (statistics.median(column) for column in (ours, peer))
    return Ratio(name, first, second, unit, statistics.median(ratios), min(ratios), max(ratios))


def timed(work: Callable[[], float], device: torch.device = CPU) -> Timed:
    """Units per second of work that returns its units."""

    def run() -> float:
        began = clock(device)
        units = work()
        return units / (clock(device) - began)

    return run


def clock(device: torch.device = CPU) -> float:
    """Seconds. On one thread those of the processor, so that what else runs on the machine does not count; of CUDA
    those of the wall, once all that was launched is done.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def machine(device: torch.device = CPU) -> str:
    """Processor, threads and versions, or the name of a CUDA device."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    names = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} thread, torch {torch.__version__}"


def _cpuinfo() -> Iterator[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            yield from file
    except OSError:
        return
