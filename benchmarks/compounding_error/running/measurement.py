"""What is measured on a trained policy, sampled in one way: estimates, and the counts that curves are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seqil import Task, TokenPolicy, Trajectories, decoding, metrics, selection
from seqil.drawing import drawn
from seqil.mdp.edits import begin_with
from seqil.mdp.prefix import Prompts
from seqil.mdp.rendering import spans
from seqil.metrics.reported import evaluation
from seqil.metrics.samples import judge_of
from seqil.revision.edit_policy import scorer
from seqil.runs import plugins
from seqil.runs.experiment import make_task
from seqil.runs.settings import Settings
from seqil.statistics import mean

from ..study import Decoding, Place
from . import asked_metrics, budgets
from .detector import PlantedDetector
from .steps import rounded, stepped


def entropies(policy: TokenPolicy, demonstrations: Trajectories, rollouts: Trajectories, width: int) -> dict[str, Any]:
    """Mean entropy (nats) of the next token in bins of `width` positions, after data and after the policy's own texts.

    Steps at which `eos` was written do not count: where the horizon is fixed the law there is certain.

    Returns:
        `bin`, and for `data` and `own` the list of estimates over texts, as JSON.
    """
    return {
        "bin": width,
        "data": _entropy_by_bin(policy, demonstrations, width),
        "own": _entropy_by_bin(policy, metrics.final_texts(rollouts), width),
    }


def _entropy_by_bin(policy: TokenPolicy, texts: Trajectories, width: int) -> list[dict[str, Any]]:
    eos = texts.vocabulary.eos
    values = metrics.along(texts, lambda s: torch.where(s.token == eos, torch.nan, metrics.entropy(s)), policy)
    bins = [values[:, at : at + width] for at in range(0, values.shape[1], width)]
    per_text = [np.nanmean(part[~np.isnan(part).all(1)], axis=1) for part in bins]
    return [mean(found, "sequences").to_json() for found in per_text if len(found)]


Draw = Callable[..., tuple[Trajectories, metrics.Cost]]
"""What `sampled` is."""

MEASURING = 3
"""Version of what is measured of given texts: one more wherever a number that a record holds comes out differently."""

_BIN, _SHOWN, _STEPPED = 8, 6, 4
_LAWS, _FEWEST_LAWS, _SMALL = 256, 16, 4096  # texts whose laws are read: fewer where a law has more tokens
_ONCE = ("profile", "hazard", "hazard_bin")  # not at every horizon


def measured(
    task: Task,
    policy: TokenPolicy,
    how: Decoding,
    place: Place,
    seed: int,
    gamma: float = 1.0,
    draw: Draw | None = None,
) -> dict[str, Any]:
    """Estimates, counts by position, and a few texts, as JSON values; step by step for the plain sample of seed 0.

    Args:
        task: with a judge, a proxy or neither.
        policy: trained.
        how: to sample.
        place: says how many texts of how many actions at most.
        seed: of the sample.
        gamma: of the implicit reward `q - gamma V'` that the steps show.
        draw: where texts come from; None: `sampled`.
    """
    n = task.at_most(place.samples, place.split)
    draw = draw or sampled
    how, choice = chosen(task, policy, how, place, seed, draw)
    prompts = task.prompts(n, place.split, 0)
    most = budgets.headline(place, task)
    longest = max(most, *place.budgets, 0) if how.best_of == 1 else most  # of the best of several nothing is cut
    rollouts, cost = draw(task, policy, how, prompts, longest, seed)
    by_budget = budgets.success_by_budget(task, rollouts, cost.actions, place.budgets) if place.budgets else None
    if longest > most:
        rollouts = budgets.truncated(rollouts, most)
        cost = metrics.cost(rollouts, rules_of(task, how))
    demonstrations = task.demonstrations(n, place.split, 0)
    found = {
        **({"decoding": how.name} if how.name else {}),
        "max_actions": most,
        **({"chosen": choice} if choice else {}),
        **({"by_budget": by_budget} if by_budget else {}),
        **_numbers(task, policy, demonstrations, rollouts, cost, place),
        **(_laws(policy, demonstrations, rollouts) if policy.autoregressive else {}),
        "samples": [
            [task.decode(prompt), spans(task.vocabulary, row[:length], task.decode, prompt)]
            for prompt, row, length in zip(
                task.prompts(min(_SHOWN, n), place.split, 0),
                rollouts.actions.tolist(),
                rollouts.lengths.tolist(),
                strict=False,
            )
        ],
    }
    if not how.name and not seed and policy.autoregressive:  # the page shows those of one run
        found["trajectories"] = stepped(task, policy, rollouts.select(slice(_STEPPED)), judge_of(task), gamma)
    return found


def _laws(policy: TokenPolicy, demonstrations: Trajectories, rollouts: Trajectories) -> dict[str, Any]:
    some = slice(max(_FEWEST_LAWS, min(_LAWS, _LAWS * _SMALL // policy.vocabulary.size)))
    return {"entropy": entropies(policy, demonstrations.select(some), rollouts.select(some), _BIN)}


def at_horizon(
    settings: Settings, policy: TokenPolicy, horizon: int, place: Place, seed: int, draw: Draw | None = None
) -> dict[str, Any]:
    """The same numbers for texts of another length than the training texts."""
    options = {**settings.task.options, "horizon": horizon}
    task = make_task(replace(settings, task=replace(settings.task, options=options)))
    n, most = place.horizon_samples, task.budget(place.max_actions and max(place.max_actions, 4 * task.max_length))
    rollouts, cost = (draw or sampled)(task, policy, Decoding(), task.prompts(n, place.split, 0), most, seed)
    numbers = _numbers(task, policy, task.demonstrations(n, place.split, 0), rollouts, cost, place)
    shown = {name: value for name, value in numbers.items() if name not in _ONCE}
    return {
        "horizon": horizon,
        "max_actions": most,
        "extrapolation": task.max_length > make_task(settings).max_length,
        **shown,
    }


def _numbers(
    task: Task,
    policy: TokenPolicy,
    demonstrations: Trajectories,
    rollouts: Trajectories,
    cost: metrics.Cost,
    place: Place,
) -> dict[str, Any]:
    estimates = evaluation(task, policy, demonstrations, rollouts, cost, asked_metrics.of(place))
    return {"estimates": {name: estimate.to_json() for name, estimate in estimates.items()}, **_errors(task, rollouts)}


def _errors(task: Task, rollouts: Trajectories) -> dict[str, Any]:
    """First errors by position, and what is done about them; empty where no error is defined."""
    judge = judge_of(task)
    if judge is None:
        return {"survival": [], "counts": {}, "hazard": [], "hazard_bin": _BIN, "profile": [], "ever_deleted": None}
    first, survived = metrics.first_errors(rollouts, judge)
    curve, error = metrics.survival(first, survived)
    found = metrics.backspaces(rollouts, judge) if judge == task.first_error else None
    return {
        "survival": [rounded(curve, 6), rounded(error, 6)],
        "counts": _counts(first, survived),
        "hazard": [metrics.hazard(first, survived, t, t + _BIN).to_json() for t in range(0, task.max_length, _BIN)],
        "hazard_bin": _BIN,
        "profile": [] if found is None else [estimate.to_json() for estimate in found.profile],
        "ever_deleted": None if found is None else [found.predicted, found.ever_deleted.to_json()],
    }


def _counts(first: metrics.Ints, survived: metrics.Ints) -> dict[str, list[int]]:
    """First errors at each position, and texts that were at risk of one there."""
    at_risk, errors = metrics.risk_table(first, survived)
    return {"errors": errors.tolist(), "at_risk": at_risk.tolist()}


def chosen(
    task: Task, policy: TokenPolicy, how: Decoding, place: Place, seed: int, draw: Draw | None = None
) -> tuple[Decoding, dict[str, Any]]:
    """The decoding with that set of candidate rules that has the most success on validation items, of equals the first.

    Returns:
        It, and `rules` with `valid`, the share of right texts of every set; nothing where there is nothing to choose.
    """
    if not how.candidates:
        return how, {}
    budgets.check_place(place)
    prompts = task.prompts(task.at_most(budgets.VALIDATION, "valid"), "valid", 0)
    shares = []
    for one in (variants := budgets.variants(how)):
        rollouts, _ = (draw or sampled)(task, policy, one, prompts, budgets.headline(place, task), seed)
        right = budgets.success_by_budget(task, rollouts, rollouts.lengths, (int(rollouts.lengths.max()),))
        shares.append(right["right"][0] / right["n"])
    best = max(range(len(shares)), key=shares.__getitem__)
    return variants[best], {"rules": list(how.candidates[best]), "valid": shares}


def rules_of(task: Task, how: Decoding) -> list[decoding.Rule]:
    """In order."""
    planted: list[decoding.Rule] = [PlantedDetector(task, how.detector)] if how.detector else []
    return planted + plugins.rules(how.rules, task)


def sampled(
    task: Task, policy: TokenPolicy, how: Decoding, prompts: Prompts, max_actions: int, seed: int
) -> tuple[Trajectories, metrics.Cost]:
    """One text per prompt, and what it took: the rules' own forwards and all samples of best-of-k included."""
    options: dict[str, Any] = {
        **{"max_actions": max_actions, "rules": rules_of(task, how), "temperature": how.temperature},
        "generator": torch.Generator().manual_seed(seed),
    }
    if how.best_of > 1:
        lengths: dict[str, Any] = {"max_length": task.max_length, "min_length": task.min_length}
        chosen = selection.best_of(policy, prompts, how.best_of, verifier_of(task, how), **lengths, **options)
        return chosen.trajectories.to("cpu"), chosen.cost
    found = drawn(task, policy, prompts, writing=how.writing, **options)
    return found.trajectories, found.cost


def verifier_of(task: Task, how: Decoding) -> selection.Score | selection.Ranking | None:
    """What ranks the samples of the best of several; None: their own likelihood."""
    if how.verifier != "attribute":
        return None if how.verifier == "likelihood" else selection.RANKINGS[how.verifier]
    attribute = scorer(task)

    def score(prompt: Sequence[int], text: Sequence[int]) -> float:
        open_text = [token for token in text if token != task.vocabulary.eos]
        cells = torch.tensor([list(prompt)])
        return float(attribute(begin_with(task.vocabulary, cells, [open_text], task.max_length, task.min_length)))

    return score
