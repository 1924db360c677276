"""What was tried on the way to the present state of many rows, in arrays of the host: `seqil.mdp.memory.Tried`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..mdp.memory import Tried, choices_at_prompt

Ints = NDArray[np.int64]


def choices_within(size: int, min_length: int, max_actions: int) -> int | None:
    """`choices_at_prompt`, or None if a budget of actions is too small to try all of them."""
    choices = choices_at_prompt(size, min_length)
    return None if choices is None or choices > max_actions // 2 else choices


class TriedStacks:
    """A stack of deleted tokens per row, as in `Tried`: those of the present prefix on top, of its ancestors below.

    Args:
        rows: how many.
        max_actions: budget of a row, half of which are deletions at most.
        choices: `choices_within` it.
    """

    def __init__(self, rows: int, max_actions: int, choices: int | None) -> None:
        self.choices = choices
        self.tokens = np.zeros((rows, max_actions // 2 + 1), dtype=np.int64)
        self.top = np.zeros(rows, dtype=np.int64)
        self.count = np.zeros((rows, max_actions + 2), dtype=np.int64)  # by the number of generated tokens

    def begin(self, row: int) -> None:
        """This row has done nothing yet."""
        self.top[row] = self.count[row] = 0

    def popped(self, rows: Ints, generated: Ints, token: Ints) -> None:
        """These rows have deleted this token and hold so many."""
        if not len(rows):
            return
        count = self.count[rows, generated] + 1
        top = self.top[rows] - self.count[rows, generated + 1]  # what was deleted from the longer text is forgotten
        self.count[rows, generated + 1] = 0
        self.tokens[rows, top] = token
        if self.choices is not None:
            spent = (generated == 0) & (count == self.choices)
            count[spent], top[spent] = 0, -1
        self.count[rows, generated], self.top[rows] = count, top + 1

    def here(self, rows: Ints, generated: Ints) -> tuple[Ints, Ints]:
        """What was deleted from the present prefixes of these rows: indices into `rows`, and tokens, [K] each."""
        count, at = self.count[rows, generated], np.arange(len(rows))
        latest = rows * self.tokens.shape[1] + self.top[rows] - 1
        if count.max() > 1 or count.min() < 1:
            at = at.repeat(count)
            latest = (latest + count.cumsum() - count).repeat(count) - np.arange(len(at))
        return at, self.tokens.ravel()[latest]

    def state(self, rows: Ints, device: torch.device) -> Tried:
        """Of these rows."""
        places = np.full((len(rows), self.tokens.shape[1]), -1)
        row, depth = self.count[rows].nonzero()
        number = self.count[rows[row], depth]
        places[np.arange(places.shape[1]) < self.top[rows][:, None]] = np.repeat(depth, number)
        return Tried(torch.from_numpy(self.tokens[rows]).to(device), torch.from_numpy(places).to(device))
