"""What was tried, along whole trajectories: states and legality of a memory that forbids, without a loop over steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import typed
from .memory import PREFIX, History, Memory, Tried, choices_at_prompt
from .prefix import Prefixes
from .trajectory import Trajectories
from .tree import PrefixTree, pack


@dataclass(frozen=True, eq=False)
class Bans:
    """The tokens that are not legal at the states that a deletion leads to, because they were deleted from there.

    Attributes:
        row, time: int64 [K], the state of that row before action `time` (`lengths` of the row: the final state).
        token: int64 [K].
    """

    row: Tensor
    time: Tensor
    token: Tensor

    @classmethod
    def of(cls, trajectories: Trajectories, tree: PrefixTree | None = None) -> Bans:
        """All of them, sorted by the prefix that they belong to and by time; `tree` is `pack` of the trajectories."""
        t = trajectories
        tree = pack(t.vocabulary, t) if tree is None else tree
        row, step, at, token = _deletions(t, tree)
        _, count = _since_forgotten(t, row, at)
        entry = torch.arange(len(row), device=row.device).repeat_interleave(count)
        earlier = torch.arange(len(entry), device=row.device) - (count.cumsum(0) - count)[entry]
        return cls(row[entry], step[entry] + 1, token[entry - earlier])

    def at_steps(self, trajectories: Trajectories) -> tuple[Tensor, Tensor, Tensor]:
        """Row, step and token of what is not legal before each of T steps, int64 [K']; padding is the final state."""
        T = trajectories.actions.shape[1]
        last = self.time == trajectories.lengths[self.row]  # these hold from there on
        times = torch.where(last, T - self.time, 1)
        entry = torch.arange(len(times), device=times.device).repeat_interleave(times)
        later = torch.arange(len(entry), device=times.device) - (times.cumsum(0) - times)[entry]
        return self.row[entry], self.time[entry] + later, self.token[entry]

    def check(self, trajectories: Trajectories, actions: Tensor | None = None, counted: Tensor | None = None) -> None:
        """Refuse actions that are among them.

        Args:
            trajectories: whose they are.
            actions: int64 [B, T]; None: those that were taken.
            counted: bool [B, T], where they matter; None: everywhere inside.

        Raises:
            InvalidInputError: naming the row and the step.
        """
        t = trajectories
        actions, counted = (
            t.actions if actions is None else actions,
            t.inside if counted is None else counted & t.inside,
        )
        if not len(self.row) or not actions.shape[1]:
            return
        step = self.time.clamp(max=actions.shape[1] - 1)
        wrong = (self.time < t.lengths[self.row]) & counted[self.row, step] & (actions[self.row, step] == self.token)
        if wrong.any():
            row, at, token = (int(x[wrong][0]) for x in (self.row, self.time, self.token))
            raise InvalidInputError(
                f"row {row}, step {at}: action {token} is illegal: it was deleted from there, and the memory 'tried' "
                "forbids it; make the trajectories with this memory, or read them with memory='prefix'"
            )


def legal_along(trajectories: Trajectories, backspace: bool, memory: Memory) -> Tensor:
    """`Trajectories.legal_actions` under a memory: bool [B, T, A]; in padding, at the final state."""
    t = trajectories
    legal = t.legal_actions(backspace)
    if not memory.forbids or not legal.shape[1]:
        return legal
    legal[Bans.of(t).at_steps(t)] = False
    return legal


@typed
def states_before(trajectories: Trajectories, rows: Tensor, steps: Tensor, memory: Memory = PREFIX) -> Prefixes:
    """The states of a memory before given steps of given rows (int64 [K] each): K rows."""
    states = trajectories.before(rows, steps)
    if memory.rewinds and not memory.forbids:
        return states
    t = trajectories.until(rows, steps)
    history = None if memory.rewinds else _history(t)
    return replace(states, tried=_tried(t) if memory.forbids else None, history=history)


def _history(t: Trajectories) -> History:
    """All that each row has done."""
    v, p = t.vocabulary, t.prompt_lengths[:, None]
    cells = torch.cat([t.prompts, t.prompts.new_full(t.actions.shape, v.size)], 1)
    at = torch.where(t.inside, p + torch.arange(t.actions.shape[1], device=p.device), cells.shape[1])
    cells = torch.nn.functional.pad(cells, (0, 1), value=v.size).scatter(1, at, t.actions)[:, :-1]
    return History(cells, p[:, 0] + t.lengths)


def _tried(t: Trajectories) -> Tried:
    """What was tried on the way to the final state of each row."""
    tree = pack(t.vocabulary, t)
    row, step, at, token = _deletions(t, tree)
    latest, count = _since_forgotten(t, row, at)
    stands = at <= tree.node_at[row, -1]
    stands &= tree.node_at[row, -1] < tree.deleted_at[row, at]
    # Of the deletions that led back to a prefix, the last says how many of them are remembered.
    remembered = stands & (latest - torch.arange(len(row), device=row.device) < count[latest])
    row, at, token, step = (x[remembered] for x in (row, at, token, step))
    order = (row * t.actions.shape[1] + step).argsort()
    row, at, token = row[order], at[order], token[order]
    slot = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    found = Tried.nothing(len(t), int(slot.max()) + 1 if len(slot) else 0, row.device)
    depth = tree.depth[row, at] + 1 - t.prompt_lengths[row]
    return Tried(found.tokens.index_put((row, slot), token), found.places.index_put((row, slot), depth))


def _deletions(t: Trajectories, tree: PrefixTree) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row and step of every deletion, the node that it led back to and the token, int64 [K]; by row, node and time."""
    row, step = (t.inside & (t.actions == t.vocabulary.backspace)).nonzero(as_tuple=True)
    at, token = tree.node_at[row, step + 1], tree.tokens[row, tree.node_at[row, step]]
    order = (row * tree.tokens.shape[1] + at).argsort(stable=True)
    return row[order], step[order], at[order], token[order]


def _since_forgotten(t: Trajectories, row: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """For sorted deletions the last one that led back to the same node, and how many are remembered after each."""
    key = row * (int(at.max()) + 1 if len(at) else 1) + at
    rank = torch.arange(len(key), device=key.device) - torch.searchsorted(key, key)
    count, choices = rank + 1, choices_at_prompt(t.vocabulary.size, t.min_length)
    if choices is not None:
        count = torch.where(at == t.prompt_lengths[row] - 1, count % choices, count)
    return torch.searchsorted(key, key, right=True) - 1, count
