"""What was tried on the way to the present state of many rows, in arrays of the host: `seqil.mdp.memory.Tried`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mdp.memory import Tried, choices_at_prompt

Ints = NDArray[np.int64]


class TriedStacks:
    """A stack of deleted tokens per row, and where in it those begin that were deleted from each prefix that stands.

    Args:
        rows: how many.
        max_length, min_length: limits of the MDP.
        max_actions: budget of a row, half of which are deletions at most.
        size: of the vocabulary.
    """

    def __init__(self, rows: int, max_length: int, min_length: int, max_actions: int, size: int) -> None:
        self.choices = choices_at_prompt(size, min_length)
        self.tokens, self.places = (np.zeros((rows, max_actions // 2 + 1), dtype=np.int64) for _ in range(2))
        self.count = np.zeros(rows, dtype=np.int64)
        self.first = np.zeros((rows, max_length + 2), dtype=np.int64)

    def begin(self, row: int) -> None:
        """This row has done nothing yet."""
        self.count[row] = self.first[row, 0] = 0

    def pushed(self, rows: Ints, generated: Ints) -> None:
        """These rows have written a token and hold so many."""
        self.first[rows, generated] = self.count[rows]

    def popped(self, rows: Ints, generated: Ints, token: Ints) -> None:
        """These rows have deleted this token and hold so many."""
        top = self.first[rows, generated + 1]
        self.tokens[rows, top], self.places[rows, top] = token, generated
        self.count[rows] = top + 1
        if self.choices is not None:
            forgotten = (generated == 0) & (top + 1 == self.choices)
            self.count[rows[forgotten]] = 0

    def here(self, rows: Ints, generated: Ints) -> tuple[Ints, Ints]:
        """What was deleted from the present prefixes of these rows: indices into `rows`, and tokens, [K] each."""
        first = self.first[rows, generated]
        number = self.count[rows] - first
        at = np.repeat(np.arange(len(rows)), number)
        within = np.arange(len(at)) - np.repeat(number.cumsum() - number, number)
        return at, self.tokens[rows[at], first[at] + within]

    def state(self, rows: Ints, device: torch.device) -> Tried:
        """Of these rows."""
        inside = np.arange(self.tokens.shape[1]) < self.count[rows, None]
        found: list[Tensor] = [
            torch.from_numpy(np.where(inside, x[rows], fill)).to(device)
            for x, fill in ((self.tokens, 0), (self.places, -1))
        ]
        return Tried(*found)
