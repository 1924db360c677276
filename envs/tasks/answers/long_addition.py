"""Addition of long numbers, the sum written from its first digit or from its last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.requests import foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late

_ALPHABET = "0123456789+="
_PLUS, _EQUALS = 10, 11
_QUESTION = re.compile(r"([0-9]+)\+([0-9]+)=")
_CHUNK = 1024


class LongAddition(RightAnswerTask):
    """`478+964=`, answered by `1442`, or reversed by `2441`.

    - **Tokens**: 10 digits (ids 0 … 9), `+`, `=` and `eos` (id 12), V = 13, whatever the lengths are.
    - **Items**: both operands have n digits, n uniform on `low` … `high`, each uniform over the numbers of n digits.
      Split by the hash of the two operands in order of size, so that `a+b`, `b+a` and both ways of writing the sum
      are in one split; the same questions are asked for both. Structural split: a task of larger `low` and `high`.
    - **Text**: the n or n + 1 digits of the sum, then `eos`.
    - **Why**: reversed, a digit is that of two operands' digits and a carry. Plain, it depends on all that follow: a
      carry runs through k places with probability near 10^-k, so that long chains are rare in the data.
    - **Teacher**: one-hot. After an error it goes on with the right digit of that position, as the rest is not changed
      by the error; `eos` beyond the last.
    - **First error**: the first digit that is not the right one. **Success**: the whole sum and `eos`.
    - **Confusions**: the right digit with a carry too many or too few.

    The two formats are those of Lee et al. 2023, "Teaching arithmetic to small transformers" (without the `$`).

    Args:
        low: fewest digits of an operand, at least 3.
        high: most digits, at most 32.
        reverse: write the sum from its last digit.
    """

    name = "long_addition"
    vocabulary = Vocabulary(size=len(_ALPHABET) + 1, eos=len(_ALPHABET))

    def __init__(self, low: int = 3, high: int = 8, reverse: bool = False) -> None:
        if not 3 <= low <= high <= 32:
            raise InvalidInputError(f"long_addition: low={low}, high={high} must satisfy 3 <= low <= high <= 32")
        self.low, self.high, self.reverse = low, high, reverse
        self.max_length = high + 1
        self.max_actions = mended_late(self.max_length)

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The digits of the sum and `eos`."""
        found = _QUESTION.fullmatch(self.decode(prompt))
        if found is None or max(map(len, found.groups())) > self.high or self.vocabulary.eos in prompt:
            raise foreign_prompt(self.name, prompt, f"a sum of two numbers of at most {self.high} digits")
        digits = [int(digit) for digit in str(int(found[1]) + int(found[2]))]
        return [*(reversed(digits) if self.reverse else digits), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 questions."""
        return _chunk(self.low, self.high, seed, number)

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """One-hot on the right digit of the position."""
        return one_hot(following, self.vocabulary.size).double()

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the neighbours of the teacher's digit, 9 and 0 being such; none at the end."""
        digits = self.next_distribution(prefixes)[:, :10]
        beyond = digits.new_zeros(len(digits), self.vocabulary.size - 10)
        return torch.cat([digits.roll(1, 1) + digits.roll(-1, 1), beyond], 1).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters; `eos` is not shown."""
        return "".join(_ALPHABET[t] for t in tokens if t != self.vocabulary.eos)


@lru_cache(maxsize=64)
def _chunk(low: int, high: int, seed: int, number: int) -> list[Item]:
    sizes = counters.below(high - low + 1, "long_addition", "size", low, high, seed, number, shape=(_CHUNK,)) + low
    digits = counters.words("long_addition", "digits", low, high, seed, number, shape=(_CHUNK, 2, high))
    leading = np.arange(high) == 0
    digits = (digits % np.where(leading, 9, 10).astype(np.uint64)).astype(np.int64) + leading
    return [_item(*(row[:n] for row in pair)) for n, pair in zip(sizes.tolist(), digits.tolist(), strict=True)]


def _item(first: list[int], second: list[int]) -> Item:
    # Of equal length, so that lists of digits are in the order of the numbers.
    canonical = "+".join("".join(map(str, digits)) for digits in sorted((first, second)))
    return Item([*first, _PLUS, *second, _EQUALS], split_of("long_addition", canonical))
