"""Rules about the text that stands: what they do not allow is not done, whatever the other rules say.

What such a rule allows is a function of the text alone. So it follows deletions by construction: after one, it is what
it was at the shorter text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...errors import InvalidInputError, counted
from ...mdp.memory import choices_at_prompt
from ...mdp.prefix import Prefixes
from ..interface import Policy, Rule, blamed


class Standing(NamedTuple):
    """One text in the middle of its writing.

    Attributes:
        prompt: its ids.
        text: the ids that were written and stand.
        max_length: most tokens of the text.
        min_length: fewest before `eos`.
    """

    prompt: list[int]
    text: list[int]
    max_length: int
    min_length: int

    def upto(self, length: int) -> Standing:
        """With the first tokens of the text alone."""
        return self._replace(text=self.text[:length])


class Constraint(Protocol):
    """A rule that has this beside `begin` is applied before all others, together with those of its kind."""

    def allows(self, policy: Policy, /) -> Callable[[Standing], Tensor]:
        """What gives the tokens, `eos` among them, that may follow a text: bool [V]. A deletion is not its business."""


def split(rules: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Those that constrain, and the others."""
    hard: list[Rule] = []
    others: list[Rule] = []
    for rule in rules:
        (others if getattr(rule, "allows", None) is None else hard).append(rule)
    return hard, others


class Constrained:
    """The warp of rules that constrain: the law of what all of them allow.

    Where what was tried is forbidden, a deletion that would lead to a text from which everything allowed has been tried
    is left out, if no shorter text is better: it could not be gone on from.

    Args:
        policy: of the rollout.
        rules: `Constraint`s.
    """

    def __init__(self, policy: Policy, rules: Sequence[Rule]) -> None:
        self.vocabulary, self.rules = policy.vocabulary, rules
        self.each = [rule.allows(policy) for rule in rules]  # type: ignore[attr-defined]  # `split` saw it

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        """What is not allowed at -inf."""
        allowed = torch.zeros(logits.shape, dtype=torch.bool)
        pushes, pops = logits[:, :-1].isfinite().cpu(), logits[:, -1].isfinite().tolist()
        for row, one in enumerate(_standing(prefixes)):
            allowed[row, :-1] = self._tokens(one) & pushes[row]
            allowed[row, -1] = pops[row] and (prefixes.tried is None or self._way_back(prefixes, row, one))
            if not allowed[row].any():
                raise InvalidInputError(
                    f"{' and '.join(map(str, self.rules))} leave nothing to do in row {int(rows[row])} after "
                    f"{counted(len(one.text), 'token')}; allow more, or another length"
                )
        return logits.masked_fill(~allowed.to(logits.device), -torch.inf)

    def _tokens(self, standing: Standing) -> Tensor:
        allowed = [self._of(rule, allows, standing) for rule, allows in zip(self.rules, self.each, strict=True)]
        return torch.stack(allowed).all(0)

    def _of(self, rule: Rule, allows: Callable[[Standing], Tensor], standing: Standing) -> Tensor:
        with blamed(rule):
            found = allows(standing)
        V = self.vocabulary.size
        if not isinstance(found, Tensor) or found.dtype != torch.bool or found.shape != (V,):
            raise InvalidInputError(f"rule {rule}: what it allows is {found!r:.60}; give a tensor of bool [{V}]")
        return found

    def _way_back(self, prefixes: Prefixes, row: int, standing: Standing) -> bool:
        """Whether a text that deletions lead to can be gone on from by something that was not tried there."""
        assert prefixes.tried is not None
        tokens, places = prefixes.tried.tokens[row].cpu(), prefixes.tried.places[row].cpu()
        choices = choices_at_prompt(self.vocabulary.size, standing.min_length)
        for length in reversed(range(len(standing.text))):
            tried = {*tokens[places == length].tolist(), standing.text[length]}
            if length == 0 and len(tried) == choices:  # all of them are forgotten then
                return True
            left = self._tokens(standing.upto(length))
            left[list(tried)] = False
            left[self.vocabulary.eos] &= length >= standing.min_length
            if bool(left.any()):
                return True
        return False


def _standing(prefixes: Prefixes) -> list[Standing]:
    whole = prefixes.texts(prompt=True)
    return [
        Standing(text[:n], text[n:], prefixes.max_length, prefixes.min_length)
        for text, n in zip(whole, prefixes.prompt_length.tolist(), strict=True)
    ]
