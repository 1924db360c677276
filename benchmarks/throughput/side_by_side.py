"""Many runs of a small student: side by side, one per core, as studies make them, against one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch

from seqil.experiment import Settings, make_task, make_training

from ..compounding_error.runner import cores
from .measure import Ratio, Timed, interleaved, ratio


def measure(repetitions: int, runs: int = 4, steps: int = 64) -> Iterator[Ratio]:
    """Seconds of the wall, maximum likelihood on `automaton`; what is trained is the same bit by bit."""
    workers, threads, seeds = cores(), torch.get_num_threads(), range(runs)
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        ways: list[Timed] = [lambda: _rate(lambda: pool.map(train, seeds, [steps] * runs), runs)]
        ways += [partial(_in_turn, seeds, steps, threads) for threads in sorted({1, workers})]
        found, *others = interleaved(ways, repetitions)
    torch.set_num_threads(threads)
    for threads, peer in zip(sorted({1, workers}), others, strict=True):
        name = f"{runs} runs of {steps} updates in {workers} processes / in turn, threads: {threads}"
        yield ratio(name, "runs/s", found, peer)


def train(seed: int, steps: int) -> float:
    """The last loss of a run."""
    settings = Settings(task="automaton", agent="bc", backspace=False, noise="none", steps=steps, seed=seed)
    losses = [metrics["loss"] for _, metrics in make_training(settings, make_task(settings)).run()]
    return losses[-1]


def _in_turn(seeds: Sequence[int], steps: int, threads: int) -> float:
    torch.set_num_threads(threads)
    return _rate(lambda: (train(seed, steps) for seed in seeds), len(seeds))


def _rate(work: Callable[[], Iterable[float]], runs: int) -> float:
    began = time.perf_counter()
    for _ in work():
        pass
    return runs / (time.perf_counter() - began)
