"""Tasks with one right answer to each prompt: the answer is the demonstration, the teacher and the judge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Task, Trajectories, legal_actions
from seqil.errors import InvalidInputError

from .requests import check_request

_ENOUGH = 10_000
"""Items among which there is one of every split, which are twentieths at least."""


class Item(NamedTuple):
    """A prompt and the split it belongs to."""

    prompt: list[int]
    split: str


def mended_late(max_length: int) -> int:
    """Budget of actions where an error shows at the end of a text: it is deleted again and again, 200 times say."""
    return max(200, 4 * max_length)


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

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """The teacher's law, float64 [B, V], where an error stands: uniform over what is legal (after the end, over all
        tokens), unless the task has a better one.

        Args:
            prefixes: the states, B rows, with and without an error.
            following: as `following` gives it, int64 [B].
        """
        legal = legal_actions(self.vocabulary, prefixes)[:, : self.vocabulary.size] | prefixes.ended[:, None]
        return legal.double() / legal.sum(1, keepdim=True)

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """The first `n` prompts of a split."""
        check_request(n, split)
        there = self.available(split)
        if there is not None and n > there:
            raise InvalidInputError(
                f"{self.name}: {n} items were asked for, the {split} split has {there}; ask for fewer "
                "(--demonstrations, -n)"
            )
        return list(islice(self._of_split(split, seed), n))

    def _of_split(self, split: str, seed: int) -> Iterator[list[int]]:
        """Prompts of a split without an end, if there is any."""
        seen, found = 0, False
        for number in count():
            items = self._sound(seed, number)
            prompts = [list(item.prompt) for item in items if item.split == split]
            seen, found = seen + len(items), found or bool(prompts)
            if not found and seen >= _ENOUGH:
                raise InvalidInputError(
                    f"{self.name}: none of the first {seen} items is of the {split} split; give chunk items of every "
                    "split, by split_of say"
                )
            yield from prompts

    def _sound(self, seed: int, number: int) -> list[Item]:
        """A chunk, which an endless stream goes on with only if it is one."""
        items = self.chunk(seed, number)
        if not items:
            raise InvalidInputError(f"{self.name}: chunk({seed}, {number}) is empty; the stream of items must not end")
        for item in items:
            if not isinstance(item, Item):
                raise InvalidInputError(f"{self.name}: chunk({seed}, {number}) holds {item!r:.60}, which is no Item")
            check_request(1, item.split)
        return items

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The right answers."""
        prompts = self.prompts(n, split, seed)
        answers = [self.answer(prompt) for prompt in prompts]
        try:
            return Trajectories.from_actions(
                self.vocabulary, prompts, answers, max_length=self.max_length, min_length=self.min_length
            )
        except InvalidInputError as error:
            raise InvalidInputError(f"{self.name}: what answer or chunk gave is no item: {error}") from None

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """One-hot on the right answer's next token while no error stands."""
        right = self._answers(prefixes)
        following = self._at(prefixes, right)
        certain = one_hot(following, self.vocabulary.size).double()
        return torch.where(_differs(prefixes, right)[:, None], self.after_error(prefixes, following), certain)

    def following(self, prefixes: Prefixes) -> Tensor:
        """What the right answer has at each prefix's position, int64 [B]; `eos` beyond its end and after the end."""
        return self._at(prefixes, self._answers(prefixes))

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that differs from the right answer."""
        right = self.answer(prompt)
        for i, token in enumerate(tokens):
            if i >= len(right) or token != right[i]:
                return i
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether the text has left the right answer."""
        return _differs(prefixes, self._answers(prefixes))

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """The whole answer and `eos`."""
        return list(tokens) == self.answer(prompt)

    def _answers(self, prefixes: Prefixes) -> Tensor:
        """The right answers, continued by `eos`, one cell more than a text may have: int64 [B, C]."""
        width = prefixes.max_length + 2
        beyond = [self.vocabulary.eos] * width
        rows = [tuple(prompt) for prompt in prompts_of(prefixes)]
        right = {prompt: (self.answer(list(prompt)) + beyond)[:width] for prompt in dict.fromkeys(rows)}
        return torch.tensor([right[prompt] for prompt in rows], device=prefixes.tokens.device)

    def _at(self, prefixes: Prefixes, right: Tensor) -> Tensor:
        return torch.where(prefixes.ended, self.vocabulary.eos, right.gather(1, prefixes.generated[:, None])[:, 0])


def prompts_of(prefixes: Prefixes) -> list[list[int]]:
    """Prompts as id lists."""
    lengths = prefixes.prompt_length.tolist()
    return [row[:n] for row, n in zip(prefixes.tokens.tolist(), lengths, strict=True)]


def _differs(prefixes: Prefixes, right: Tensor) -> Tensor:
    """Whether the generated text has a token that is not the one of `right` there: bool [B]."""
    at = torch.arange(right.shape[1], device=right.device)
    cells = (prefixes.prompt_length[:, None] + at).clamp(max=prefixes.tokens.shape[1] - 1)
    return ((prefixes.tokens.gather(1, cells) != right) & (at < prefixes.generated[:, None])).any(1)
