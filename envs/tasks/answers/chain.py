"""A chain of functions, its last value first: a guess that can be checked only at the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqil import Prefixes, Vocabulary

from ..base import counters
from ..base.requests import check_range, foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late

VALUES, FUNCTIONS = 10, 8
_ALPHABET = "0123456789abcdefgh"
_FUNCTION_IDS = range(VALUES, VALUES + FUNCTIONS)
_CHUNK = 1024


class Chain(RightAnswerTask):
    """A guess, then the steps that check it: `7cab` (c, then a, then b, from 7) is answered by `0630`.

    - **Tokens**: 10 values (ids 0 … 9, `0` … `9`), 8 functions (ids 10 … 17, `a` … `h`) and `eos` (id 18), V = 19.
    - **Law**: each function takes five of the values, each at two values; the tables are drawn once and for all.
    - **Prompt**: a start and `delay` functions, uniform: 10 * 8^delay items. **Text**: the last value of the chain (the
      guess, 0), then its values step by step (6, 3, 0), then `eos`; always `delay + 1` values.
    - **Why**: a step is one look-up, the guess is a composition. A wrong guess shows when the last step differs from
      it, `delay` tokens later, and mending it takes the deletion of the whole text. Who composes only the last
      0, 1, 2 or 3 of four functions and draws the guess from its law is right with probability .116, .218, .308, .387.
    - **Teacher**: one-hot. After an error it goes on with what the right text has at that position, because the steps
      do not depend on the guess: the contradiction comes to light. A uniform law would hide it.
    - **First error**: the first value that is not the right text's. **Success**: the right text.
    - **Confusions**: the other values.
    - **Items** are split by the hash of the prompt. Other prompts have the same text: of 2,000 test items at the
      default delay 72 % have a text that occurs among 2,000 training items, 94 % among 8,000, all among 50,000.

    Args:
        delay: functions of a chain, and tokens between a guess and its check.
    """

    name = "chain"
    one_guess = True
    vocabulary = Vocabulary(size=VALUES + FUNCTIONS + 1, eos=_FUNCTION_IDS.stop)

    def __init__(self, delay: int = 4) -> None:
        check_range(self.name, 1, delay=delay)
        self.delay = delay
        self.max_length = self.min_length = delay + 1
        self.max_actions = mended_late(self.max_length)
        self.table = _table()
        """Int64 [8, 10]: value of a function at a value."""

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """Guess, steps, `eos`."""
        if len(prompt) != self.delay + 1 or prompt[0] >= VALUES or not all(f in _FUNCTION_IDS for f in prompt[1:]):
            raise foreign_prompt(self.name, prompt, f"a value and {self.delay} functions")
        values = list(prompt[:1])
        for function in prompt[1:]:
            values.append(int(self.table[function - VALUES, values[-1]]))
        return [values[-1], *values[1:], self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 items."""
        return _chunk(self.delay, seed, number)

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """One-hot on the right text's token at the position; `eos` after the end."""
        return torch.nn.functional.one_hot(following, self.vocabulary.size).double()

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the values that are not the teacher's."""
        weights = 1 - self.next_distribution(prefixes)
        weights[:, VALUES:] = 0
        return weights.float()

    def decode(self, tokens: Sequence[int]) -> str:
        """Digits and letters; `eos` is not shown."""
        return "".join(_ALPHABET[t] for t in tokens if t != self.vocabulary.eos)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.int64]:
    taken = np.stack([counters.shuffled(VALUES, "chain", "values", f)[: VALUES // 2] for f in range(FUNCTIONS)])
    pairs = np.stack([counters.shuffled(VALUES, "chain", "pairs", f) // 2 for f in range(FUNCTIONS)])
    return np.take_along_axis(taken, pairs, 1)


@lru_cache(maxsize=64)
def _chunk(delay: int, seed: int, number: int) -> list[Item]:
    starts = counters.below(VALUES, "chain", "start", delay, seed, number, shape=(_CHUNK, 1))
    functions = counters.below(FUNCTIONS, "chain", "functions", delay, seed, number, shape=(_CHUNK, delay))
    prompts = np.concatenate([starts, VALUES + functions], 1).tolist()
    return [Item(prompt, split_of("chain", "".join(_ALPHABET[t] for t in prompt))) for prompt in prompts]
