"""One cell of a study: an agent, a task and a seed, trained once, sampled in one way or several, and measured."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from seqil import Task
from seqil.errors import InvalidInputError, suggested
from seqil.learning.training import Training
from seqil.runs import known_metrics, plugins
from seqil.runs.checkpoint import versions
from seqil.runs.experiment import make_task, make_training
from seqil.runs.own_files import digests, is_reference, reference_to
from seqil.runs.resumption import own_code
from seqil.runs.settings import Chosen, Settings

from ..study import WARM_START, Arm, Decoding, Place, Study
from . import asked_metrics
from .kept import Kept, Trained, copied
from .measurement import MEASURING, at_horizon, measured
from .records import Record

THREADS = 1
TRAINING = 1
"""Version of what decides the weights of a run: one more wherever that code changes."""

_MOST = 1.03  # of the budget: rollouts may grow in the course of a run
_GPU_SHARE = 0.25  # models of a study are small
Row = TypeVar("Row", Arm, Place)
_OF_THE_PLAIN_SAMPLE = ("horizons", "trajectories")


@dataclass(frozen=True)
class Cell:
    """What is run.

    Attributes:
        arm, place, seed: of the study.
        device: where the model is trained.
        kept: folder of weights and texts; None: none are kept. Nodes of a cluster have to share it.
    """

    arm: Arm
    place: Place
    seed: int
    device: str = "cpu"
    kept: Path | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.place.name}, {self.arm.name}, seed {self.seed}"

    @property
    def settings(self) -> Settings:
        """Of the training run; the number of steps is still to be set from the budget."""
        return Settings.of({**self.place.settings, **self.arm.settings, "seed": self.seed, "device": self.device})

    @property
    def budget(self) -> float:
        """Of training, in forward positions."""
        return self.arm.share * self.place.budget

    @property
    def gpus(self) -> float:
        """Share of a GPU that the cell needs."""
        return 0 if self.device == "cpu" else _GPU_SHARE

    @property
    def spare(self) -> int:
        """Positions that texts of the longest horizon need beyond those of the training."""
        longest: int = make_task(self.settings).max_length
        return max(0, max(self.place.horizons, default=0) - longest)

    @property
    def trained(self) -> str:
        """Sha256 of what decides the weights, the bytes of the demonstrations and of own code included.

        Of the settings those count that are not the default, so that a setting which comes later leaves older keys.

        Versions of libraries are not part of it: records and kept runs say which they were.
        """
        s = self.settings
        own = own_code(s)
        longest = max(self.place.horizons, default=0)  # positions of the model
        what = [TRAINING, _decisive(self.settings), self.budget, data_of(self.settings), THREADS]
        pilot = [self.place.pilot] * (self.place.pilot != Place.pilot)
        return _sha256([*what, self.arm.stages, longest, *own, *pilot])[:32]

    @property
    def asked(self) -> str:
        """Sha256 of what the study wants to know of them, the source of own rules included."""
        place = self.place
        how = [decoding.decisive for decoding in self.arm.ways(place)]
        budget, plain = budget_of(place, self.settings)
        what = [
            place.samples,
            None if budget == plain else budget,
            place.split,
            place.horizons,
            place.horizon_samples,
            how,
        ]
        sets = [rules for one in self.arm.ways(place) for rules in (one.rules, *one.candidates)]
        own = digests(rule.partition("=")[0] for rules in sets for rule in rules)
        later = [*[place.budgets] * bool(place.budgets), *own, *[place.metrics] * bool(place.metrics)]
        return _sha256([*what, *later])[:12]

    @property
    def key(self) -> str:
        """`trained-asked-measured`: the last is of the metrics, and of the code that measures."""
        names = [metric.name for metric in known_metrics.metrics()]
        return f"{self.trained}-{self.asked}-{_sha256([MEASURING, names])[:12]}"


def _decisive(settings: Settings) -> dict[str, Any]:
    usual = Settings().to_json()
    return {name: value for name, value in settings.to_json().items() if value != usual[name]}


def cells_of(study: Study, device: str = "cpu") -> list[Cell]:
    """All cells, seed by seed; agents, tasks and metrics that are not there are refused.

    Classes among the settings are named by their file, so that cells travel between processes.
    """
    study = replace(study, arms=tuple(map(_named, study.arms)), places=tuple(map(_named, study.places)))
    for place in study.places:
        asked_metrics.of(place)
    usual = Settings().to_json()
    for kind, rows in (("agents", study.arms), ("tasks", study.places)):
        known = plugins.names(kind)
        names = [(row.name, row.settings.get(kind[:-1], usual[kind[:-1]])) for row in rows]
        for own in {name for _, name in names if is_reference(name)}:
            plugins.load(kind, own)
        unknown = [
            f"{row} ({name!r}{suggested(name, known)})"
            for row, name in names
            if name not in known and not is_reference(name)
        ]
        if unknown:
            raise InvalidInputError(
                f"no such {kind[:-1]} is installed: {', '.join(unknown)}; install seqil again, or leave it out with "
                "--arm or --task"
            )
    pairs = [(arm, place) for place in study.places for arm in study.arms if not arm.places or place.name in arm.places]
    return [Cell(arm, place, seed, device) for seed in range(study.seeds) for arm, place in pairs]


def task_of(settings: Settings) -> Task:
    """The task of some settings, made once."""
    return _made(*_spelt(settings.task))


@lru_cache(maxsize=64)
def _made(task: str, options: str) -> Task:
    return cast(Task, plugins.construct("tasks", task, **json.loads(options)))


def _named(row: Row) -> Row:
    names = {k: reference_to(v) if isinstance(v, type) else v for k, v in row.settings.items()}
    return replace(row, settings=names)


def budget_of(place: Place, settings: Settings) -> tuple[int, int]:
    """Most actions of a sampled text, and what they would be at four per token, which no key of a record says."""
    return _budget(*_spelt(settings.task), place.max_actions)


@lru_cache(maxsize=1024)
def _budget(task: str, options: str, asked: int | None) -> tuple[int, int]:
    made = _made(task, options)
    return made.budget(asked), 4 * made.max_length


def data_of(settings: Settings) -> str:
    """Sha256 of the bytes of the demonstrations that a run trains on."""
    s = settings
    return _data(*_spelt(s.task), s.demonstrations, s.seed)


@lru_cache(maxsize=1024)
def _data(task: str, options: str, n: int, seed: int) -> str:
    demonstrations = plugins.construct("tasks", task, **json.loads(options)).demonstrations(n, "train", seed)
    digest = hashlib.sha256()
    for part in (demonstrations.prompts, demonstrations.actions):
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()


def run(cell: Cell) -> Record:
    """Train within the budget, then sample and measure in every way and at every horizon.

    What an earlier run of the cell has kept, weights or texts, is not made again.
    """
    torch.set_num_threads(THREADS)
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    kept = Kept(None if cell.kept is None else cell.kept / cell.trained)
    trained = kept.training()
    if trained is None:
        trained = _train(cell)
        kept.keep(trained)
    began = time.perf_counter()
    found = _measured(cell, kept, trained)
    return {
        **{"key": cell.key, "arm": cell.arm.name, "task": cell.place.name, "seed": cell.seed},
        **trained.facts,
        **{name: value for name, value in trained.stages[-1].items() if name != "steps"},
        "seconds_evaluation": round(time.perf_counter() - began, 1),
        **found,
    }


def _train(cell: Cell) -> Trained:
    began = time.perf_counter()
    settings = replace(cell.settings, steps=steps_within(cell))
    task = make_task(settings)
    training = make_training(settings, task, cell.spare)
    when = stages(training, cell.arm.stages)
    at, weights = [], []
    for step in spend(training, _MOST * cell.budget):
        if step in when:
            at.append({"steps": step, **training.costs()})
            weights.append(copied(training.policy))
    facts = {
        "settings": settings.to_json(),
        "versions": versions(),
        "threads": THREADS,
        "data": data_of(settings),
        "parameters": sum(p.numel() for p in training.policy.parameters()),
        "horizon": task.max_length,
        "steps": training.step,
        "seconds_training": round(time.perf_counter() - began, 1),
    }
    end = {"steps": training.step, **training.costs()}
    return Trained(facts, [*at, end], [*weights, copied(training.policy)])


def _measured(cell: Cell, kept: Kept, trained: Trained) -> dict[str, Any]:
    settings = Settings.of(trained.facts["settings"])
    task = make_task(settings)
    policy = make_training(settings, task, cell.spare).policy
    gamma = float(settings.agent.options.get("gamma", 1.0))

    def measure(how: Decoding, stage: int) -> Record:
        policy.load_state_dict(trained.weights[stage])
        return measured(task, policy, how, cell.place, cell.seed, gamma, kept.draw(stage))

    end = len(trained.stages) - 1
    course = [{**trained.stages[i], **measure(WARM_START, i)} for i in range(end)]
    possible = [how for how in cell.arm.ways(cell.place) if task.judged or not how.detector]
    plain, *others = (measure(how, end) for how in (Decoding(), *possible))
    others += course[:1]
    draw = kept.draw(end)
    horizons = [at_horizon(settings, policy, T, cell.place, cell.seed, draw) for T in cell.place.horizons]
    shown = [{name: stage[name] for name in ("steps", "cost", "estimates")} for stage in course]
    return {
        **plain,
        **({"decoded": others} if others else {}),
        **({"horizons": horizons} if horizons else {}),
        **({"course": shown} if cell.arm.stages else {}),
    }


def rows_of(record: Record, arm: Arm) -> Iterator[Record]:
    """The plain sample of a record and its other ones, each as if it were alone; `arm` names them.

    A sample that the arm no longer asks for is left out.
    """
    yield record
    names = arm.others
    shared = {k: v for k, v in record.items() if k not in _OF_THE_PLAIN_SAMPLE}
    for i, sample in enumerate(record.get("decoded", ())):
        name = sample.get("decoding", names[i] if i < len(names) else None)
        if name in names:
            yield {**shared, **sample, "arm": arm.rows[1 + names.index(name)]}


def steps_within(cell: Cell) -> int:
    """Updates that the budget pays for, from the cost of a short run with the same schedule."""
    settings = replace(cell.settings, steps=cell.place.pilot)
    pilot = make_training(settings, make_task(settings), cell.spare)
    for _ in spend(pilot):
        pass
    update = pilot.costs()["cost"] / cell.place.pilot
    if cell.budget < update / 2:
        raise InvalidInputError(
            f"a budget of {cell.budget:,.0f} forward positions does not pay for one update, which takes {update:,.0f}; "
            "give more, or a smaller batch_size"
        )
    return max(1, round(cell.budget / update))


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


def _spelt(chosen: Chosen) -> tuple[str, str]:
    """Its name and its options as JSON, for a cache."""
    return chosen.name, json.dumps(dict(chosen.options), sort_keys=True)


def _sha256(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
