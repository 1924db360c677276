"""One cell of a study: an agent, a task and a seed, trained once, sampled in one way or several, and measured."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from seqil import plugins
from seqil.checkpoint import versions
from seqil.errors import InvalidInputError, SeqilError
from seqil.experiment import Settings, make_task, make_training
from seqil.training import Training

from .measurement import measured
from .study import Arm, Decoding, Place, Study

Record = dict[str, Any]
_PILOT = 40
_MOST = 1.03  # of the budget: rollouts may grow in the course of a run


@dataclass(frozen=True)
class Cell:
    """What is run."""

    arm: Arm
    place: Place
    seed: int

    def __str__(self) -> str:
        return f"{self.place.name}, {self.arm.name}, seed {self.seed}"

    @property
    def settings(self) -> Settings:
        """Of the training run; the number of steps is still to be set from the budget."""
        return Settings.of({**self.place.settings, **self.arm.settings, "seed": self.seed})

    @property
    def key(self) -> str:
        """Hash of everything that decides the result."""
        what = [self.settings.to_json(), self.place.budget, self.place.samples, versions()]
        if self.place.max_actions is not None:
            what.append(self.place.max_actions)
        if self.arm.decodings:
            what.append([asdict(decoding) for decoding in self.arm.decodings])
        if self.arm.stages:
            what.append({"stages": self.arm.stages})
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def cells_of(study: Study) -> list[Cell]:
    """All cells, seed by seed; arms whose agent is not installed are refused."""
    known = plugins.names("agents")
    unknown = [f"{arm.name} ({agent!r})" for arm in study.arms if (agent := arm.settings["agent"]) not in known]
    if unknown:
        raise InvalidInputError(
            f"no such agent is installed: {', '.join(unknown)}; install seqil again, or name other arms with --arm"
        )
    return [Cell(arm, place, seed) for seed in range(study.seeds) for place in study.places for arm in study.arms]


def missing(cells: list[Cell], results: Path, workers: int) -> Iterator[Record]:
    """Run the cells that `results` lacks, in processes of one thread, and append each record as it comes.

    Raises:
        SeqilError: at the end, if runs failed; one line names them.
    """
    done = {record["key"] for record in read(results)}
    todo = [cell for cell in cells if cell.key not in done]
    results.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(results)
    failed = []
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        futures = {pool.submit(run, cell): cell for cell in todo}
        for future in as_completed(futures):
            try:
                record = future.result()
            except SeqilError as error:
                failed.append(f"{futures[future]}: {error}")
                continue
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
            yield record
    finally:
        pool.shutdown(cancel_futures=True)
    if failed:
        raise SeqilError(f"{len(failed)} runs failed ({'; '.join(failed)}); --report-only shows the others")


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
    """Train within the budget, then sample and measure in every way."""
    torch.set_num_threads(1)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    began, evaluating = time.perf_counter(), 0.0
    settings = replace(cell.settings, steps=steps_within(cell))
    task = make_task(settings)
    training = make_training(settings, task)

    def measure(decoding: Decoding) -> dict[str, Any]:
        nonlocal evaluating
        start = time.perf_counter()
        found = measured(task, training.policy, decoding, cell.place, cell.seed)
        evaluating += time.perf_counter() - start
        return found

    when, course = stages(training, cell.arm.stages), []
    for step in spend(training, _MOST * cell.place.budget):
        if step in when:
            course.append({"steps": step, **training.costs(), **measure(Decoding())})
    plain, *others = map(measure, (Decoding(), *cell.arm.decodings))
    others += course[:1]
    return {
        "key": cell.key,
        "arm": cell.arm.name,
        "task": cell.place.name,
        "seed": cell.seed,
        "settings": settings.to_json(),
        "versions": versions(),
        "steps": training.step,
        **training.costs(),
        "seconds_training": round(time.perf_counter() - began - evaluating, 1),
        "seconds_evaluation": round(evaluating, 1),
        **plain,
        **({"decoded": others} if others else {}),
        **(
            {"course": [{key: stage[key] for key in ("steps", "cost", "estimates")} for stage in course]}
            if when
            else {}
        ),
    }


def rows_of(record: Record, arm: Arm) -> Iterator[Record]:
    """The plain sample of a record and its other ones, each as if it were alone; `arm` names them."""
    samples = ({}, *record.get("decoded", ()))
    for name, sample in zip(arm.rows, samples, strict=True):
        yield {**record, **sample, "arm": name}


def steps_within(cell: Cell) -> int:
    """Updates that the budget pays for, from the cost of a short run with the same schedule."""
    settings = replace(cell.settings, steps=_PILOT)
    pilot = make_training(settings, make_task(settings))
    for _ in spend(pilot):
        pass
    return max(1, round(cell.place.budget / (pilot.costs()["cost"] / _PILOT)))


def spend(training: Training, most: float = math.inf) -> Iterator[int]:
    """Train to the last step, or to the one that reaches a cost of `most`; yields the number of each step."""
    for step, metrics in training.run():
        yield step
        if metrics["cost"] >= most:
            break


def stages(training: Training, number: int) -> set[int]:
    """Steps after which a model is measured: `number` of them at equal distances, from the end of the warm-up on."""
    first, last = math.ceil(training.agent.warm_up * training.agent.steps), training.agent.steps
    return {max(1, first + i * (last - first) // number) for i in range(number)}


def _end_last_line(results: Path) -> None:
    """What a crash cut short must not swallow the next record."""
    if results.exists() and (text := results.read_bytes()) and not text.endswith(b"\n"):
        with results.open("ab") as file:
            file.write(b"\n")
