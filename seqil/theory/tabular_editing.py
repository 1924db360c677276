"""A tabular editor whose chain on texts is reversible, so that its stationary law is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InvalidInputError
from ..errors.arguments import on_one_line, typed
from ..errors.limits import check_memory
from .exact import Floats, Ints


@typed
def editing_law(scores: Floats, beta: float) -> Floats:
    """What `pi(e | x)` proportional to `exp(beta (f(x.e) - f(x)))` over all substitutions of one token comes to.

    With `Z(x)` the sum of those weights the chain is in detailed balance with `Z(x) exp(2 beta f(x))`: there
    `law(x) P(x, y)` is `exp(beta (f(x) + f(y)))`, alike in both directions. So a cold editor goes to and fro between
    the two neighbours of the largest sum, and the best text need not be among them. Over two tokens the chain has
    period 2: it keeps the law, and comes there only if it now and then stays.

    Args:
        scores: f of all texts, [V, …, V], a dimension per cell; tokens that are never written are left out.
        beta: of the editor; 0: substitutions alike, and a uniform law.

    Returns:
        The stationary law: float64 [V, …, V].

    Raises:
        InvalidInputError: dimensions that differ, fewer than two tokens, or numbers that are not finite.
    """
    f = _scores_of("editing_law", scores, beta)
    log_z = np.full(f.shape, -np.inf)
    for after in _neighbours(f):
        log_z = np.logaddexp(log_z, beta * (after - f))
    log_law = log_z + 2 * beta * f
    weights = np.exp(log_law - log_law.max())
    law: Floats = weights / weights.sum()
    return law


@typed
def editing_chain(scores: Floats, beta: float) -> Floats:
    """The matrix of the editor of `editing_law`: float64 [S, S] over all texts, in the order of `scores.reshape(-1)`.

    Args:
        scores: as of `editing_law`.
        beta: of the editor.

    Raises:
        InvalidInputError: as of `editing_law`, and more texts than fit into memory.
    """
    f = _scores_of("editing_chain", scores, beta)
    S = f.size
    check_memory(2 * 8 * S * S, f"editing_chain: a chain on {S:,} texts", "take fewer cells or tokens")
    number: Ints = np.arange(S).reshape(f.shape)
    logits = np.full((S, S), -np.inf)
    for to in _neighbours(number):
        logits[number, to] = beta * (f.reshape(-1)[to] - f)
    weights = np.exp(logits - logits.max(1, keepdims=True))
    matrix: Floats = weights / weights.sum(1, keepdims=True)
    return matrix


def _neighbours(of_texts: Any) -> Iterator[Any]:
    """What an array of all texts says of the text after each substitution, one kind of them after another."""
    for cell, size in enumerate(of_texts.shape):
        for shift in range(1, size):
            yield np.roll(of_texts, shift, cell)


def _scores_of(where: str, scores: Any, beta: float) -> Floats:
    try:
        found: Floats = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(())
    if found.ndim < 1 or len(set(found.shape)) > 1 or found.shape[0] < 2:
        got = found.shape if found.ndim else on_one_line(scores, 60)
        raise InvalidInputError(
            f"{where}: scores are [V, …, V], a dimension for each cell and two tokens at least; got {got}"
        )
    if not (np.isfinite(found).all() and math.isfinite(beta)):
        raise InvalidInputError(f"{where}: beta or a score is not finite; give numbers")
    return found
