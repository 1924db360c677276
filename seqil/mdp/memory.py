"""What of its past the state of a policy that may delete holds.

Under `prefix` a state is the text that stands. Under `tried` it is that text and, for every prefix on the way to it,
the tokens that were deleted from there since that prefix was last reached by writing: they are not legal there again,
so that a deletion is a commitment, and no prefix is entered twice while those before it stand. Under `history` it is
every action so far, the backspace too, and that is what the model is fed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import check_known


@dataclass(frozen=True)
class Memory:
    """One of `PREFIX`, `TRIED` and `HISTORY`, which are `MEMORIES` by name.

    Attributes:
        name: as in files and on the command line.
        forbids: what was deleted from a prefix is not legal there again.
        rewinds: the model is fed the text that stands; if not, every action in order, at positions that are time.
    """

    name: str
    forbids: bool
    rewinds: bool

    @classmethod
    def of(cls, value: Memory | str) -> Memory:
        """Accept a memory or its name."""
        if isinstance(value, Memory):
            return value
        check_known("memory", value, MEMORIES)
        return MEMORIES[value]

    def empty(self, size: int) -> int:
        """What a cell of an observation holds where nothing is, in a vocabulary of `size` tokens."""
        return size if self.rewinds else size + 1

    def __str__(self) -> str:
        return self.name


PREFIX = Memory("prefix", forbids=False, rewinds=True)
TRIED = Memory("tried", forbids=True, rewinds=True)
HISTORY = Memory("history", forbids=False, rewinds=False)
MEMORIES = {memory.name: memory for memory in (PREFIX, TRIED, HISTORY)}


@dataclass(frozen=True, eq=False)
class Tried:
    """The tokens that were deleted on the way to each of B states: a stack per row, by depth and then by time.

    Attributes:
        tokens: int64 [B, S].
        places: int64 [B, S], how many generated tokens the prefix has that each was deleted from; -1 beyond the last.
    """

    tokens: Tensor
    places: Tensor

    @classmethod
    def nothing(cls, rows: int, room: int, device: torch.device) -> Tried:
        """Empty stacks with room for some tokens."""
        places = torch.full((rows, room), -1, device=device)
        return cls(torch.zeros_like(places), places)

    def here(self, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Row and token of all that was deleted from the prefixes of `generated` tokens that stand: int64 [K] each."""
        row, slot = (self.places == generated[:, None]).nonzero(as_tuple=True)
        return row, self.tokens[row, slot]

    def barred(self, legal: Tensor, generated: Tensor) -> Tensor:
        """`legal` (bool [B, A]) less what was deleted from the prefixes of `generated` tokens that stand: [B, A]."""
        A = legal.shape[1]
        banned = torch.where(self.places == generated[:, None], self.tokens, A)
        return pad(legal, (0, 1)).scatter(1, banned, False)[:, :A]

    def with_room(self) -> Tried:
        """The same with room for one more deletion in every row."""
        if self.places.shape[1] and not bool((self.places[:, -1] >= 0).any()):
            return self
        return Tried(pad(self.tokens, (0, 1)), pad(self.places, (0, 1), value=-1))

    def after(self, deleting: Tensor, token: Tensor, generated: Tensor, choices: int | None) -> Tried:
        """After the deletion of `token` where `deleting` is true; there must be room.

        Args:
            deleting: bool [B].
            token: int64 [B].
            generated: int64 [B], tokens that are left.
            choices: how many tokens are legal at a prompt, if `eos` is not: once all of them were tried they are
                forgotten, because nothing else could be done there. None: `eos` is legal.
        """
        stay = (self.places >= 0) & (self.places <= generated[:, None])
        slot = torch.arange(self.places.shape[1], device=token.device)
        new = slot == stay.sum(1, keepdim=True)
        places = torch.where(new, generated[:, None], torch.where(stay, self.places, -1))
        if choices is not None:
            places = torch.where(((places == 0).sum(1) == choices)[:, None], -1, places)
        rows = deleting[:, None]
        return Tried(torch.where(rows & new, token[:, None], self.tokens), torch.where(rows, places, self.places))


@dataclass(frozen=True, eq=False)
class History:
    """What B rows have done.

    Attributes:
        cells: int64 [B, N], the prompt and then every action; the backspace, too, from `length` on.
        length: int64 [B].
    """

    cells: Tensor
    length: Tensor

    def after(self, acting: Tensor, actions: Tensor, backspace: int) -> History:
        """After `actions` (int64 [B]) of the rows that are `acting`."""
        cells = self.cells
        if bool((self.length == cells.shape[1]).any()):
            cells = pad(cells, (0, 1), value=backspace)
        here = torch.arange(cells.shape[1], device=cells.device) == self.length[:, None]
        cells = torch.where(here & acting[:, None], actions[:, None], cells)
        return History(cells, self.length + acting.long())


def choices_at_prompt(size: int, min_length: int) -> int | None:
    """`choices` of `Tried.after` in a vocabulary of `size` tokens."""
    return size - 1 if min_length > 0 else None
