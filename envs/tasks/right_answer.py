"""Tasks with one right answer to each prompt: the answer is the demonstration, the teacher and the judge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import count, islice
from typing import NamedTuple

import torch
from torch import Tensor

from seqil import Prefixes, Trajectories

from .base import Task, check_request


class Item(NamedTuple):
    """A prompt and the split it belongs to."""

    prompt: list[int]
    split: str


class RightAnswerTask(Task):
    """Say which prompts there are and what answers them; demonstrations, teacher and judge follow.

    - **Teacher**: the next token of the right answer; `after_error` once an error stands.
    - **First error**: the first token that is not the right answer's. **Success**: the whole answer.
    """

    @abstractmethod
    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The right answer, `eos` included."""

    @abstractmethod
    def chunk(self, seed: int, number: int) -> list[Item]:
        """The items number 0, 1, 2, … of the endless stream of `seed`, all splits mixed; always the same."""

    def after_error(self, prefixes: Prefixes) -> Tensor:
        """The teacher's law, float64 [B, V], where an error stands: uniform, unless the task has a better one."""
        return torch.full((len(prefixes), self.vocabulary.size), 1 / self.vocabulary.size, dtype=torch.float64)

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """The first `n` prompts of a split."""
        check_request(n, split)
        drawn = (item for number in count() for item in self.chunk(seed, number))
        return list(islice((list(item.prompt) for item in drawn if item.split == split), n))

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The right answers."""
        prompts = self.prompts(n, split, seed)
        return Trajectories.from_actions(
            self.vocabulary,
            prompts,
            [self.answer(prompt) for prompt in prompts],
            max_length=self.max_length,
            min_length=self.min_length,
        )

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """One-hot on the right answer's next token while no error stands."""
        law = self.after_error(prefixes)
        for row, (prompt, tokens) in enumerate(zip(prompts_of(prefixes), prefixes.texts(), strict=True)):
            right = self.answer(prompt)
            if tokens == right[: len(tokens)]:
                law[row] = 0
                law[row, right[min(len(tokens), len(right) - 1)]] = 1
        return law.to(prefixes.tokens.device)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that differs from the right answer."""
        right = self.answer(prompt)
        for i, token in enumerate(tokens):
            if i >= len(right) or token != right[i]:
                return i
        return None

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """The whole answer and `eos`."""
        return list(tokens) == self.answer(prompt)


def prompts_of(prefixes: Prefixes) -> list[list[int]]:
    """Prompts as id lists."""
    lengths = prefixes.prompt_length.tolist()
    return [row[:n] for row, n in zip(prefixes.tokens.tolist(), lengths, strict=True)]
