"""Weighted LL(1) grammars whose nesting is bounded: what a pushdown automaton would do, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from seqil.errors import InvalidInputError

from .sampled import Ints

Grammar = Mapping[str, Sequence[tuple[int, str]]]
"""Nonterminal -> weighted right-hand sides, symbols separated by spaces; what is no key is a token."""
Stack = tuple[str, ...]
"""What is still to be read, the next symbol first."""

NEVER = 1 << 30
"""`need` of a token that the grammar does not allow."""


class Table(NamedTuple):
    """The automaton: S states, one for each stack. In state 0 nothing is left to read; 1, 2, … are where it starts.

    Attributes:
        weights: int64 [S, tokens], proportional to the probability of each token; 0 where it is wrong.
        after: int64 [S, tokens], the state after a token; after a wrong one the same as before.
        need: int64 [S, tokens], fewest tokens that complete the text after a token; `NEVER` after a wrong one.
    """

    weights: Ints
    after: Ints
    need: Ints


def compile_grammar(grammar: Grammar, tokens: str, starts: Sequence[Stack], closing: str, depth: int) -> Table:
    """All that can happen from some stacks on.

    Args:
        grammar: LL(1), and every text ends with a token that is on the stack before.
        tokens: a character for each id.
        starts: stacks.
        closing: tokens that each close a pair; as many as are on the stack are open.
        depth: most open pairs; right-hand sides that would open more are left out, the others share their weight.

    Raises:
        InvalidInputError: the grammar is not LL(1).
    """
    states: dict[Stack, int] = {stack: i for i, stack in enumerate([(), *starts])}
    moves: list[dict[str, tuple[Fraction, Stack]]] = []
    waiting = [*states]
    for stack in waiting:
        moves.append(_moves(grammar, stack, closing, depth))
        for _, new in moves[-1].values():
            if new not in states:
                states[new] = len(states)
                waiting.append(new)
    weights = np.zeros((len(states), len(tokens)), dtype=np.int64)
    after = np.tile(np.arange(len(states))[:, None], len(tokens))
    for state, found in enumerate(moves):
        scale = lcm(*(share.denominator for share, _ in found.values()))
        for token, (share, stack) in found.items():
            weights[state, tokens.index(token)] = share * scale
            after[state, tokens.index(token)] = states[stack]
    return Table(weights, after, _need(weights, after))


def _moves(grammar: Grammar, stack: Stack, closing: str, depth: int) -> dict[str, tuple[Fraction, Stack]]:
    """Probability of each next token, and the stack after it."""
    if not stack:
        return {}
    top, rest = stack[0], stack[1:]
    if top not in grammar:
        return {top: (Fraction(1), rest)}
    sides = [(weight, (*side.split(), *rest)) for weight, side in grammar[top]]
    sides = [(weight, side) for weight, side in sides if sum(symbol in closing for symbol in side) <= depth]
    total = sum(weight for weight, _ in sides)
    found: dict[str, tuple[Fraction, Stack]] = {}
    for weight, side in sides:
        for token, (share, after) in _moves(grammar, side, closing, depth).items():
            if token in found:
                raise InvalidInputError(f"the grammar is not LL(1): {top} may begin with {token} in two ways")
            found[token] = share * Fraction(weight, total), after
    return found


def _need(weights: Ints, after: Ints) -> Ints:
    shortest = np.full(len(weights), NEVER)
    shortest[0] = 0
    while True:
        need = np.where(weights > 0, shortest[after], NEVER)
        found = np.minimum(shortest, need.min(1) + 1)
        if (found == shortest).all():
            return need
        shortest = found
