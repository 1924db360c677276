"""Long multiplication with its steps written out: a wrong digit is carried into all that follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary

from ..base import counters
from ..base.requests import check_range, foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late

_ALPHABET = "0123456789*=+()"
_TIMES, _EQUALS = 10, 11
_QUESTION = re.compile(r"([0-9]+)\*([0-9]+)=")
_CHUNK = 1024


class _Sum(NamedTuple):
    """Where a running sum stands in a text, and the two numbers that it adds: first cells and digits of each."""

    at: int
    digits: int
    before: tuple[int, int]
    product: tuple[int, int]


class Multiplication(RightAnswerTask):
    """`21*43=`, that is 12 * 34, answered by `840+0630=8040`: 48 + 360 = 408, all from the last digit to the first.

    - **Tokens**: 10 digits (ids 0 … 9), `*`, `=`, `+`, `(`, `)` and `eos` (id 15), V = 16.
    - **Items**: two numbers of `digits` digits, uniform. Split by the hash of the two in order of size, so that `a*b`
      and `b*a` are in one split. Structural split: more digits, in the same vocabulary.
    - **Text**: for each digit of the second number a shifted product, of one digit more than its shift and the first
      number have; after each but the first two numbers the running sum in brackets; `=`, the product, `eos`. All
      have fixed widths, zeros included: 55 tokens for four digits.
    - **Why**: a digit of a product or of a sum needs a few digits and a carry; a wrong one makes all later sums wrong.
    - **Teacher**: one-hot. After an error it goes on from what stands: sums are those of the numbers that are written,
      right or wrong, and so a wrong digit is carried on to the result; where one of them is no number, and everywhere
      else, it has what the right text has at that position.
    - **First error**: the first token that is not the right text's. **Success**: the right text.
    - **Confusions**: the teacher's digit with a carry too many or too few.

    The format is that of Deng et al. 2024, "From explicit CoT to implicit CoT", without blanks and with `=` for `####`.

    Args:
        digits: of each number, 2 to 8.
    """

    name = "multiplication"
    vocabulary = Vocabulary(size=len(_ALPHABET) + 1, eos=len(_ALPHABET))

    def __init__(self, digits: int = 4) -> None:
        check_range(self.name, 2, 8, digits=digits)
        self.digits = digits
        self.sums = _layout(digits)
        self.max_length = self.min_length = self.sums[-1].at + self.sums[-1].digits
        self.max_actions = mended_late(self.max_length)

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """Products, sums, result and `eos`."""
        found = _QUESTION.fullmatch(self.decode(prompt))
        if found is None or {len(found[1]), len(found[2])} != {self.digits} or self.vocabulary.eos in prompt:
            raise foreign_prompt(self.name, prompt, f"a product of two numbers of {self.digits} digits")
        first = int(found[1][::-1])
        products = [first * int(digit) * 10**shift for shift, digit in enumerate(found[2])]
        products_as_text = [_written(number, self.digits + 1 + shift) for shift, number in enumerate(products)]
        sums = [_written(total, self.digits + 1 + shift) for shift, total in enumerate(accumulate(products))]
        steps = [f"{product}({total})" for product, total in zip(products_as_text[1:-1], sums[1:-1], strict=True)]
        text = "+".join([products_as_text[0], *steps, f"{products_as_text[-1]}={sums[-1]}"])
        return [*map(_ALPHABET.index, text), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 questions."""
        return _chunk(self.digits, seed, number)

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """One-hot on the digit of the sum of what stands, or on what the right text has."""
        following = following.clone()
        for total in self.sums:
            place = prefixes.generated - total.at
            inside = (place >= 0) & (place < total.digits) & ~prefixes.ended
            parts = [_numbers(prefixes, *part) for part in (total.before, total.product)]
            digit = sum(number for number, _ in parts) // 10 ** place.clamp(0, total.digits - 1) % 10
            inside &= parts[0][1] & parts[1][1]
            following = torch.where(inside, digit, following)
        return one_hot(following, self.vocabulary.size).double()

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the neighbours of the teacher's digit, 9 and 0 being such; none where it has no digit."""
        law = self.next_distribution(prefixes)[:, :10]
        beyond = law.new_zeros(len(law), self.vocabulary.size - 10)
        return torch.cat([law.roll(1, 1) + law.roll(-1, 1), beyond], 1).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters; `eos` is not shown."""
        return "".join(_ALPHABET[t] for t in tokens if t != self.vocabulary.eos)


def _written(number: int, width: int) -> str:
    """From the last digit to the first."""
    return f"{number:0{width}d}"[::-1]


def _numbers(prefixes: Prefixes, at: int, digits: int) -> tuple[Tensor, Tensor]:
    """The number that stands in some cells of each text, int64 [B], and whether there are digits only, bool [B]."""
    place = torch.arange(digits, device=prefixes.tokens.device)
    cells = (prefixes.prompt_length[:, None] + at + place).clamp(max=prefixes.tokens.shape[1] - 1)
    found = prefixes.tokens.gather(1, cells)
    return (found.clamp(max=9) * 10**place).sum(1), (found <= 9).all(1)


def _layout(digits: int) -> list[_Sum]:
    """Running sums in order; the last is the result."""
    found, at, before = [], digits + 2, (0, digits + 1)  # the first product and `+` come before
    for width in range(digits + 2, 2 * digits + 1):
        start = at + width + 1  # a product, then `(` or `=`
        found.append(_Sum(start, width, before, (at, width)))
        at, before = start + width + 2, (start, width)  # `)+`
    return found


@lru_cache(maxsize=64)
def _chunk(digits: int, seed: int, number: int) -> list[Item]:
    words = counters.words("multiplication", digits, seed, number, shape=(_CHUNK, 2, digits))
    leading = np.arange(digits) == digits - 1
    drawn = (words % np.where(leading, 9, 10).astype(np.uint64)).astype(np.int64) + leading
    return [_item(first, second) for first, second in drawn.tolist()]


def _item(first: list[int], second: list[int]) -> Item:
    canonical = "*".join("".join(map(str, digits)) for digits in sorted((first[::-1], second[::-1])))
    return Item([*first, _TIMES, *second, _EQUALS], split_of("multiplication", canonical))
