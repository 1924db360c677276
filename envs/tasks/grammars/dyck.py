"""Balanced brackets of several kinds: a memory as deep as the brackets are nested."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.requests import check_range, foreign_prompt
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, columns, with_splits

_OPENING, _CLOSING = "([{<«‹", ")]}>»›"
_PROMPT = "one opening bracket"

Integers = TypeVar("Integers", Tensor, Ints)


class Dyck(SampledTask):
    """Words of balanced brackets, all words of a length alike: `([])[]()` has 4 pairs and 2 kinds.

    - **Tokens**: `kinds` opening brackets (ids 0, 1, …), as many closing ones (ids `kinds`, …) and `eos`,
      V = 2 `kinds` + 1.
    - **Law**: uniform on the `kinds^n Catalan(n)` words of n = `length` / 2 pairs. With h brackets open and r still to
      come, (h + 2) (r - h) : h (r + h + 2) are the odds of an opening bracket, of a kind that is uniform, against the
      one that closes the last: the counts of the words that go on either way, without what they have in common
      (Arnold & Sleep 1980, for one kind).
    - **Prompt**: the first bracket. **Text**: the other `length - 1`, then `eos`.
    - **Teacher**: exact. After an error it goes on as if nothing had been wrong: a closing bracket closes the last one
      whatever its kind, and none where none is open; if there are more open than may still be closed, it closes.
    - **First error**: a closing bracket that does not match, or an opening one too many to be closed in time.
      **Success**: there is none, and `eos`.
    - **Confusions**: the closing brackets that do not match.

    Args:
        kinds: of brackets, 1 to 6; 2 to 6 are meant.
        length: brackets of a word, even and at least 4; 32 to 512 are meant.
    """

    name = "dyck"

    def __init__(self, kinds: int = 3, length: int = 64) -> None:
        check_range(self.name, 1, len(_OPENING), kinds=kinds)
        check_range(self.name, 4, length=length)
        if length % 2:
            raise InvalidInputError(f"dyck: length={length} must be even, for brackets come in pairs")
        self.vocabulary = Vocabulary(size=2 * kinds + 1, eos=2 * kinds)
        self.kinds, self.length = kinds, length
        self.max_length = self.min_length = length - 1

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 words."""
        return _chunk(self.kinds, self.length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """An opening bracket of any kind, or the one that closes the last; `eos` at the horizon and after the end."""
        height, last, _ = self._read(prefixes)
        up, down = odds(height, torch.maximum(self.length - prefixes.length, height))
        share = up.double() / (up + down)
        opening = (share / self.kinds)[:, None].expand(-1, self.kinds)
        closing = (1 - share)[:, None] * one_hot(last, self.kinds)
        return self.ended(torch.nn.functional.pad(torch.cat([opening, closing], 1), (0, 1)), prefixes)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first bracket that does not match or cannot be closed in time; a premature `eos` is one."""
        if len(prompt) != 1 or prompt[0] >= self.kinds:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        opened = list(prompt)
        for i, token in enumerate(tokens):
            if token == self.vocabulary.eos:
                return i if i < self.max_length else None
            if token < self.kinds:
                opened.append(token)
                if len(opened) > self.max_length - i - 1:
                    return i
            elif not opened or opened.pop() != token - self.kinds:
                return i
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether a bracket of the text does not match or cannot be closed in time."""
        return self._read(prefixes)[2]

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """No error, and `eos` at the horizon."""
        whole = len(tokens) == self.max_length + 1 and tokens[-1] == self.vocabulary.eos
        return whole and self.first_error(prompt, tokens) is None

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the closing brackets that do not match."""
        height, last, _ = self._read(prefixes)
        matching = one_hot(last, self.kinds) * (height > 0)[:, None]
        return torch.nn.functional.pad(1 - matching, (self.kinds, 1)).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """Brackets; `eos` is not shown."""
        alphabet = _OPENING[: self.kinds] + _CLOSING[: self.kinds]
        return "".join(alphabet[t] for t in tokens if t != self.vocabulary.eos)

    def _read(self, prefixes: Prefixes) -> tuple[Tensor, Tensor, Tensor]:
        """Open brackets, the kind of the last one (0 without any), whether there is an error: [B] each."""
        known = (prefixes.prompt_length == 1) & (prefixes.tokens[:, 0] < self.kinds)
        self.check_prompts(prefixes, known, _PROMPT)
        order, texts = columns(prefixes.tokens, prefixes.length - prefixes.ended.long())
        wrong = prefixes.ended[order] & (prefixes.generated[order] <= self.max_length)
        height = torch.zeros_like(order)
        opened = torch.zeros(len(order), len(texts) + 1, dtype=torch.int64, device=order.device)  # cell 0: none is open
        for t, tokens in enumerate(texts):
            h, stack = height[: len(tokens)], opened[: len(tokens)]
            opening = tokens < self.kinds
            last = stack.gather(1, h[:, None])[:, 0]
            matches = torch.where(opening, h < self.length - t - 1, (h > 0) & (last == tokens - self.kinds))
            wrong[: len(tokens)] |= ~matches
            h += torch.where(opening, 1, -(h > 0).long())
            stack.scatter_(1, h[:, None], torch.where(opening, tokens, stack.gather(1, h[:, None])[:, 0])[:, None])
        last = opened.gather(1, height[:, None])[:, 0]
        back = order.argsort()
        return height[back], last[back], wrong[back]


def odds(height: Integers, left: Integers) -> tuple[Integers, Integers]:
    """Weights of an opening and of the closing bracket where `height` <= `left` are open and `left` are to come."""
    return (height + 2) * (left - height), height * (left + height + 2)


@lru_cache(maxsize=64)
def _chunk(kinds: int, length: int, seed: int, number: int) -> Chunk:
    draws = counters.words("dyck", kinds, length, seed, number, shape=(CHUNK, length))
    texts = np.empty(draws.shape, dtype=np.int64)
    rows, height = np.arange(CHUNK), np.zeros(CHUNK, dtype=np.int64)
    opened = np.zeros((CHUNK, length + 1), dtype=np.int64)
    for t in range(length):
        up, down = odds(height, np.full(CHUNK, length - t))
        point = (draws[:, t] % (kinds * (up + down)).astype(np.uint64)).astype(np.int64)
        opening = point < kinds * up
        texts[:, t] = np.where(opening, point // np.maximum(up, 1), kinds + opened[rows, height])
        height += np.where(opening, 1, -1)
        opened[rows, height] = np.where(opening, texts[:, t], opened[rows, height])
    return with_splits("dyck", texts, eos=2 * kinds)
