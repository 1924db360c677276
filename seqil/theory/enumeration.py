"""The exact law of what a policy writes, by enumeration of every prefix that it can reach.

For any policy that sees the prefix and nothing else: a table, or a small model on a small alphabet. There are up to
`V ** max_length` prefixes; students of the last symbols only have `exact.final_text_law`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..errors.arguments import check_count, typed
from ..mdp.prefix import start, transition
from ..models.modes import evaluating

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_GONE = 1e-20
"""Mass that changes no sum any more."""


@dataclass(frozen=True)
class PrefixTable:
    """All prefixes that a policy can reach from one prompt; parents come before their children.

    Attributes:
        texts: the generated tokens of each, `eos` included.
        law: float64 [S, A], probabilities of the actions; backspace last.
        child: int64 [S, V], the prefix after each token; the prefix itself where the token has probability 0.
        parent: int64 [S], the prefix after a deletion; the root is its own.
        ended: bool [S].
    """

    texts: list[tuple[int, ...]]
    law: Floats
    child: Ints
    parent: Ints
    ended: NDArray[np.bool_]

    def deletion(self) -> Floats:
        """`K`: chance that the last token of each prefix is ever deleted, without a budget of actions: [S].

        `K(s) = pi(backspace | s) / (1 - sum_x pi(x | s) K(s x))`.
        """
        K, pop = np.zeros(len(self.texts)), self.law[:, -1]
        for s in reversed(range(len(self.texts))):
            if not self.ended[s] and pop[s] > 0:
                K[s] = pop[s] / (1 - self.law[s, :-1] @ K[self.child[s]])
        return K

    def kernel(self) -> Floats:
        """Law of the next token of the final text, given that the prefix stands for ever: [S, V], ended rows zero.

        Proportional to `pi(x | s) (1 - K(s x))`: without a budget, a policy that deletes writes like one that does not.
        """
        staying = self.law[:, :-1] * (1 - self.deletion()[self.child]) * ~self.ended[:, None]
        total = staying.sum(1, keepdims=True)
        kernel: Floats = np.divide(staying, total, out=np.zeros_like(staying), where=total > 0)
        return kernel

    def final(self) -> Floats:
        """Probability that each text is the final one, without a budget of actions: [S], zero where not ended."""
        kernel, reached = self.kernel(), np.zeros(len(self.texts))
        reached[0] = 1.0
        for s in np.flatnonzero(~self.ended):
            tokens = np.flatnonzero(kernel[s])
            reached[self.child[s, tokens]] += reached[s] * kernel[s, tokens]
        return reached * self.ended

    @typed
    def within(self, max_actions: int) -> tuple[Floats, float]:
        """Where the policy stands after at most `max_actions` actions, and how many it took on average.

        Returns:
            Probability of each text, [S], truncated ones (not ended) included; expected actions, `eos` included.
        """
        check_count("within", "max_actions", max_actions)
        at, actions = np.zeros(len(self.texts)), 0.0
        at[0] = 1.0
        for _ in range(max_actions):
            running = at * ~self.ended
            if running.sum() < _GONE:
                break
            actions += float(running.sum())
            at = at * self.ended
            np.add.at(at, self.child, running[:, None] * self.law[:, :-1])
            np.add.at(at, self.parent, running * self.law[:, -1])
        return at, actions

    def repetition(self) -> Floats:
        """Chance that the last token of each prefix, just deleted, is the next token to be written there: [S].

        That is if one is written there next; a policy that sees the prefix alone does not know what was deleted.
        """
        token = np.array([text[-1] if text else 0 for text in self.texts])
        written = self.law[self.parent, :-1].sum(1)
        again = self.law[self.parent, token] * (np.arange(len(self.texts)) > 0)
        found: Floats = np.divide(again, written, out=np.zeros_like(again), where=written > 0)
        return found

    @typed
    def tried(self, limit: int = 1_000_000) -> TriedTable:
        """The same policy where what was deleted from a prefix is not written there again (memory `tried`).

        Args:
            limit: of states, that is of prefixes with a set of tokens.

        Raises:
            InvalidInputError: more states than the limit.
        """
        possible = [np.flatnonzero(row) for row in self.law[:, :-1]]
        if sum(2.0 ** len(tokens) for tokens in possible) > limit:
            raise InvalidInputError(f"more than {limit} prefixes with what was tried there; take fewer tokens")
        visits, leaving = np.zeros((len(self.texts), self.law.shape[1] - 1)), np.zeros(len(self.texts))
        for s in reversed(np.flatnonzero(~self.ended)):
            tokens = possible[s]
            back = leaving[self.child[s, tokens]]
            visits[s, tokens], leaving[s] = _stay(self.law[s, tokens], float(self.law[s, -1]), back)
        return TriedTable(self, visits, leaving)


@dataclass(frozen=True)
class TriedTable:
    """What becomes of each prefix where what was deleted from it is not written there again.

    What was tried at a prefix is forgotten when the prefix itself is deleted, so a stay there depends on nothing that
    came before it.

    Attributes:
        table: the prefixes.
        visits: float64 [S, V], chance that each token is written at a prefix before the prefix is deleted; where
            nothing else is left, what was tried is forgotten, and this is the expected number of times.
        leaving: float64 [S], chance that the last token of each prefix is ever deleted.
    """

    table: PrefixTable
    visits: Floats
    leaving: Floats

    def reached(self) -> Floats:
        """Expected number of times that each prefix is written, 1 for the prompt: [S]."""
        reached = np.zeros(len(self.leaving))
        reached[0] = 1.0
        for s in np.flatnonzero(~self.table.ended):
            tokens = np.flatnonzero(self.visits[s])
            reached[self.table.child[s, tokens]] = reached[s] * self.visits[s, tokens]
        return reached

    def final(self) -> Floats:
        """Probability that each text is the final one, without a budget of actions: [S], zero where not ended."""
        return self.reached() * self.table.ended

    def actions(self) -> float:
        """Expected actions without a budget, `eos` included."""
        return float((self.reached() * (1 + self.leaving))[1:].sum())


def _stay(law: Floats, pop: float, back: Floats) -> tuple[Floats, float]:
    """What happens at a prefix from its writing to its deletion, by all sets of tokens that may have been tried.

    Args:
        law: probability of each of n tokens where nothing was tried: [n].
        pop: that of a deletion.
        back: chance that each token is deleted once it is written: [n].

    Returns:
        Expected number of times that each token is written, [n]; chance of the deletion.
    """
    bits = 1 << np.arange(len(law))
    at, visits, leaving = np.zeros(2 ** len(law)), np.zeros(len(law)), 0.0
    at[0] = 1.0
    for tried in range(len(at)):
        left = np.where(tried & bits, 0.0, law)
        total = left.sum() + pop  # not 1 less what was tried: most of the mass may have been
        if at[tried] and total:
            written = at[tried] * left / total
            visits += written
            leaving += at[tried] * pop / total
            new = left > 0
            at[tried | bits[new]] += (written * back)[new]
    again = 1 - (0.0 if pop else float(at[-1]))
    return visits / again, leaving / again


@typed
@torch.no_grad()
def prefix_table(
    policy: Any, prompt: list[int], *, max_length: int, min_length: int = 0, limit: int = 100_000
) -> PrefixTable:
    """Ask a policy at every prefix that it can reach.

    Args:
        policy: with `vocabulary` and `log_probs(prefixes)`, such as `TokenPolicy`.
        prompt: tokens that cannot be deleted.
        max_length: most generated tokens.
        min_length: fewest before `eos`.
        limit: of prefixes.

    Raises:
        InvalidInputError: bad prompt or lengths, or more prefixes than the limit.
    """
    v, level = policy.vocabulary, start(policy.vocabulary, [prompt], max_length, min_length)
    texts: list[tuple[int, ...]] = []
    laws, children, parents, ended = [], [], [np.zeros(1, dtype=np.int64)], []
    with evaluating(policy):
        while len(level):
            first = len(texts)
            texts += map(tuple, level.texts())
            if len(texts) > limit:
                raise InvalidInputError(f"more than {limit} prefixes; take fewer tokens or a smaller max_length")
            law = policy.log_probs(level).double().exp().cpu()
            laws.append(law.numpy())
            ended.append(level.ended.cpu().numpy())
            rows, tokens = ((law[:, :-1] > 0) & ~level.ended.cpu()[:, None]).nonzero(as_tuple=True)
            child = np.tile(np.arange(first, len(texts))[:, None], (1, v.size))
            child[rows.numpy(), tokens.numpy()] = len(texts) + np.arange(len(rows))
            children.append(child)
            parents.append(first + rows.numpy())
            level = transition(v, level.select(rows.to(level.length.device)), tokens)
    return PrefixTable(texts, *(np.concatenate(x) for x in (laws, children, parents, ended)))
