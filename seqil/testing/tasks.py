"""Conformance of tasks."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch

from ..mdp.prefix import start
from ..mdp.task import at_most
from ..mdp.trajectory import Trajectories

_N = 20
_SPLITS = ("train", "valid", "test")


def check_task(task: Any) -> None:
    """Prove that a task keeps its contract; an AssertionError says in one line where it does not.

    Checked: prompts are those of the demonstrations; the first items do not depend on how many are asked for, and are
    the same when asked again; splits are disjoint; demonstrations end with `eos`, hold no backspace, obey the limits,
    and are without error and successful for the task's own judge; the teacher's rows are distributions that give every
    demonstrated token a positive probability; `has_error` agrees with `first_error`, on altered demonstrations too;
    confusions are weights; `decode` gives text.
    """
    items = {split: _check_split(task, split) for split in _SPLITS}
    for a, b in combinations(_SPLITS, 2):
        assert not items[a] & items[b], f"splits {a} and {b} share items"


def _check_split(task: Any, split: str) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    n = at_most(_N, task, split)
    v, t, prompts = task.vocabulary, task.demonstrations(n, split, 0), task.prompts(n, split, 0)
    assert isinstance(t, Trajectories), f"demonstrations are {type(t).__name__}, not Trajectories"
    assert len(t) == len(prompts) == n, f"asked for {n} items of {split}, got {len(t)} and {len(prompts)} prompts"
    cells = [row[:at] for row, at in zip(t.prompts.tolist(), t.prompt_lengths.tolist(), strict=True)]
    assert cells == prompts, f"prompts of {split} are not those of its demonstrations"
    half = max(1, n // 2)
    assert task.prompts(half, split, 0) == prompts[:half], f"the first prompts of {split} depend on n"
    assert torch.equal(task.demonstrations(n, split, 0).actions, t.actions), f"{split} changes when asked for again"
    assert (t.max_length, t.min_length) == (task.max_length, task.min_length), "length limits differ from the task's"
    assert bool(t.ended.all()), f"a demonstration of {split} does not end with eos"
    assert not bool(((t.actions == v.backspace) & t.inside).any()), f"a demonstration of {split} holds a backspace"
    texts = t.replay().texts()
    for prompt, text in zip(prompts, texts, strict=True):
        assert task.first_error(prompt, text) is None, f"first_error finds one in a demonstration of {split}"
        assert task.success(prompt, text) is not False, f"success is False for a demonstration of {split}"
        assert isinstance(task.decode([*prompt, *text]), str), "decode does not give a str"
    for k in range(3):
        _check_laws(task, t, k)
    _check_errors(task, t)
    return {(tuple(p), tuple(x)) for p, x in zip(prompts, texts, strict=True)}


def _check_laws(task: Any, t: Trajectories, step: int) -> None:
    rows = t.select(t.lengths > step)
    before = [row[:step] for row in rows.actions.tolist()]
    cells = rows.prompts.new_full((len(rows), rows.prompts.shape[1] + t.max_length + 1), t.vocabulary.size)
    state = start(t.vocabulary, rows.prompts, t.max_length, t.min_length)
    for row, (n, text) in enumerate(zip(rows.prompt_lengths.tolist(), before, strict=True)):
        cells[row, :n] = rows.prompts[row, :n]
        cells[row, n : n + step] = torch.tensor(text, dtype=torch.int64)
    state = type(state)(
        cells, state.length + step, state.prompt_length, state.ended, state.max_length, state.min_length
    )
    law = task.next_distribution(state)
    if law is not None:
        assert law.shape == (len(rows), t.vocabulary.size), f"next_distribution has shape {tuple(law.shape)}"
        assert bool((law >= 0).all()), "next_distribution is negative somewhere"
        total = law.double().sum(1)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-9), "rows of next_distribution do not sum to 1"
        taken = law.gather(1, rows.actions[:, step : step + 1])
        assert bool((taken > 0).all()), "next_distribution gives a demonstrated token probability 0"
    weights = task.confusions(state)
    if weights is not None:
        assert weights.shape == (len(rows), t.vocabulary.size), f"confusions have shape {tuple(weights.shape)}"
        assert bool((weights >= 0).all() & weights.isfinite().all()), "confusions are not finite weights"


def _check_errors(task: Any, t: Trajectories) -> None:
    """Beginnings of the demonstrations, with one token altered."""
    v, rows = t.vocabulary, torch.arange(len(t))
    at = 7 * rows % (t.lengths - 1).clamp(min=1)
    other = (t.actions[rows, at] + 1 + rows) % v.size
    actions = t.actions.clone()
    actions[rows, at] = torch.where(other == v.eos, actions[rows, at], other)
    lengths = at + 1 + 5 * rows % (t.lengths - at)
    altered = Trajectories.from_actions(
        v, t.prompts, actions, lengths=lengths, max_length=t.max_length, min_length=t.min_length
    ).replay()
    texts = zip(altered.texts(prompt=True), altered.prompt_length.tolist(), strict=True)
    wrong = [task.first_error(text[:n], text[n:]) is not None for text, n in texts]
    assert task.has_error(altered).tolist() == wrong, "has_error and first_error disagree"
