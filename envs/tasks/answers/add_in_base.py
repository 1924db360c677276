"""Arithmetic in a base, one right answer: after the task that the SequenceMatch paper names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.requests import foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late, prompts_of

DIGITS = "0123456789abcdef"
_ALPHABET = "\n" + DIGITS + "".join(sorted(set("In base , what is  + - ?") - set(DIGITS)))
_QUESTION = re.compile(r"In base (\d+), what is (\S+) ([+-]) (\S+)\?")
_UNIT = 10**6  # operands' sizes are drawn in units of 10^-6 digits


class AddInBase(RightAnswerTask):
    """`In base 7, what is 35 + -6?`, answered by the characters of `26`.

    - **Tokens**: the characters that occur, and `eos`.
    - **Items**: entropy e ~ U(low, high) in decimal digits, split into e1 = max(1, U(0, e)) and e2 = max(1, e - e1);
      each operand uniform on [-M, M] with M = ceil(10^e_i / 2); base uniform on 2 … 16; + or - with probability 1/2.
      Digits are lower-case, the sign is a prefix, zero is `0`. All arithmetic is on integers.
    - **Teacher**: the next character of the right answer, then `eos`; uniform after an error.
    - **First error**: the first character that is not the right answer's. **Success**: the answer, then `eos`.
    - **Confusions**: the other digits of the base and the sign.

    Args:
        low: least entropy of the numbers of a request.
        high: largest entropy of them; answers have at most `3.33 high + 3` characters, in base 2.
    """

    name = "add_in_base"
    vocabulary = Vocabulary(size=len(_ALPHABET) + 1, eos=len(_ALPHABET))

    def __init__(self, low: int = 3, high: int = 6) -> None:
        if not 1 <= low <= high <= 30:
            raise InvalidInputError(f"add_in_base: low={low}, high={high} must satisfy 1 <= low <= high <= 30")
        self.low, self.high = low, high
        self.max_length = len(in_base(2 * -(-(10**high) // 2), 2)) + 1
        self.max_actions = mended_late(self.max_length)

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """Its characters and `eos`."""
        return [*encode(answer_to(self._question(prompt))), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 questions."""
        return _chunk(self.low, self.high, seed, number)

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the digits of the base, and on the sign before the first digit."""
        weights = torch.zeros(len(prefixes), self.vocabulary.size)
        for row, prompt in enumerate(prompts_of(prefixes)):
            weights[row, encode(DIGITS[: read(self._question(prompt))[0]])] = 1
        weights[prefixes.generated == 0, encode("-")[0]] = 1
        return weights.to(prefixes.tokens.device)

    def _question(self, prompt: Sequence[int]) -> str:
        question = self.decode(prompt)
        try:
            read(question)
        except ValueError:
            raise foreign_prompt(self.name, prompt, "a sum or difference in a base of 2 to 16") from None
        return question

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters; `eos` is not shown."""
        return "".join(_ALPHABET[t] for t in tokens if t != self.vocabulary.eos)


def read(question: str) -> tuple[int, int, str, int]:
    """Base, operand, sign, operand; ValueError for what is no question of this task."""
    found = _QUESTION.fullmatch(question)
    if found is None or not 2 <= int(found[1]) <= len(DIGITS):
        raise ValueError(f"{question!r} is no question")
    base = int(found[1])
    return base, int(found[2], base), found[3], int(found[4], base)


def answer_to(question: str) -> str:
    """The right answer to a question of this task."""
    base, p, sign, q = read(question)
    return in_base(p + q if sign == "+" else p - q, base)


def in_base(number: int, base: int) -> str:
    """Lower-case digits with a `-` before a negative number."""
    digits = ""
    rest = abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, base)
        digits = DIGITS[digit] + digits
    return "-" * (number < 0) + digits


def encode(text: str) -> list[int]:
    """Characters as ids."""
    return [_IDS[character] for character in text]


_IDS = {character: i for i, character in enumerate(_ALPHABET)}


@lru_cache(maxsize=64)
def _chunk(low: int, high: int, seed: int, number: int) -> list[Item]:
    draws = counters.words("add_in_base", low, high, seed, number, shape=(1024, 6)).tolist()
    return [_item(low, high, row) for row in draws]


def _item(low: int, high: int, draw: Sequence[int]) -> Item:
    entropy = low * _UNIT + draw[0] % ((high - low) * _UNIT + 1)
    first = max(_UNIT, draw[1] % (entropy + 1))
    p, q = (_operand(e, d) for e, d in ((first, draw[2]), (max(_UNIT, entropy - first), draw[3])))
    base, sign = 2 + draw[4] % 15, "+-"[draw[5] % 2]
    question = f"In base {base}, what is {in_base(p, base)} {sign} {in_base(q, base)}?"
    return Item(encode(question), split_of("add_in_base", question))


def _operand(entropy: int, draw: int) -> int:
    """Uniform on [-M, M], M = ceil(10^(entropy / 10^6) / 2), by integer arithmetic."""
    bound = _half_power_of_ten(entropy)
    return draw % (2 * bound + 1) - bound


@lru_cache(maxsize=4096)
def _half_power_of_ten(entropy: int) -> int:
    from decimal import ROUND_CEILING, Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        half = Decimal(10) ** (Decimal(entropy) / _UNIT) / 2
        return int(half.to_integral_value(ROUND_CEILING))
