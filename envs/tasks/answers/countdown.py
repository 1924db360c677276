"""Countdown: reach a target from given numbers; several texts are right, and all of them are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqil import Prefixes, Vocabulary, legal_actions

from ..base import counters
from ..base.requests import check_range, foreign_prompt, split_of
from ..base.right_answer import mended_late, prompts_of
from ..base.sampled import Chunk, Ints, SampledTask

_SIGNS = "+-*/"
_CHUNK = 1024

Numbers = tuple[int, ...]
"""What there is to calculate with, in order of size."""


class _Move(NamedTuple):
    """An operation on two of the numbers: its four tokens, and the numbers that there are after it."""

    tokens: tuple[int, int, int, int]
    rest: Numbers


class Countdown(SampledTask):
    """`3 5 7 > 36`, answered by `7+5=12, 12*3=36`: every number is used once, the last result is the target.

    - **Tokens**: the numbers 1 … `limit` (ids 0 … `limit` - 1), the four signs and `eos`, V = `limit` + 5. A step is
      four tokens, two numbers, the sign between them and the result: the position tells the rest.
    - **Rules**: a step takes two of the numbers that are there, the larger first, and puts the result in their place.
      All results are whole numbers in 1 … `limit`.
    - **Prompt**: `numbers` numbers, uniform and independent, then a target, uniform over what can be reached.
      **Text**: `numbers` - 1 steps, then `eos`.
    - **Teacher**: uniform over the texts that keep the rules and end with the target, by enumeration: the exact
      posterior. Where none goes on from what stands, uniform over the texts that keep the rules, whatever they end
      with; where a rule is broken, uniform over what is legal.
    - **First error**: the first token after which the target cannot be reached. `first_violation` is the first that
      breaks a rule, the target at the end included, never earlier: one finds a dead end out by looking ahead.
    - **Success**: any of the right texts.
    - **Confusions**: the tokens that keep the rules and leave the target out of reach; at a result, the results of the
      other signs.
    - **Items** are split by the hash of the numbers, in order of size, and the target.

    The game with the numbers of a television programme; as a task for language models from Gandhi et al. 2024,
    "Stream of search", where a text also holds what was tried in vain.

    Args:
        numbers: that are given, 2 to 5.
        limit: the largest number, 4 to 99.
    """

    name = "countdown"

    def __init__(self, numbers: int = 4, limit: int = 40) -> None:
        check_range(self.name, 2, 5, numbers=numbers)
        check_range(self.name, 4, 99, limit=limit)
        self.numbers, self.limit = numbers, limit
        self.vocabulary = Vocabulary(size=limit + 5, eos=limit + 4)
        self.prompt_tokens = numbers + 1
        self.max_length = self.min_length = 4 * (numbers - 1)
        self.max_actions = mended_late(self.max_length)

    def chunk(self, seed: int, number: int) -> Chunk:
        """1024 questions, each with one of its right texts."""
        return _chunk(self.numbers, self.limit, seed, number)

    def solutions(self, prompt: Sequence[int]) -> int:
        """How many texts are right."""
        numbers, target = self._read(prompt)
        return int(_ends(numbers, self.limit)[target])

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """Share of the right texts, or of those that keep the rules, that go on with each token."""
        legal = legal_actions(self.vocabulary, prefixes.to("cpu"), backspace=False)[:, : self.vocabulary.size]
        law = legal.double()
        for row, (prompt, text) in enumerate(zip(prompts_of(prefixes), prefixes.texts(), strict=True)):
            weights = self._weights(*self._read(prompt), text[: self.max_length])
            if weights:
                law[row] = 0
                law[row, list(weights)] = torch.tensor([float(n) for n in weights.values()], dtype=torch.float64)
        return self.ended((law / law.sum(1, keepdim=True)).to(prefixes.tokens.device), prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that no right text with the tokens before it has."""
        numbers, target = self._read(prompt)
        return self._first(tokens, numbers, target)

    def first_violation(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that breaks a rule, or a last result that is not the target; a judge as `first_error` is."""
        numbers, target = self._read(prompt)
        found = self._first(tokens, numbers, None)
        missed = len(tokens) >= self.max_length and tokens[self.max_length - 1] != target - 1
        return self.max_length - 1 if missed and (found is None or found >= self.max_length) else found

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """One of the right texts, and `eos`."""
        return self.first_error(prompt, tokens) is None and len(tokens) == self.max_length + 1

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on what keeps the rules and misses the target, or is the result of another sign."""
        weights = torch.zeros(len(prefixes), self.vocabulary.size)
        for row, (prompt, text) in enumerate(zip(prompts_of(prefixes), prefixes.texts(), strict=True)):
            numbers, target = self._read(prompt)
            if len(text) < self.max_length:
                right = self._weights(numbers, target, text)
                wrong = set(self._weights(numbers, None, text)) | self._other_results(text)
                weights[row, list(wrong - set(right))] = 1
        return weights.to(prefixes.tokens.device)

    def decode(self, tokens: Sequence[int]) -> str:
        """The steps as equations, a prompt as its numbers; `eos` is not shown."""
        shown = [_SIGNS[t - self.limit] if t >= self.limit else str(t + 1) for t in tokens if t < self.limit + 4]
        if len(shown) > self.numbers and not any(sign in shown[: self.prompt_tokens] for sign in _SIGNS):
            *given, target = shown[: self.prompt_tokens]
            question = f"{' '.join(given)} > {target}"
            steps = self._equations(shown[self.prompt_tokens :])
            return f"{question}: {steps}" if steps else question
        return self._equations(shown)

    def _equations(self, shown: list[str]) -> str:
        steps = (shown[at : at + 4] for at in range(0, len(shown), 4))
        return ", ".join("".join(step[:3]) + "".join("=" + result for result in step[3:]) for step in steps)

    def _read(self, prompt: Sequence[int]) -> tuple[Numbers, int]:
        """The numbers in order of size, and the target."""
        if len(prompt) == self.prompt_tokens and max(prompt) < self.limit:
            *numbers, target = (token + 1 for token in prompt)
            if _ends(tuple(sorted(numbers)), self.limit)[target]:
                return tuple(sorted(numbers)), target
        what = f"{self.numbers} numbers and a target that they reach, all in 1..{self.limit}"
        raise foreign_prompt(self.name, prompt, what)

    def _weights(self, numbers: Numbers, target: int | None, text: Sequence[int]) -> Counter[int]:
        """How many texts go on with each token; those with the target if there are any, or all that keep the rules.

        Without a target: all that keep the rules.
        """
        for at in range(0, len(text) - len(text) % 4, 4):
            numbers = next((m.rest for m in _moves(numbers, self.limit) if m.tokens == tuple(text[at : at + 4])), ())
        step = tuple(text[len(text) - len(text) % 4 :])
        for wanted in dict.fromkeys((target, None)):
            found: Counter[int] = Counter()
            for move in _moves(numbers, self.limit):
                if move.tokens[: len(step)] == step and (ways := self._ways(move.rest, wanted)):
                    found[move.tokens[len(step)]] += ways
            if found:
                break
        return found

    def _ways(self, numbers: Numbers, target: int | None) -> int:
        ends = _ends(numbers, self.limit)
        return int(ends.sum() if target is None else ends[target])

    def _first(self, tokens: Sequence[int], numbers: Numbers, target: int | None) -> int | None:
        """The first token with which no text goes on that keeps the rules and ends with the target, if there is one."""
        left: list[_Move] = []
        for at, token in enumerate(tokens):
            if at == self.max_length:
                return None if token == self.vocabulary.eos else at
            if at % 4 == 0:
                left = [m for m in _moves(numbers, self.limit) if self._ways(m.rest, target)]
            left = [move for move in left if move.tokens[at % 4] == token]
            if not left:
                return at
            numbers = left[0].rest
        return None

    def _other_results(self, text: Sequence[int]) -> set[int]:
        if len(text) % 4 != 3 or max(text[-3], text[-1]) >= self.limit:
            return set()
        return {result - 1 for _, result in _results(text[-3] + 1, text[-1] + 1, self.limit)}


def _results(a: int, b: int, limit: int) -> Iterable[tuple[int, int]]:
    """Numbers of the signs, and what they make of a >= b, where that is in 1 … limit."""
    found = (a + b, a - b, a * b, a // b if a % b == 0 else 0)
    return [(sign, result) for sign, result in enumerate(found) if 1 <= result <= limit]


@lru_cache(maxsize=2**15)
def _moves(numbers: Numbers, limit: int) -> list[_Move]:
    """All steps."""
    pairs = {(i, j): (numbers[i], numbers[j]) for i in range(len(numbers)) for j in range(i)}
    found = []
    for a, b in sorted(set(pairs.values())):
        i, j = next(at for at, pair in pairs.items() if pair == (a, b))
        others = [n for at, n in enumerate(numbers) if at not in (i, j)]
        for sign, result in _results(a, b, limit):
            tokens = (a - 1, limit + sign, b - 1, result - 1)
            found.append(_Move(tokens, tuple(sorted([*others, result]))))
    return found


@lru_cache(maxsize=2**15)
def _ends(numbers: Numbers, limit: int) -> Ints:
    """How many texts lead from these numbers to each number 0 … limit."""
    found: Ints = np.zeros(limit + 1, dtype=np.int64)
    if len(numbers) == 1:
        found[numbers[0]] = 1
    for move in _moves(numbers, limit):
        found += _ends(move.rest, limit)
    return found


@lru_cache(maxsize=64)
def _chunk(numbers: int, limit: int, seed: int, number: int) -> Chunk:
    key = ("countdown", numbers, limit, seed, number)
    given = counters.below(limit, "numbers", *key, shape=(_CHUNK, numbers)) + 1
    draws = counters.words("draws", *key, shape=(_CHUNK, numbers)).tolist()
    items = [_item(row, draw, limit) for row, draw in zip(given.tolist(), draws, strict=True)]
    return Chunk(np.array([item for item, _ in items]), np.array([split for _, split in items]))


def _item(given: list[int], draws: list[int], limit: int) -> tuple[list[int], str]:
    """A question and one of its right texts, and their split."""
    numbers: Numbers = tuple(sorted(given))
    reached = np.flatnonzero(_ends(numbers, limit))
    target = int(reached[draws[0] % len(reached)])
    split = split_of("countdown", f"{' '.join(map(str, numbers))} {target}")
    tokens = [*(n - 1 for n in given), target - 1]
    for draw in draws[1:]:
        moves = _moves(numbers, limit)
        upto = np.cumsum([_ends(move.rest, limit)[target] for move in moves])
        move = moves[int(np.searchsorted(upto, draw % int(upto[-1]), side="right"))]
        tokens += move.tokens
        numbers = move.rest
    return tokens, split
