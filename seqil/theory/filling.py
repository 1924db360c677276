"""The exact law of what a masked policy writes: cells filled the surest first, then drawn anew one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..errors import InvalidInputError
from ..mdp.prefix import start
from ..models.modes import evaluating
from ..revision.resampling import Conditionals, with_cells
from .exact import Floats, Ints


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
        InvalidInputError: more texts than the limit.
    """
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
