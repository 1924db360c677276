"""An order-2 automaton: which token may follow depends on the two before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqil import Prefixes, Vocabulary

from . import randomness
from .base import check_range, foreign_prompt
from .sampled import CHUNK, Chunk, SampledTask, with_splits

_PROMPT = "two tokens or more, none of the last two eos"


class Automaton(SampledTask):
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
    prompt_tokens = 2

    def __init__(self, horizon: int = 64) -> None:
        check_range(self.name, 1, horizon=horizon)
        self.max_length = self.min_length = horizon
        self.successors, self.weights = _tables()
        law = self.weights / np.maximum(self.weights.sum(-1, keepdims=True), 1)
        self._allowed = (law > 0).tolist()
        self.law = torch.from_numpy(law)
        """Float64 [16, 16, 16]: probability of the last index after the first two; rows of `eos` are zero."""

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.max_length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """The law of the last two tokens; `eos` with certainty at the horizon and after the end."""
        return self.ended(self.law.to(prefixes.tokens.device)[self._pairs(prefixes)], prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that its two predecessors do not allow; a premature `eos` is one."""
        if len(prompt) < 2 or self.vocabulary.eos in prompt[-2:]:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        text = [*prompt, *tokens]
        for i in range(len(prompt), len(text)):
            if text[i] == self.vocabulary.eos and i - len(prompt) == self.max_length:
                return None
            if not self._allowed[text[i - 2]][text[i - 1]][text[i]]:
                return i - len(prompt)
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether the law forbids a token of the text."""
        self._check_prompts(prefixes)
        cells = prefixes.tokens.clamp(max=self.vocabulary.eos)
        forbidden = (self.law == 0).to(cells.device)[cells[:, :-2], cells[:, 1:-1], cells[:, 2:]]
        at = torch.arange(2, cells.shape[1], device=cells.device)
        first = prefixes.prompt_length[:, None]
        whole = (at - first == self.max_length) & (cells[:, 2:] == self.vocabulary.eos)
        return (forbidden & ~whole & (at >= first) & (at < prefixes.length[:, None])).any(1)

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """No error, and `eos` at the horizon."""
        whole = len(tokens) == self.max_length + 1 and tokens[-1] == self.vocabulary.eos
        return whole and self.first_error(prompt, tokens) is None

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the three successors of the last token that the pair does not allow."""
        pairs = self._pairs(prefixes)
        law = self.law.to(prefixes.tokens.device)[pairs]
        follows = torch.from_numpy(self.successors).to(prefixes.tokens.device)[pairs[1]]
        return (follows & (law == 0)).float()

    def _pairs(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        self._check_prompts(prefixes)
        rows = torch.arange(len(prefixes), device=prefixes.tokens.device)
        return prefixes.tokens[rows, prefixes.length - 2], prefixes.tokens[rows, prefixes.length - 1]

    def _check_prompts(self, prefixes: Prefixes) -> None:
        rows = torch.arange(len(prefixes), device=prefixes.tokens.device)
        end, eos = prefixes.prompt_length, self.vocabulary.eos
        known = (end >= 2) & (prefixes.tokens[rows, end - 2] != eos) & (prefixes.tokens[rows, end - 1] != eos)
        self.check_prompts(prefixes, known, _PROMPT)


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Successors, bool [16, 16], and integer weights of the law, [16, 16, 16]."""
    successors = np.zeros((16, 16), dtype=bool)
    weights = np.zeros((16, 16, 16), dtype=np.int64)
    for b in range(15):
        follows = randomness.shuffled(15, "automaton", "successors", b)[:6]
        successors[b, follows] = True
        for a in range(15):
            allowed = follows[randomness.shuffled(6, "automaton", "allowed", a, b)[:3]]
            # Three different weights out of 2 … 11: the smallest share is 2 / (2 + 11 + 10).
            weights[a, b, allowed] = 2 + randomness.shuffled(10, "automaton", "weights", a, b)[:3]
    return successors, weights


@lru_cache(maxsize=64)
def _chunk(horizon: int, seed: int, number: int) -> Chunk:
    successors, weights = _tables()
    follows = np.stack([np.flatnonzero(successors[b]) for b in range(15)])
    draws = randomness.words("automaton", "text", horizon, seed, number, shape=(CHUNK, 2 + horizon))
    texts = np.empty(draws.shape, dtype=np.int64)
    texts[:, 0] = draws[:, 0] % np.uint64(15)
    texts[:, 1] = follows[texts[:, 0], (draws[:, 1] % np.uint64(6)).astype(np.int64)]
    for t in range(2, 2 + horizon):
        texts[:, t] = randomness.choices(weights[texts[:, t - 2], texts[:, t - 1]], draws[:, t])
    return with_splits("automaton", texts, eos=15)
