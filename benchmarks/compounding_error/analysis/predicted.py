"""What closed forms predict of clones: how rarely masked noise writes rare tokens, how a wrong model misses its law.

A clone that learns deletions from uniform mistakes writes by the teacher's law and deletes with the posterior chance of
a mistake, which is large for rare tokens: what stays is biased against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seqil import exact
from seqil.metrics import RARE
from seqil.theory.closed_forms import MisspecifiedCloning

Floats = exact.Floats


@dataclass(frozen=True)
class Rarity:
    """Texts of a fixed horizon from a Markov law with full support, after a uniform prompt.

    Attributes:
        law: float64 [contexts, n], the chance of each token; a context is its tokens as digits of base n, the oldest
            first, as in `envs.tasks.markov.ngram.NGram`.
        horizon: tokens per text; `eos` comes after them.
        below: the chance under which a token is rare.
    """

    law: Floats
    horizon: int
    below: float = RARE

    @property
    def teacher(self) -> float:
        """Share of rare tokens in the teacher's texts, `eos` counted among the tokens."""
        return self.cloned(0.0)

    def cloned(self, rate: float) -> float:
        """The same of the final texts of the population-optimal clone of masked uniform noise.

        Args:
            rate: probability of a mistake before a token, in [0, 1).
        """
        kept = 1 - self._deleted(self.deletion(rate))
        at = np.full(len(self.law), 1 / len(self.law))
        contexts, n = self.law.shape
        after = self._after()
        rare = 0.0
        for left in range(self.horizon, 0, -1):
            kernel = self.law * kept[left - 1].reshape(contexts, n)
            step = at[:, None] * kernel / kernel.sum(1, keepdims=True)
            rare += float(step[self.law < self.below].sum())
            at = np.bincount(after.ravel(), step.ravel(), minlength=contexts)
        return rare / (self.horizon + 1)

    def deletion(self, rate: float) -> Floats:
        """Chance that a token after a context is deleted at once: of a mistake, given the token: [contexts, n].

        Before each genuine token come `rate / (1 - rate)` mistakes on average, every other token alike.
        """
        mistakes = rate / (1 - rate) * (1 - self.law) / (self.law.shape[1] - 1)
        shares: exact.Floats = mistakes / (mistakes + self.law)
        return shares

    def _deleted(self, backspace: Floats) -> Floats:
        """Chance that a token is ever deleted, by the tokens left to write: [horizon + 1, contexts * n]."""
        following, b = self._after().ravel(), backspace.ravel()
        n = self.law.shape[1]
        states = following[:, None] * n + np.arange(n)
        return exact.deletion_law((1 - b)[:, None] * self.law[following], b, self.horizon, states, at_end=b)

    def _after(self) -> exact.Ints:
        """The context after each token: [contexts, n]."""
        contexts, n = self.law.shape
        after: exact.Ints = (np.arange(contexts)[:, None] * n + np.arange(n)) % contexts
        return after


COIN_HORIZONS = (10, 100, 1000, 10_000, 30_000)


@lru_cache(maxsize=1)
def coin_distances(horizons: Sequence[int] = COIN_HORIZONS) -> list[tuple[int, float, float]]:
    """Tokens, total variation of the cloned coin from the teacher, and the least of any coin."""
    cases = [MisspecifiedCloning(T) for T in horizons]
    return [(case.T, case.total_variation(case.cloned), case.best()[1]) for case in cases]
