"""What was tried on the way to the present state of many rows, in arrays of the host: `seqil.mdp.memory.Tried`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..mdp.memory import Tried, choices_at_prompt

Ints = NDArray[np.int64]


class TriedStacks:
    """A stack of deleted tokens per row, as in `Tried`.

    Args:
        rows: how many.
        min_length: fewest generated tokens before `eos` is legal.
        max_actions: budget of a row, half of which are deletions at most.
        size: of the vocabulary.
    """

    def __init__(self, rows: int, min_length: int, max_actions: int, size: int) -> None:
        self.choices = choices_at_prompt(size, min_length)
        self.tokens = np.zeros((rows, max_actions // 2 + 1), dtype=np.int64)
        self.places = np.full_like(self.tokens, -1)

    def begin(self, row: int) -> None:
        """This row has done nothing yet."""
        self.places[row] = -1

    def popped(self, rows: Ints, generated: Ints, token: Ints) -> None:
        """These rows have deleted this token and hold so many."""
        places = self.places[rows]
        places[places > generated[:, None]] = -1
        top = (places >= 0).sum(1)
        places[np.arange(len(rows)), top] = generated
        if self.choices is not None:
            places[(places == 0).sum(1) == self.choices] = -1
        self.tokens[rows, top], self.places[rows] = token, places

    def here(self, rows: Ints, generated: Ints) -> tuple[Ints, Ints]:
        """What was deleted from the present prefixes of these rows: indices into `rows`, and tokens, [K] each."""
        at, slot = (self.places[rows] == generated[:, None]).nonzero()
        return at, self.tokens[rows[at], slot]

    def state(self, rows: Ints, device: torch.device) -> Tried:
        """Of these rows."""
        tokens, places = (torch.from_numpy(x[rows]).to(device) for x in (self.tokens, self.places))
        return Tried(tokens, places)
