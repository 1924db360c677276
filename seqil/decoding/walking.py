"""A value that walks: to a child or back to the parent, with the odds of what each is worth (arXiv 2510.03149)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import check_kind, typed_widely
from ..mdp.prefix import Prefixes, legal_actions, transition
from ..mdp.vocabulary import Vocabulary
from .interface import Policy
from .named_rules import NamedRule

Values = Callable[[Prefixes], tuple[Tensor, Tensor]]
"""K states -> the value of each, float [K], and of the text after each of its tokens, [K, V]: not negative, on one
scale, whatever stands for an illegal token. It may have `forwards`, as a rule has: the positions that it feeds."""


@typed_widely
def after_every_token(vocabulary: Vocabulary, value: Callable[[Prefixes], Tensor]) -> Values:
    """The values of a function of states, asked at every state and after every legal token of it.

    Args:
        vocabulary: the ids.
        value: K states -> float [K].
    """

    def values(prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        rows, tokens = legal_actions(vocabulary, prefixes, backspace=False)[:, :-1].nonzero(as_tuple=True)
        own = value(prefixes)
        after = own.new_zeros(len(prefixes), vocabulary.size)
        after[rows, tokens] = value(transition(vocabulary, prefixes.select(rows), tokens))
        return own, after

    return values


def value_walk(values: Values, name: str = "values") -> NamedRule:
    """Walk to a child or back to the parent with the odds of what each is worth: `pi(x|s) V(s x)` against `V(s)`.

    `pi` is the policy's law given that none is deleted; its own backspace is not asked. A state that is worth nothing,
    and has nothing of worth after it, is left by a deletion. With exact values the ends of texts come, in a walk that
    never stops, with the law `pi` times their worth (`seqil.theory.walks`); a rollout stops at the first end, which has
    that law where all texts are of one length, and nearly so elsewhere. As the rule that sets the weights it is put
    first; it is made in Python, since a value is no number.

    Args:
        values: exact ones (`seqil.theory.walks.TableValues`), a discriminator's (`agents.gail.DensityRatios`), or those
            of any function of states (`after_every_token`).
        name: of them, for the name of the rule.
    """
    if not callable(values):
        raise InvalidInputError(f"value_walk: {values!r} is no function of states; make the rule in Python")
    check_kind("value_walk", "name", name, str)
    fed = getattr(values, "forwards", torch.zeros_like)
    return NamedRule(f"value_walk({name})", lambda policy: _Walk(policy, values), fed)


def judged_walk(*, reader: Any = None) -> NamedRule:
    """Walk as `value_walk` does, where a text that the task's judge finds no error in is worth 1, another one nothing.

    It is what the exact teacher, going on from there, makes of a text, so of the teacher's law these values are exact:
    each step leads on or back with even odds, and a text of n actions without deletions takes n^2 on average. A policy
    that errs goes back oftener; its texts still come with its own law given that they are right.

    Args:
        reader: the task, which has a judge.
    """
    if not getattr(reader, "judged", False):
        raise InvalidInputError("judged_walk: there is no task with a judge of errors; take one, automaton say")

    def right(prefixes: Prefixes) -> Tensor:
        found: Tensor = ~reader.has_error(prefixes)
        return found.double()

    return NamedRule("judged_walk()", value_walk(after_every_token(reader.vocabulary, right)).begin)


class _Walk:
    """The warp of one rollout."""

    def __init__(self, policy: Policy, values: Values) -> None:
        if not policy.backspace:
            raise InvalidInputError("value_walk deletes, which this policy cannot; make it with backspace=True")
        self.values = values

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        """Log-weights: `pi(x|s) V(s x)` of tokens, `pi` given that none is deleted, and `V(s)` of the backspace."""
        own, after = (x.to(logits) for x in self.values(prefixes))
        worth = torch.cat([after, own[:, None]], 1)
        if bool(((worth < 0) | ~worth.isfinite())[logits > -torch.inf].any()):
            raise InvalidInputError(
                "value_walk: a value is negative or not finite; values are shares of what is wanted"
            )
        tokens = logits[:, :-1].log_softmax(-1)
        weights = torch.cat([tokens, torch.where(logits[:, -1:] > -torch.inf, 0.0, -torch.inf)], 1)
        walked = torch.where(logits > -torch.inf, weights + worth.log(), -torch.inf)
        lost = (walked == -torch.inf).all(1, keepdim=True)  # nothing here is worth anything: back
        return torch.where(lost, weights.masked_fill(_but_last(weights), -torch.inf), walked)


def _but_last(weights: Tensor) -> Tensor:
    mask = torch.ones_like(weights, dtype=torch.bool)
    mask[:, -1] = False
    return mask
