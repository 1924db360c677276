"""Many runs of a small student: side by side, one per core, as studies make them, against one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch

from seqil.runs.experiment import make_task, make_training
from seqil.runs.settings import Chosen, ModelSettings, NoiseSettings, Settings

from ....compounding_error.running.runner import cores
from ...subjects.measure import Ratio, Timed, interleaved, ratio


def measure(repetitions: int, runs: int = 4, steps: int = 64, start: str = "spawn") -> Iterator[Ratio]:
    """Seconds of the wall, maximum likelihood on `automaton`, in processes that have started."""
    workers, threads, seeds = cores(), torch.get_num_threads(), range(runs)
    counts = sorted({1, workers})
    with ProcessPoolExecutor(workers, get_context(start)) as pool:
        ways: list[Timed] = [partial(_rate, pool.map, seeds, steps, 1)]
        ways += [partial(_rate, map, seeds, steps, count) for count in counts]
        found, *others = interleaved(ways, repetitions)
    torch.set_num_threads(threads)
    for count, peer in zip(counts, others, strict=True):
        name = f"{runs} runs of {steps} updates in {workers} processes / in turn, threads: {count}"
        yield ratio(name, "runs/s", found, peer)


def train(seed: int, steps: int, threads: int = 1) -> float:
    """The last loss of a run."""
    torch.set_num_threads(threads)
    model, noise = ModelSettings(backspace=False), NoiseSettings("none")
    settings = Settings(agent=Chosen("bc"), model=model, noise=noise, steps=steps, seed=seed)
    losses = [metrics["loss"] for _, metrics in make_training(settings, make_task(settings)).run()]
    return losses[-1]


def _rate(mapped: Callable[..., Iterable[float]], seeds: Sequence[int], steps: int, threads: int) -> float:
    began = time.perf_counter()
    losses = list(mapped(partial(train, steps=steps, threads=threads), seeds))
    return len(losses) / (time.perf_counter() - began)
