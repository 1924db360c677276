"""Rules with a name, which is what tables and keys of records know them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors.arguments import check_fields
from .constrained.constraints import Constrained, Standing
from .interface import Policy, Warp


@dataclass(frozen=True)
class NamedRule:
    """What the functions of `seqil.decoding` return; equal if the names are.

    Attributes:
        name: with all arguments.
        begin: as in `Rule`.
        forwards: lengths of prefixes -> positions that the warp feeds to the model at each, both int64.
        forbids: a rollout with it forbids what was deleted, as the memory `tried` does; its warp does nothing.
        allows: of a rule that constrains the text that stands, see `seqil.decoding.constrained.constraints`; else None.
    """

    name: str
    begin: Callable[[Policy], Warp] = field(compare=False)
    forwards: Callable[[Tensor], Tensor] = field(default=torch.zeros_like, compare=False)
    forbids: bool = False
    allows: Callable[[Policy], Callable[[Standing], Tensor]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_fields(self, wide=True)

    @classmethod
    def constraint(cls, name: str, allows: Callable[[Policy], Callable[[Standing], Tensor]]) -> NamedRule:
        """One that is a matter of what may be written, before all rules that choose."""
        rule = cls(name, lambda policy: Constrained(policy, [rule]), allows=allows)
        return rule

    def __repr__(self) -> str:
        return self.name
