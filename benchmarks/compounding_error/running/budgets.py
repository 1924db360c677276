"""What a budget of actions decides: success against the actions spent, and rules chosen on validation items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from seqil import Task, Trajectories, metrics
from seqil.errors import InvalidInputError

from ..study import Decoding, Place

VALIDATION = 300
"""Items that rules are chosen on."""


def truncated(t: Trajectories, most: int) -> Trajectories:
    """What the same sample was after `most` actions: of a row the stream of random numbers knows no budget."""
    lengths = t.lengths.clamp(max=most)
    T = int(lengths.max()) if len(t) else 0
    inside = torch.arange(T) < lengths[:, None]
    return replace(
        t,
        actions=torch.where(inside, t.actions[:, :T], t.vocabulary.size),
        lengths=lengths,
        imitate=t.imitate[:, :T] & inside,
        ended=t.ended & (t.lengths <= most),
        log_prob=None if t.log_prob is None else torch.where(inside, t.log_prob[:, :T], 0),
    )


def headline(place: Place, task: Task) -> int:
    """Actions of the texts that all other numbers are of."""
    return task.budget(place.max_actions)


def success_by_budget(task: Task, sample: Trajectories, spent: Any, budgets: tuple[int, ...]) -> dict[str, Any]:
    """Right texts at every budget; a text that has not ended is not right yet.

    Args:
        task: with a success.
        sample: with the largest of the budgets.
        spent: int [B], actions of each text, with those of samples that were not kept.
        budgets: of actions per text.

    Returns:
        `budgets`, and for each the count `right`, the count `ended` and the mean number of actions `spent`; `n` texts.
    """
    texts = zip(metrics.prompt_lists(sample), sample.replay().texts(), strict=True)
    right = torch.tensor([task.success(prompt, text) is True for prompt, text in texts]) & sample.ended
    spent = torch.as_tensor(spent)
    within = [sample.ended & (spent <= budget) for budget in budgets]
    return {
        "budgets": list(budgets),
        "right": [int((right & ended).sum()) for ended in within],
        "ended": [int(ended.sum()) for ended in within],
        "spent": [float(spent.clamp(max=budget).double().mean()) for budget in budgets],
        "n": len(sample),
    }


def variants(how: Decoding) -> list[Decoding]:
    """One decoding for each set of candidate rules."""
    return [replace(how, rules=(*rules, *how.rules), candidates=()) for rules in how.candidates]


def check_place(place: Place) -> None:
    """Refuse to choose on what is measured on."""
    if place.split == "valid":
        raise InvalidInputError(f"{place.name}: rules are chosen on validation items; measure on others")
