"""What a decoding rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InvalidInputError, NonFiniteError, SeqilError, first_line
from ..mdp.prefix import Prefixes
from ..mdp.vocabulary import Vocabulary

Warp = Callable[[Prefixes, Tensor, Tensor], Tensor]
"""(prefixes, rows, logits [B, A]) -> logits [B, A], called once per action of a row, with some of the rows.

`rows`, int64 [B], are their places in the batch that was asked for. They differ from call to call, and rows are at
different actions, so a warp that remembers does so by them. Logits are known up to a constant per row; the arguments
are not to be changed in place.
"""


class Policy(Protocol):
    """What a rule may ask of the policy that is sampled from; `seqil.TokenPolicy` says more of each."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids."""

    @property
    def backspace(self) -> bool:
        """Whether it may delete."""

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""

    @property
    def mask_dtype(self) -> torch.dtype:
        """Of additive masks."""

    def log_probs(self, prefixes: Prefixes, /) -> Tensor:
        """Of all actions: [B, A], illegal ones -inf."""

    def hidden(self, tokens: Tensor, positions: Tensor, mask: Tensor, /) -> Tensor:
        """Last hidden states of tokens int64 [B, N] at positions int64 [B, N] by an additive mask: [B, N, D]."""


class Rule(Protocol):
    """One way to reshape the law that is sampled from.

    A rule that feeds the model itself also has `forwards`, as `NamedRule` does, so that `metrics.cost` counts it.
    """

    def begin(self, policy: Policy, /) -> Warp:
        """The warp of one rollout, with a memory of its own if it needs one."""


class Begun:
    """The warp of a rule for one rollout, by which a rule that is wrong is refused by its name.

    It hands the rule a copy of the logits: what is illegal is told by them.

    Args:
        rule: in question.
        warp: what its `begin` returned.

    Raises:
        InvalidInputError: when called: the rule fails, or returns anything but logits.
    """

    def __init__(self, rule: Rule, warp: Warp) -> None:
        self.rule, self.warp = rule, warp
        self._last: Tensor | None = None

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        """What the rule makes of logits [B, A]."""
        with blamed(self.rule):
            found = self.warp(prefixes, rows, logits.clone())
        if not isinstance(found, Tensor) or found.shape != logits.shape or not found.is_floating_point():
            raise InvalidInputError(f"rule {self.rule} returned {_shown(found)}; return logits, {_shown(logits)}")
        self._last = found.to(logits)
        return self._last

    @property
    def broken(self) -> bool:
        """Whether it has just returned NaN, or infinity where an action is to be certain."""
        return self._last is not None and not bool((self._last < torch.inf).all())


def begun(rule: Rule, policy: Policy) -> Begun:
    """The checked warp of a rule for one rollout.

    Raises:
        InvalidInputError: `begin` returns no function.
    """
    warp = rule.begin(policy)
    if not callable(warp):
        raise InvalidInputError(
            f"rule {rule}: begin(policy) returned {warp!r:.40}, not (prefixes, rows, logits) -> logits"
        )
    return Begun(rule, warp)


@contextmanager
def naming_broken(warps: Sequence[Warp]) -> Iterator[None]:
    """Name the rule that has broken logits in the error that says so."""
    try:
        yield
    except NonFiniteError as error:
        rule = next((warp.rule for warp in warps if isinstance(warp, Begun) and warp.broken), None)
        if rule is None:
            raise
        raise NonFiniteError(f"{error}: {rule}; leave it out, or give it other numbers") from None


@contextmanager
def blamed(rule: Rule) -> Iterator[None]:
    """Name the rule in what its code raises."""
    try:
        yield
    except (SeqilError, MemoryError):
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise InvalidInputError(f"rule {rule} failed: {type(error).__name__}: {first_line(error)}") from error


def _shown(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return f"a value of type {type(value).__name__}"
