"""One cell of a study: an agent, a task and a seed, trained, sampled and measured."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from seqil import metrics, rollout
from seqil.checkpoint import versions
from seqil.evaluation import evaluation, judge_of
from seqil.experiment import Settings, make_task, make_training
from seqil.rendering import spans

from .settings import Arm, Place

Record = dict[str, Any]
_BIN, _PILOT, _SHOWN = 8, 40, 6


@dataclass(frozen=True)
class Cell:
    """What is run."""

    arm: Arm
    place: Place
    seed: int

    @property
    def settings(self) -> Settings:
        """Of the training run; the number of steps is still to be set from the budget."""
        return Settings.of({**self.place.settings, **self.arm.settings, "seed": self.seed})

    @property
    def key(self) -> str:
        """Hash of everything that decides the result."""
        what = [self.settings.to_json(), self.place.budget, self.place.samples, versions()]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def missing(cells: list[Cell], results: Path, workers: int) -> Iterator[Record]:
    """Run the cells that `results` lacks, in processes of one thread, and append each record as it comes."""
    done = {record["key"] for record in read(results)}
    todo = [cell for cell in cells if cell.key not in done]
    results.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, cell) for cell in todo]):
            record = future.result()
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            yield record


def read(results: Path) -> list[Record]:
    """All records; a line that a crash cut short is left out."""
    records = []
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def run(cell: Cell) -> Record:
    """Train within the budget, sample and measure."""
    torch.set_num_threads(1)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    began = time.perf_counter()
    settings = replace(cell.settings, steps=steps_within(cell))
    task = make_task(settings)
    training = make_training(settings, task)
    for _ in training.run():
        pass
    trained = time.perf_counter()
    n = min(cell.place.samples, _available(task))
    rollouts = rollout(
        training.policy,
        task.prompts(n, "test", 0),
        max_length=task.max_length,
        min_length=task.min_length,
        generator=torch.Generator().manual_seed(cell.seed),
    )
    estimates = evaluation(task, training.policy, task.demonstrations(n, "test", 0), rollouts)
    judge = judge_of(task)
    assert judge is not None, "every task of the study has a judge or a proxy"
    first, survived = metrics.first_errors(rollouts, judge)
    curve, error = metrics.survival(first, survived)
    found = metrics.backspaces(rollouts, judge) if judge == task.first_error else None
    actions, lengths = rollouts.actions.tolist(), rollouts.lengths.tolist()
    return {
        "key": cell.key,
        "arm": cell.arm.name,
        "task": cell.place.name,
        "seed": cell.seed,
        "settings": settings.to_json(),
        "versions": versions(),
        "steps": settings.steps,
        **training.costs(),
        "seconds_training": round(trained - began, 1),
        "seconds_evaluation": round(time.perf_counter() - trained, 1),
        "estimates": {name: estimate.to_json() for name, estimate in estimates.items()},
        "survival": [curve.tolist(), error.tolist()],
        "hazard": [metrics.hazard(first, survived, t, t + _BIN).to_json() for t in range(0, task.max_length, _BIN)],
        "hazard_bin": _BIN,
        "profile": [] if found is None else [estimate.to_json() for estimate in found.profile],
        "ever_deleted": None if found is None else [found.predicted, found.recall.to_json()],
        "samples": [
            [task.decode(prompt), spans(task.vocabulary, row[:length], task.decode)]
            for prompt, row, length in zip(task.prompts(_SHOWN, "test", 0), actions, lengths, strict=False)
        ],
    }


def steps_within(cell: Cell) -> int:
    """Updates that the budget pays for, from the cost of a short run with the same schedule."""
    settings = replace(cell.settings, steps=_PILOT)
    pilot = make_training(settings, make_task(settings))
    for _ in pilot.run():
        pass
    return round(cell.place.budget / (pilot.costs()["cost"] / _PILOT))


def _available(task: Any) -> int:
    windows = getattr(task, "windows", None)
    return len(windows.by_split["test"]) if windows is not None else 10**9
