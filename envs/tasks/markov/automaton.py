"""An order-2 automaton: which token may follow depends on the two before it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqil import Prefixes, Vocabulary

from ..base import counters
from ..base.markov import MarkovTask
from ..base.sampled import CHUNK, Chunk, with_splits


class Automaton(MarkovTask):
    """Texts of a fixed horizon from an order-2 Markov law with partial support, so that an error is a fact.

    - **Tokens**: 15 and `eos` (id 15), V = 16.
    - **Law**: each token has 6 successors; each pair of tokens (a, b) allows 3 successors of b, with three
      different probabilities of at least 2/23. The tables are drawn once and for all.
    - **Prompt**: 2 tokens, the second a successor of the first. **Text**: `horizon` tokens, then `eos`.
    - **Teacher**: exact everywhere. After an error it goes on with the law of the last two tokens, whatever they are.
    - **First error**: the first token that the two before it do not allow. **Success**: there is none, and `eos`.
    - **Confusions**: the successors of the last token that the pair does not allow: wrong only to who remembers two.

    Args:
        horizon: tokens per text.
    """

    name = "automaton"
    vocabulary = Vocabulary(size=16, eos=15)

    def __init__(self, horizon: int = 64) -> None:
        self.successors, self.weights = _tables()
        super().__init__(torch.from_numpy(self.weights / np.maximum(self.weights.sum(-1, keepdims=True), 1)), horizon)

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.max_length, seed, number)

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the three successors of the last token that the pair does not allow."""
        follows = torch.from_numpy(self.successors).to(prefixes.tokens.device)[self.contexts(prefixes)[:, 1]]
        return (follows & (self.rows(prefixes) == 0)).float()


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Successors, bool [16, 16], and integer weights of the law, [16, 16, 16]."""
    successors = np.zeros((16, 16), dtype=bool)
    weights = np.zeros((16, 16, 16), dtype=np.int64)
    for b in range(15):
        follows = counters.shuffled(15, "automaton", "successors", b)[:6]
        successors[b, follows] = True
        for a in range(15):
            allowed = follows[counters.shuffled(6, "automaton", "allowed", a, b)[:3]]
            # Three different weights out of 2 … 11: the smallest share is 2 / (2 + 11 + 10).
            weights[a, b, allowed] = 2 + counters.shuffled(10, "automaton", "weights", a, b)[:3]
    return successors, weights


@lru_cache(maxsize=64)
def _chunk(horizon: int, seed: int, number: int) -> Chunk:
    successors, weights = _tables()
    follows = np.stack([np.flatnonzero(successors[b]) for b in range(15)])
    draws = counters.words("automaton", "text", horizon, seed, number, shape=(CHUNK, 2 + horizon))
    texts = np.empty(draws.shape, dtype=np.int64)
    texts[:, 0] = draws[:, 0] % np.uint64(15)
    texts[:, 1] = follows[texts[:, 0], (draws[:, 1] % np.uint64(6)).astype(np.int64)]
    for t in range(2, 2 + horizon):
        texts[:, t] = counters.choices(weights[texts[:, t - 2], texts[:, t - 1]], draws[:, t])
    return with_splits("automaton", texts, eos=15)
