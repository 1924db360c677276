"""What a decoding rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..mdp.prefix import Prefixes
from ..policy.token_policy import TokenPolicy
from .constraints import Constrained, Standing

Warp = Callable[[Prefixes, Tensor, Tensor], Tensor]
"""(prefixes, rows, logits [B, A]) -> logits [B, A], called once per action of a row, with some of the rows.

`rows`, int64 [B], are their places in the batch that was asked for. They differ from call to call, and rows are at
different actions, so a warp that remembers does so by them. Logits are known up to a constant per row; the arguments
are not to be changed in place.
"""


class Rule(Protocol):
    """One way to reshape the law that is sampled from.

    A rule that feeds the model itself also has `forwards`, as `NamedRule` does, so that `metrics.cost` counts it.
    """

    def begin(self, policy: TokenPolicy, /) -> Warp:
        """The warp of one rollout, with a memory of its own if it needs one."""


@dataclass(frozen=True)
class NamedRule:
    """What the functions below return; equal if the names are.

    Attributes:
        name: with all arguments.
        begin: as in `Rule`.
        forwards: lengths of prefixes -> positions that the warp feeds to the model at each, both int64.
        forbids: a rollout with it forbids what was deleted, as the memory `tried` does; its warp does nothing.
        allows: of a rule that constrains the text that stands, see `seqil.decoding.constraints`; else None.
    """

    name: str
    begin: Callable[[TokenPolicy], Warp] = field(compare=False)
    forwards: Callable[[Tensor], Tensor] = field(default=torch.zeros_like, compare=False)
    forbids: bool = False
    allows: Callable[[TokenPolicy], Callable[[Standing], Tensor]] | None = field(default=None, compare=False)

    @classmethod
    def constraint(cls, name: str, allows: Callable[[TokenPolicy], Callable[[Standing], Tensor]]) -> NamedRule:
        """One that is a matter of what may be written, before all rules that choose."""
        rule = cls(name, lambda policy: Constrained(policy, [rule]), allows=allows)
        return rule

    def __repr__(self) -> str:
        return self.name
