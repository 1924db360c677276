"""The probability that a policy finally writes a text, exactly, whatever its moves are, by enumeration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..errors import InvalidInputError, UnsupportedModelError
from ..errors.arguments import on_one_line, typed
from ..errors.limits import check_lengths
from ..mdp.prefix import start
from ..mdp.trajectory import Trajectories
from ..models.modes import evaluating
from ..theory.enumeration import prefix_table
from ..theory.exact import Floats, Ints
from .masked_policy import SWEEPS, MaskedPolicy
from .parallel_policy import ParallelPolicy
from .resampling import Conditionals, check_conditionals, with_cells

Law = Callable[[list[int]], Callable[[tuple[int, ...]], float]]
"""Of a prompt: the probability of each text, `eos` included."""


def final_log_probs(policy: Any, texts: Trajectories, limit: int = 100_000) -> Floats:
    """Log-probability of each text as what the policy finally writes after its prompt, by enumeration: float64 [B].

    Plain samples without a budget of actions are meant: of a `TokenPolicy` whatever it deletes on the way, of a
    `ParallelPolicy` in one shot, of a `MaskedPolicy` by its `write` without options. Where nothing is deleted it is the
    likelihood; a policy that deletes has another law of its final texts than of what it would write without.

    Args:
        policy: any of these.
        texts: B of them, ended and without deletions.
        limit: of prefixes per prompt, or of texts with empty cells.

    Raises:
        InvalidInputError: no trajectories, a text with deletions or without an end, texts of several lengths for a
            `MaskedPolicy`, or more prefixes than the limit.
        UnsupportedModelError: a policy whose final law is not known here: one with the memory `history`, whose states
            are not prefixes, one that has learned from what it tried, one with a head for quality, or one that edits.
    """
    if not isinstance(texts, Trajectories):
        raise InvalidInputError(f"final_log_probs: texts={on_one_line(texts, 60)} is not a seqil.Trajectories")
    final = texts.replay()
    if not bool(final.ended.all()) or bool((texts.actions == texts.vocabulary.backspace)[texts.inside].any()):
        raise InvalidInputError("give ended texts without deletions, such as demonstrations")
    if isinstance(policy, ParallelPolicy):
        with torch.no_grad():
            return policy.log_prob(final.to(policy.device)).double().cpu().numpy()
    law = _law(policy, texts, limit)
    prompts = [
        tuple(row[:length]) for row, length in zip(texts.prompts.tolist(), texts.prompt_lengths.tolist(), strict=True)
    ]
    of = {prompt: law(list(prompt)) for prompt in set(prompts)}
    found = [of[prompt](tuple(text)) for prompt, text in zip(prompts, final.texts(), strict=True)]
    with np.errstate(divide="ignore"):
        return np.log(np.array(found, dtype=np.float64))


def _law(policy: Any, texts: Trajectories, limit: int) -> Law:
    lengths = {"max_length": texts.max_length, "min_length": texts.min_length}
    if isinstance(policy, MaskedPolicy) and policy.quality_head is None:
        if texts.min_length != texts.max_length:
            raise InvalidInputError("the law of a masked policy is known here of texts of one length alone")
        return lambda prompt: _cells(filled_law(policy, prompt, texts.max_length, sweeps=SWEEPS, limit=limit))
    rewinds = getattr(policy, "autoregressive", False) and policy.memory.rewinds
    if rewinds and getattr(policy, "tried_term", None) is None:
        return lambda prompt: _tree(prefix_table(policy, prompt, limit=limit, **lengths), policy.memory.forbids)
    raise UnsupportedModelError(
        f"the law of the final text of this {type(policy).__name__} is not known here; give a TokenPolicy with the "
        "memory prefix or tried and no learned term, a ParallelPolicy, or a MaskedPolicy without a head for quality"
    )


def _cells(law: Floats) -> Callable[[tuple[int, ...]], float]:
    return lambda text: float(law[text[:-1]])


def _tree(table: Any, forbids: bool) -> Callable[[tuple[int, ...]], float]:
    final = table.tried().final() if forbids else table.final()
    number = {text: i for i, text in enumerate(table.texts)}
    return lambda text: float(final[number[text]]) if text in number else 0.0


@typed
@torch.no_grad()
def filled_law(
    policy: Conditionals, prompt: Sequence[int], length: int, sweeps: int = 0, limit: int = 100_000
) -> Floats:
    """Probability of every text that `revision.resampling.filled` writes one cell at a time, and `resample` draws anew.

    All missing cells are drawn, and that one is kept whose token has come out with the largest probability, of equals
    the first. So not even exact conditionals write their own law: a rare token stays only where it is surer than what
    came out elsewhere. A sweep draws every cell anew, one after another, in an order that is uniform.

    Args:
        policy: says the law of masked cells: a `MaskedPolicy`, or exact conditionals.
        prompt: tokens before the text.
        length: of the text, which is fixed; `eos` does not count.
        sweeps: after the text is full.
        limit: of texts some of whose cells may be empty: V to the power of the length.

    Returns:
        float64 [V, …, V], a dimension per cell; texts with `eos` among their cells have probability 0.

    Raises:
        InvalidInputError: what has no conditionals, a length below 1, fewer than 0 sweeps, or more texts than the
            limit.
    """
    check_conditionals("filled_law", policy)
    check_lengths(length, length)
    if sweeps < 0:
        raise InvalidInputError(f"filled_law: sweeps={sweeps}: give 0 or more")
    v = policy.vocabulary
    V, empty = v.size, v.eos  # no cell of a full text holds eos, so that its id is free for what is missing
    if float(V) ** length > limit:
        raise InvalidInputError(f"more than {limit:,} texts with empty cells; take fewer cells or raise limit")
    canvases: Ints = np.indices((V,) * length).reshape(length, -1).T
    missing = (canvases == empty).sum(1)
    root = start(v, [list(prompt)], length, length)
    law = np.zeros((V,) * length)
    law[(empty,) * length] = 1.0
    with evaluating(policy):
        for number in range(length, 0, -1):
            some = canvases[missing == number]
            cells = torch.from_numpy(some).to(getattr(policy, "device", "cpu"))
            prompts = root.select(torch.zeros(len(some), dtype=torch.long)).to(cells.device)
            shown = with_cells(prompts, torch.where(cells == empty, V, cells))
            laws = policy.conditionals(shown, cells == empty).double().exp().cpu().numpy()
            _keep_one(law, some, laws, empty)
    for _ in range(sweeps):  # the last conditionals are those of single cells
        law = _swept(law, [_of_cell(i, some, laws, empty) for i in range(length)])
    return law


def _keep_one(law: Floats, some: Ints, laws: Floats, empty: int) -> None:
    """Move the mass of texts that lack as many cells each, [N, L] with laws [N, L, V], to those that lack one less."""
    mass, cells = law[tuple(some.T)], np.arange(some.shape[1])
    law[tuple(some.T)] = 0.0
    for i in cells:
        rows = some[:, i] == empty
        own, others = laws[rows, i], laws[rows]  # [M, V], [M, L, V]
        less = others[:, None] < own[:, :, None, None]  # [M, V, L, V]
        equal = (others[:, None] == own[:, :, None, None]) & (cells > i)[:, None]
        loses = (others[:, None] * (less | equal)).sum(-1)
        loses[np.broadcast_to(((some[rows] != empty) | (cells == i))[:, None], loses.shape)] = 1.0
        kept = mass[rows, None] * own * loses.prod(-1)
        after = np.repeat(some[rows, None], laws.shape[2], 1)
        after[:, :, i] = np.arange(laws.shape[2])
        np.add.at(law, tuple(np.moveaxis(after, -1, 0)), kept)


def _of_cell(i: int, some: Ints, laws: Floats, empty: int) -> Floats:
    """Law of cell i given all others, at every text: [V, …, V]."""
    rows = some[:, i] == empty
    found = np.zeros((laws.shape[2],) * some.shape[1])
    np.moveaxis(found, i, -1)[tuple(np.delete(some[rows], i, 1).T)] = laws[rows, i]
    return found


def _swept(law: Floats, cells: Sequence[Floats]) -> Floats:
    """After each cell was drawn anew once, over all orders: by the sets of those that were."""
    at = {frozenset[int](): law}
    for left in range(len(cells), 0, -1):
        after: dict[frozenset[int], Floats] = {}
        for done, mass in at.items():
            for i in set(range(len(cells))) - done:
                drawn = mass.sum(i, keepdims=True) * cells[i] / left
                after[done | {i}] = after.get(done | {i}, 0.0) + drawn
        at = after
    return at[frozenset(range(len(cells)))]
