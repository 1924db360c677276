"""A Markov law of any order with full support: nothing is impossible, so that errors are a matter of degree."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gammaincinv
from torch import Tensor

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.markov import contexts
from ..base.requests import check_range
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, with_splits

TOTAL, FLOOR = 10**6, 10**3
_CONTEXTS = 4096


class NGram(SampledTask):
    """Texts of a fixed horizon from a Markov law in which every token may follow every context.

    - **Tokens**: `size - 1` (ids 0, 1, …) and `eos` (id `size - 1`), V = `size`.
    - **Context**: the last `order` tokens. **Law**: a row for each context, drawn once and for all from the symmetric
      Dirichlet law, in millionths, on top of a floor of 1e-3 for each token.
    - **Prompt**: `order` tokens, uniform. **Text**: `horizon` tokens, then `eos`.
    - **Teacher**: exact everywhere; `eos` comes only at the horizon.
    - **First error**: none, since no token is impossible; `judged` is False, and so there is no survival and no
      precision of a backspace. What goes wrong is told by the laws: step errors, regret, KL of whole texts.
    - **Success**, **confusions**: none.
    - **Closed forms**: `chain` is what `seqil.exact` takes.

    Args:
        order: tokens that the next one depends on, at least 1; at most 4096 contexts, `(size - 1) ** order`.
        size: of the vocabulary, 3 to 64; 16 to 32 are meant.
        horizon: tokens per text; 16 to 512 are meant.
        concentration: of the Dirichlet law, 0.05 to 100; the smaller, the more peaked are the rows.
    """

    name = "ngram"

    def __init__(self, order: int = 2, size: int = 16, horizon: int = 64, concentration: float = 0.5) -> None:
        check_range(self.name, 1, horizon=horizon)
        check_range(self.name, 1, _CONTEXTS.bit_length(), order=order)
        check_range(self.name, 3, 64, size=size)
        check_range(self.name, 0.05, 100, concentration=concentration)
        if (size - 1) ** order > _CONTEXTS:
            raise InvalidInputError(
                f"ngram: order={order} and size={size} make {(size - 1) ** order} contexts, more than {_CONTEXTS}"
            )
        self.vocabulary = Vocabulary(size=size, eos=size - 1)
        self.order = self.prompt_tokens = order
        self.concentration = concentration
        self.max_length = self.min_length = horizon
        self.law = torch.from_numpy(_weights(order, size - 1, concentration) / TOTAL)
        """Float64 [contexts, V - 1]: a context is its tokens read as digits of base V - 1, the oldest first."""

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.order, self.vocabulary.eos, self.concentration, self.max_length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The law of the last tokens; `eos` with certainty at the horizon and after the end."""
        law = self.law.to(prefixes.tokens.device)[self._contexts(prefixes)]
        return self.ended(torch.nn.functional.pad(law, (0, 1)), prefixes)

    def chain(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Law of the prompt's context, float64 [S], and transition matrix of contexts, float64 [S, S].

        With these, `seqil.exact` says everything of texts of `horizon` steps: each step goes from context `s` to
        `(s * (V - 1) + x) mod S` with probability `law[s, x]`.
        """
        S, n = self.law.shape
        context = np.arange(S)[:, None]
        P = np.zeros((S, S))
        P[context, (context * n + np.arange(n)) % S] = self.law.numpy()
        return np.full(S, 1 / S), P

    def _contexts(self, prefixes: Prefixes) -> Tensor:
        powers = self.vocabulary.eos ** torch.arange(self.order - 1, -1, -1, device=prefixes.tokens.device)
        return (contexts(self, prefixes, self.order) * powers).sum(1)


@lru_cache(maxsize=8)
def _weights(order: int, n: int, concentration: float) -> Ints:
    """Integers [contexts, n] that sum to a million in each row.

    Gamma draws by inversion, normalised, are Dirichlet; what is lost by rounding down goes to the largest.
    """
    uniform = counters.words("ngram", "law", order, n, concentration, shape=(n**order, n)) >> np.uint64(11)
    gamma = gammaincinv(concentration, (uniform + 0.5) / 2**53)
    shares = gamma / gamma.sum(1, keepdims=True)
    weights: Ints = FLOOR + np.floor(shares * (TOTAL - n * FLOOR)).astype(np.int64)
    weights[np.arange(len(weights)), shares.argmax(1)] += TOTAL - weights.sum(1)
    return weights


@lru_cache(maxsize=64)
def _chunk(order: int, n: int, concentration: float, horizon: int, seed: int, number: int) -> Chunk:
    weights = _weights(order, n, concentration)
    draws = counters.words(
        "ngram", "text", order, n, concentration, horizon, seed, number, shape=(CHUNK, order + horizon)
    )
    texts = np.empty(draws.shape, dtype=np.int64)
    texts[:, :order] = draws[:, :order] % np.uint64(n)
    context = texts[:, :order] @ n ** np.arange(order - 1, -1, -1)
    for t in range(order, order + horizon):
        texts[:, t] = counters.choices(weights[context], draws[:, t])
        context = (context * n + texts[:, t]) % len(weights)
    return with_splits("ngram", texts, eos=n)
