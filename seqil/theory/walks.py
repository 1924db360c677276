"""The walk of a value on an enumerated tree of prefixes: its matrix, its stationary law, and the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import of_arrays
from ..mdp.prefix import Prefixes
from .enumeration import Floats, PrefixTable, prefix_table

Reward = Callable[[Sequence[int], Sequence[int]], float]
"""(prompt, text) -> what a text, `eos` included, is worth: not negative; 1 for a right one, 0 for others, say."""


@of_arrays
def undeleted(table: PrefixTable) -> Floats:
    """Law of the next token given that none is deleted: [S, V], ended rows zero."""
    law = table.law[:, :-1] * ~table.ended[:, None]
    total = law.sum(1, keepdims=True)
    found: Floats = np.divide(law, total, out=np.zeros_like(law), where=total > 0)
    return found


@of_arrays
def exact_values(table: PrefixTable, worth: Floats) -> Floats:
    """Expected worth of the text that is finished from each prefix, without deletions: [S].

    Args:
        table: of a policy.
        worth: of each prefix that has ended, [S]; others are not read.
    """
    law, values = undeleted(table), np.where(table.ended, worth, 0.0)
    for s in reversed(np.flatnonzero(~table.ended)):
        values[s] = law[s] @ values[table.child[s]]
    return values


@of_arrays
def tilted(table: PrefixTable, worth: Floats) -> Floats:
    """The law that the walk is for, the policy's own texts, without deletions, times their worth: [S]."""
    law, reached = undeleted(table), np.zeros(len(table.texts))
    reached[0] = 1.0
    for s in np.flatnonzero(~table.ended):
        tokens = np.flatnonzero(law[s])
        reached[table.child[s, tokens]] += reached[s] * law[s, tokens]
    target = reached * table.ended * worth
    if not target.sum():
        raise InvalidInputError("no text that the policy can write is worth anything")
    found: Floats = target / target.sum()
    return found


@of_arrays
def walk(table: PrefixTable, values: Floats) -> Floats:
    """Matrix of the walk that never stops: [S, S], rows to columns. From the end of a text it goes back.

    A prefix `s` leads to `s x` with weight `pi(x|s) V(s x)` and to its parent with `V(s)`. Each edge then weighs the
    same from both sides, once the weights of `s` are multiplied by the probability of `s`: the walk is reversible, and
    at the ends of texts its stationary law is `tilted`, whatever the values are before the ends.
    """
    law, matrix = undeleted(table), np.zeros((len(values), len(values)))
    for s in range(len(values)):
        tokens = np.flatnonzero(law[s])
        matrix[s, table.child[s, tokens]] = law[s, tokens] * values[table.child[s, tokens]]
        if s:
            matrix[s, table.parent[s]] = values[s]
    total = matrix.sum(1, keepdims=True)
    found: Floats = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return found


@dataclass(frozen=True)
class TableValues:
    """Exact values for `seqil.decoding.value_walk`, by look-up.

    Attributes:
        own: prompt and text -> value.
        size: of the vocabulary.
    """

    own: Mapping[tuple[int, ...], float]
    size: int

    @classmethod
    def of(
        cls,
        policy: Any,
        prompts: Sequence[Sequence[int]],
        reward: Reward,
        *,
        max_length: int,
        min_length: int = 0,
        limit: int = 100_000,
    ) -> TableValues:
        """Enumerate what a policy can write after some prompts.

        Args:
            policy: with `vocabulary` and `log_probs(prefixes)`.
            prompts: all that will be asked for.
            reward: of finished texts.
            max_length, min_length, limit: of `prefix_table`.

        Raises:
            InvalidInputError: more prefixes than the limit.
        """
        own: dict[tuple[int, ...], float] = {}
        for prompt in {tuple(prompt) for prompt in prompts}:
            table = prefix_table(policy, list(prompt), max_length=max_length, min_length=min_length, limit=limit)
            pairs = zip(table.texts, table.ended, strict=True)
            worth = np.array([float(reward(prompt, text)) if ended else 0.0 for text, ended in pairs])
            values = exact_values(table, worth).tolist()
            own |= {(*prompt, *text): value for text, value in zip(table.texts, values, strict=True)}
        return cls(own, policy.vocabulary.size)

    def __call__(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """The values of states and of what follows them: float64 [K] and [K, V]."""
        texts = [tuple(text) for text in prefixes.texts(prompt=True)]
        unknown = next((text for text in texts if text not in self.own), None)
        if unknown is not None:
            raise InvalidInputError(f"the prefix {list(unknown)} was not enumerated; give its prompt to TableValues.of")
        after = [[self.own.get((*text, token), 0.0) for token in range(self.size)] for text in texts]
        own = torch.tensor([self.own[text] for text in texts], dtype=torch.float64)
        return own, torch.tensor(after, dtype=torch.float64)
