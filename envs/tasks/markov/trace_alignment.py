"""Texts aligned with an automaton: the fewest edits that make each a text of its language (Viterbi)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np

from seqil.capacity import check_memory

from ..base.sampled import Ints
from .state_merging import Floats, Machine

_EDIT = 1e6  # nats, more than any text has: fewer edits come first, and likelihood decides among as few
_ROWS = 1 << 22  # cells of the largest array of a step


class Step(NamedTuple):
    """What stands in a text, and what was meant; None: nothing, so that a token was left out, or was too many."""

    seen: int | None
    meant: int | None


Script = list[Step]
"""From a text of the language to the one that was seen: an edit script."""


def align(machine: Machine, texts: Sequence[Sequence[int]]) -> list[Script]:
    """The nearest texts of a machine by inserts, deletions and substitutions, of these the likeliest.

    Args:
        machine: whose end is reached from every state, if it has ends.
        texts: tokens, without an end.
    """
    found: dict[tuple[int, ...], Script] = {}
    steps = _Steps(machine)
    for _, group in groupby(sorted({tuple(text) for text in texts}, key=len), key=len):
        alike = list(group)
        many = max(1, _ROWS // machine.after.shape[0] ** 2)
        for at in range(0, len(alike), many):
            part = alike[at : at + many]
            found |= zip(part, steps.scripts(np.array(part, np.int64).reshape(len(part), -1)), strict=True)
    return [found[tuple(text)] for text in texts]


def meant(script: Script) -> list[int]:
    """The text of the language."""
    return [step.meant for step in script if step.meant is not None]


def edits(script: Script) -> int:
    """How many there are."""
    return sum(step.seen != step.meant for step in script)


class _Steps:
    """From state to state while a token is read, and before the first: costs, and how they come about."""

    def __init__(self, machine: Machine) -> None:
        nats, after = machine.nats[:, :-1], machine.after[:, :-1]
        S, V = nats.shape
        check_memory(32 * S * S * (V + S), f"aligning texts with {S} states", "lower the significance of merging")
        same = np.where(np.eye(S, dtype=bool), 0.0, np.inf)
        self.exactly = np.full((V, S, S), np.inf)
        state, token = np.nonzero(after >= 0)
        self.exactly[token, state, after[state, token]] = nats[state, token]
        self.likeliest: Ints = self.exactly.argmin(0)
        self.anything = _EDIT + self.exactly.min(0)
        self.inserted, self.next = _shortest(np.minimum(self.anything, same))
        self.read = np.minimum(self.exactly, np.minimum(self.anything, same + _EDIT))
        self.total, self.through = _product(self.read, self.inserted)
        self.last: Floats = machine.nats[:, -1] if machine.ends else np.zeros(S)
        self.how = cache(self._how)

    def scripts(self, texts: Ints) -> list[Script]:
        """Of texts of one length, [N, L]."""
        cost, back = np.broadcast_to(self.inserted[0], (len(texts), len(self.inserted))), []
        for tokens in texts.T:
            ways = cost[:, :, None] + self.total[tokens]
            back.append(ways.argmin(1))
            cost = ways.min(1)
        last = (cost + self.last).argmin(1)
        return [self._script(texts[n], [b[n] for b in back], int(last[n])) for n in range(len(texts))]

    def _script(self, text: Ints, back: list[Ints], state: int) -> Script:
        found: list[Script] = []
        for token, before in zip(text[::-1].tolist(), back[::-1], strict=True):
            found.append(self.how(token, int(before[state]), state))
            state = int(before[state])
        return [step for part in [self._inserts(0, state), *found[::-1]] for step in part]

    def _how(self, token: int, before: int, after: int) -> Script:
        """What happens while a token is read: a match, a substitution or a token too many, then what was left out."""
        through = int(self.through[token, before, after])
        cost = self.read[token, before, through]
        if cost == self.exactly[token, before, through]:
            step = Step(token, token)
        elif cost == self.anything[before, through]:
            step = Step(token, int(self.likeliest[before, through]))
        else:
            step = Step(token, None)
        return [step, *self._inserts(through, after)]

    def _inserts(self, state: int, after: int) -> Script:
        found = []
        while state != after:
            following = int(self.next[state, after])
            found.append(Step(None, int(self.likeliest[state, following])))
            state = following
        return found


def _shortest(cost: Floats) -> tuple[Floats, Ints]:
    """Costs of the shortest paths between all states, and the first state on each (Floyd & Warshall)."""
    following = np.broadcast_to(np.arange(len(cost)), cost.shape).copy()
    for k in range(len(cost)):
        through = cost[:, k, None] + cost[k]
        following = np.where(through < cost, following[:, k, None], following)
        cost = np.minimum(cost, through)
    return cost, following


def _product(read: Floats, inserted: Floats) -> tuple[Floats, Ints]:
    """Least sums over the state between a reading and what is inserted, and that state: [V, S, S] both."""
    total, through = np.empty_like(read), np.empty(read.shape, np.int64)
    for token, cost in enumerate(read):
        ways = cost[:, :, None] + inserted
        total[token], through[token] = ways.min(1), ways.argmin(1)
    return total, through
