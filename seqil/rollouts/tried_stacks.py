"""What was tried on the way to the present state of many rows, in arrays of the host: `seqil.mdp.memory.Tried`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..mdp.memory import Tried, choices_at_prompt

Ints = NDArray[np.int64]


class TriedStacks:
    """A stack of deleted tokens per row, as in `Tried`: those of the present prefix on top, of its ancestors below.

    Args:
        rows: how many.
        min_length: fewest generated tokens before `eos` is legal.
        max_actions: budget of a row, half of which are deletions at most.
        size: of the vocabulary.
    """

    def __init__(self, rows: int, min_length: int, max_actions: int, size: int) -> None:
        self.choices = choices_at_prompt(size, min_length)
        self.tokens = np.zeros((rows, max_actions // 2 + 1), dtype=np.int64)
        self.top = np.zeros(rows, dtype=np.int64)
        self.count = np.zeros((rows, max_actions + 2), dtype=np.int64)  # by the number of generated tokens

    def begin(self, row: int) -> None:
        """This row has done nothing yet."""
        self.top[row] = self.count[row] = 0

    def popped(self, rows: Ints, generated: Ints, token: Ints) -> None:
        """These rows have deleted this token and hold so many."""
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
        count = self.count[rows, generated]
        if (count == 1).all():  # as a rule, and much quicker
            return np.arange(len(rows)), self.tokens[rows, self.top[rows] - 1]
        at = np.repeat(np.arange(len(rows)), count)
        before = np.repeat(np.cumsum(count) - count, count)
        return at, self.tokens[rows[at], self.top[rows[at]] - 1 - (np.arange(len(at)) - before)]

    def state(self, rows: Ints, device: torch.device) -> Tried:
        """Of these rows."""
        places = np.full((len(rows), self.tokens.shape[1]), -1)
        row, depth = self.count[rows].nonzero()
        number = self.count[rows[row], depth]
        places[np.arange(places.shape[1]) < self.top[rows][:, None]] = np.repeat(depth, number)
        return Tried(torch.from_numpy(self.tokens[rows]).to(device), torch.from_numpy(places).to(device))
