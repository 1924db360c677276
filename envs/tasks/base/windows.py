"""Real text, cut into windows of a prompt and a continuation of fixed lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from seqil import Trajectories, Vocabulary
from seqil.errors import InvalidInputError

from . import counters
from .requests import check_request

Window = tuple[int, ...]


class Windows:
    """Windows by split, without duplicates.

    Args:
        name: of the task, for messages and the order of items.
        vocabulary: the ids.
        prompt_length: tokens of the prompt.
        max_length: tokens of the continuation.
        documents: pairs of a split and the ids of a document of that split.
    """

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        prompt_length: int,
        max_length: int,
        documents: Iterable[tuple[str, Sequence[int]]],
    ) -> None:
        if prompt_length < 1 or max_length < 1:
            raise InvalidInputError(f"{name}: prompt_length={prompt_length}, max_length={max_length} must be positive")
        self.name, self.vocabulary, self.prompt_length, self.max_length = name, vocabulary, prompt_length, max_length
        width = prompt_length + max_length
        self.by_split: dict[str, list[Window]] = {"train": [], "valid": [], "test": []}
        seen: set[Window] = set()
        for split, ids in documents:
            for at in range(0, len(ids) - width + 1, width):
                window = tuple(ids[at : at + width])
                if window not in seen:
                    seen.add(window)
                    self.by_split[split].append(window)

    def available(self, split: str) -> int:
        """How many windows a split has."""
        check_request(1, split)
        return len(self.by_split[split])

    def items(self, n: int, split: str, seed: int) -> list[Window]:
        """The first `n` windows in the order of `seed`."""
        check_request(n, split)
        available = self.by_split[split]
        if n > len(available):
            raise InvalidInputError(
                f"{self.name}: {n} items were asked for, the {split} split has {len(available)} windows of "
                f"{self.prompt_length} + {self.max_length} tokens; ask for fewer (--demonstrations, -n), take another "
                "--split, or give more data"
            )
        return [available[i] for i in counters.shuffled(len(available), self.name, split, seed)[:n]]

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """The heads of the windows."""
        return [list(window[: self.prompt_length]) for window in self.items(n, split, seed)]

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The rest of the windows, then `eos`."""
        cells = torch.tensor(self.items(n, split, seed), dtype=torch.int64).reshape(n, -1)
        eos = cells.new_full((n, 1), self.vocabulary.eos)
        return Trajectories.from_actions(
            self.vocabulary,
            cells[:, : self.prompt_length],
            torch.cat([cells[:, self.prompt_length :], eos], 1),
            max_length=self.max_length,
            min_length=self.max_length,
        )
