"""What is measured on a trained policy, sampled in one way."""

from __future__ import annotations

from typing import Any

import torch

from seqil import TokenPolicy, Trajectories, decoding, metrics, rollout, selection
from seqil.evaluation import evaluation, judge_of
from seqil.rendering import spans

from .study import Decoding, Place

_BIN, _SHOWN = 8, 6


def measured(task: Any, policy: TokenPolicy, how: Decoding, place: Place, seed: int) -> dict[str, Any]:
    """Estimates, curves and a few texts, as JSON values."""
    n = min(place.samples, _available(task))
    rollouts, cost = sampled(task, policy, how, n, place.max_actions, seed)
    estimates = evaluation(task, policy, task.demonstrations(n, "test", 0), rollouts, cost)
    judge = judge_of(task)
    assert judge is not None, "every task of a study has a judge or a proxy"
    first, survived = metrics.first_errors(rollouts, judge)
    curve, error = metrics.survival(first, survived)
    found = metrics.backspaces(rollouts, judge) if judge == task.first_error else None
    actions, lengths = rollouts.actions.tolist(), rollouts.lengths.tolist()
    return {
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


def sampled(
    task: Any, policy: TokenPolicy, how: Decoding, n: int, max_actions: int | None, seed: int
) -> tuple[Trajectories, metrics.Cost]:
    """One text per test prompt, and what it took: the rules' own forwards and all samples of best-of-k included."""
    prompts, rules = task.prompts(n, "test", 0), [decoding.parse(rule) for rule in how.rules]
    options = {
        **{"max_length": task.max_length, "min_length": task.min_length, "max_actions": max_actions},
        "rules": rules,
    }
    generator = torch.Generator().manual_seed(seed)
    if how.best_of > 1:
        chosen = selection.best_of(policy, prompts, how.best_of, generator=generator, **options)
        return chosen.trajectories, chosen.cost
    rollouts = rollout(policy, prompts, generator=generator, **options)
    return rollouts, metrics.cost(rollouts, rules)


def _available(task: Any) -> int:
    windows = getattr(task, "windows", None)
    return len(windows.by_split["test"]) if windows is not None else 10**9
