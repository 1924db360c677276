"""What there is to see of one run, or of several side by side: from their folders, and from texts that they write."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from ...capacity import read_bytes
from ...drawing import Drawn
from ...errors import InvalidInputError, counted
from ...mdp.rendering import Span
from ...mdp.task import Task
from ...metrics.lifetimes import Floats
from ...metrics.positions import negative_log_likelihood
from ...metrics.reported import evaluation
from ...metrics.samples import Sample
from ...runs import known_metrics, plugins
from ...runs.checkpoint import RunFolder
from ...runs.experiment import MEASURED
from ...runs.settings import Settings
from ...statistics import Estimate
from ...statistics.comparison import Comparison, paired_difference
from .. import exports
from ..showing import manner, texts

Rows = list[list[str]]
_CURVES = ("loss", "valid_nll_per_token", "grad_norm")

OF_RUNS = (
    "Differences after the same prompts, p by the t test over texts, uncorrected: of these runs, in which chance has a "
    "part, and not of their agents. What is claimed of an agent takes several seeds, which is what a study is for."
)


@dataclass(frozen=True, eq=False)
class Inspected:
    """One run.

    Attributes:
        name: of its folder; the path as it was given where two folders have one name.
        settings: flat, as in its `settings.json`.
        updates: of the weights that wrote the sample.
        log: its lines of metrics.
        drawn: texts after prompts that all runs share.
        sample: the same, beside held-out demonstrations.
        measured: of the sample, by metric.
    """

    name: str
    settings: Mapping[str, Any]
    updates: int
    log: Sequence[Mapping[str, Any]]
    drawn: Drawn
    sample: Sample
    measured: Mapping[str, Estimate]

    def curve(self, name: str) -> list[tuple[float, float]]:
        """Steps and the finite values of one of the logged numbers."""
        found = ((line.get("step"), line.get(name)) for line in self.log)
        return [(float(s), float(y)) for s, y in found if _is_number(s) and _is_number(y)]

    def text(self, row: int) -> tuple[str, list[Span]]:
        """Prompt and runs of kept and deleted text of one sample."""
        task, prompt = self.sample.task, self.sample.prompts[row]
        return task.decode(prompt), self.drawn.spans(task, prompt, row)


@dataclass(frozen=True)
class Sampling:
    """How the texts are drawn; the same for all runs."""

    n: int
    split: str
    temperature: float
    rules: Sequence[str]
    max_actions: int | None
    seed: int
    best: bool
    writing: Mapping[str, str] = field(default_factory=dict)


def inspected(folders: Sequence[Path], how: Sampling) -> list[Inspected]:
    """The runs, with texts written after the same prompts.

    Raises:
        InvalidInputError: the same folder twice, or runs of different tasks, whose prompts are not the same.
        CheckpointError: a folder is no run, or holds no checkpoint.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InvalidInputError("a run is named twice; name each once")
    opened = [exports.opened(folder, how.best) for folder in folders]
    tasks = [(settings.task.name, dict(settings.task.options)) for _, settings, _, _ in opened]
    for folder, task in zip(folders, tasks, strict=True):
        if task != tasks[0]:
            raise InvalidInputError(
                f"{folder} is of task {_task(*task)}, {folders[0]} of {_task(*tasks[0])}; inspect runs of one task"
            )
    short = {folder.resolve().name for folder in folders}
    names = [folder.resolve().name if len(short) == len(folders) else str(folder) for folder in folders]
    return [_inspected(n, f, *one, how) for n, f, one in zip(names, folders, opened, strict=True)]


def _inspected(
    name: str, folder: Path, policy: Any, settings: Settings, task: Task, updates: int, how: Sampling
) -> Inspected:
    n = task.at_most(how.n, how.split)
    if n < MEASURED:
        raise InvalidInputError(
            f"the {how.split} split of {task.name} has {counted(n, 'item')}, {MEASURED} are needed; take another "
            "--split"
        )
    demonstrations = task.demonstrations(n, how.split, how.seed)
    prompts, rules = task.prompts(n, how.split, how.seed), plugins.rules(how.rules, task)
    writing, most = manner(policy, how.writing), how.max_actions
    found = texts(task, policy, prompts, how.temperature, how.seed, rules, max_actions=most, writing=writing)
    measured = evaluation(task, policy, demonstrations, found.trajectories, found.cost, known_metrics.metrics())
    sample = Sample.of(task, policy, demonstrations, found.trajectories, found.cost)
    log = _log(RunFolder(folder).metrics)
    return Inspected(name, settings.to_json(), updates, log, found, sample, measured)


# -- tables: a header and rows --------------------------------------------------------------------------


def settings_table(runs: Sequence[Inspected]) -> Rows:
    """Settings in which the runs differ; of one run all that are not the default."""
    others = [run.settings for run in runs] if len(runs) > 1 else [runs[0].settings, Settings().to_json()]
    names = sorted({name for settings in others for name in settings})
    differ = [name for name in names if len({_shown(s.get(name)) for s in others}) > 1]
    return [["setting", *(run.name for run in runs)]] + [
        [name, *(_shown(run.settings.get(name)) for run in runs)] for name in differ
    ]


def costs_table(runs: Sequence[Inspected]) -> Rows:
    """What training took, and what a text takes."""
    logged = {
        "positions trained on": "training_positions",
        "positions sampled in training": "rollout_positions",
        "cost in forward positions": "cost",
        "seconds of training": "seconds",
    }
    rows = [["cost", *(run.name for run in runs)], ["updates", *(f"{run.updates:,}" for run in runs)]]
    rows += [[title, *(_last(run, key) for run in runs)] for title, key in logged.items()]
    per_text = {"actions per text": "actions", "forward positions per text": "forwards", "tokens that stand": "net"}
    return rows + [[title, *(f"{getattr(r.sample.cost, k).mean():.2f}" for r in runs)] for title, k in per_text.items()]


def evaluation_table(runs: Sequence[Inspected]) -> Rows:
    """Every metric with its interval, its unit and which way is better."""
    known = [one for one in known_metrics.metrics() if any(one.name in run.measured for run in runs)]
    return [["metric, unit, which way is better", *(run.name for run in runs)]] + [
        [f"{one.title}, {one.unit} {one.arrow}".strip(), *(estimate(run.measured.get(one.name)) for run in runs)]
        for one in known
    ]


def comparison_table(runs: Sequence[Inspected]) -> Rows:
    """Every run with the first, text by text, on the numbers that single texts have; empty of one run."""
    rows = [["difference, unit, which way is better", *(f"{run.name} less {runs[0].name}" for run in runs[1:])]]
    for title, unit, values in PER_TEXT:
        found = [values(run.sample) for run in runs]
        if len(runs) > 1 and all(one is not None for one in found):
            pairs = [compared(one, found[0]) for one in found[1:]]
            rows.append([f"{title}, {unit}", *(f"{estimate(c.effect)}, p {_p(c.p)}" for c in pairs)])
    return rows if len(rows) > 1 else []


def compared(ours: Floats | None, theirs: Floats | None) -> Comparison:
    """The mean of the differences of two runs, text by text, with Student's t interval over the texts."""
    return paired_difference(np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64))


def _successes(sample: Sample) -> Floats | None:
    return None if sample.successes is None else np.array(sample.successes, dtype=np.float64)


def _likelihoods(sample: Sample) -> Floats | None:
    return negative_log_likelihood(sample.policy, sample.demonstrations) if sample.autoregressive else None


Values = Callable[[Sample], Floats | None]
PER_TEXT: tuple[tuple[str, str, Values], ...] = (
    ("success", "share of texts ↑", _successes),
    ("held-out likelihood", "nats per token ↓", _likelihoods),
    ("on policy step error", "nats ↓", lambda s: s.on_policy_step_errors),
    ("actions", "actions per text ↓", lambda s: s.cost.actions.astype(np.float64)),
)


def curves(runs: Sequence[Inspected]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Logged numbers over the steps, by name of the number and of the run, where a run has them."""
    found = {name: {run.name: run.curve(name) for run in runs} for name in _CURVES}
    return {name: {run: c for run, c in of.items() if c} for name, of in found.items() if any(of.values())}


def estimate(e: Estimate | None) -> str:
    """Value and interval, without what they rest on."""
    return "–" if e is None else str(e).rpartition(" (")[0]


def note_on_samples(how: Sampling, runs: Sequence[Inspected]) -> str:
    """How the texts were drawn, in a sentence."""
    sample = runs[0].sample
    budget = counted(sample.task.budget(how.max_actions), "action")
    limits = [f"at most {budget} a text"] if any(run.drawn.whole is None for run in runs) else []
    manner = [*how.rules, *(f"{name}={value}" for name, value in how.writing.items()), *limits, f"seed {how.seed}"]
    return (
        f"{counted(len(sample.rollouts), 'text')} each after the same prompts of {sample.task.name}/{how.split}, "
        f"temperature {how.temperature:g}, {', '.join(manner)}."
    )


def _log(file: Path) -> list[dict[str, Any]]:
    """The lines of metrics that can be read; a crash may have cut the last."""
    lines: list[dict[str, Any]] = []
    for line in read_bytes(file).splitlines() if file.exists() else ():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            lines.append(found)
    return lines


def _last(run: Inspected, key: str) -> str:
    curve = run.curve(key)
    return f"{curve[-1][1]:,.0f}" if curve else "–"


def _is_number(x: Any) -> TypeGuard[float]:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _task(name: str, options: Mapping[str, Any]) -> str:
    return name if not options else f"{name} with {_shown(dict(options))}"


def _p(p: float) -> str:
    return "–" if math.isnan(p) else "< 0.001" if p < 1e-3 else f"{p:.3f}"
