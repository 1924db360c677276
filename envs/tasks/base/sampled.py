"""Tasks whose demonstrations are draws from a law that is known exactly."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqil import Prefixes, Task, Trajectories
from seqil.errors import InvalidInputError

from .requests import check_request, foreign_prompt, split_of

Ints = NDArray[np.int64]

CHUNK = 4096
"""Texts that are drawn at once."""


class Chunk(NamedTuple):
    """Some texts.

    Attributes:
        texts: int64 [N, W], prompts and what follows; `eos` and whatever comes after it are not of the text.
        splits: of each text.
    """

    texts: Ints
    splits: NDArray[np.str_]


class SampledTask(Task):
    """Say how texts are drawn; prompts and demonstrations follow.

    A split follows the law only as far as texts hardly ever repeat: it holds all or nothing of the mass of each.

    Attributes:
        prompt_tokens: the first tokens of each text, its prompt.
    """

    prompt_tokens: int = 1

    @abstractmethod
    def chunk(self, seed: int, number: int) -> Chunk:
        """The texts number 0, 1, 2, … of the endless stream of `seed`, all splits mixed; always the same."""

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """The first tokens of the first `n` texts of a split."""
        prompts: list[list[int]] = self._texts(n, split, seed)[:, : self.prompt_tokens].tolist()
        return prompts

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """Draws from the teacher."""
        v, texts = self.vocabulary, torch.from_numpy(self._texts(n, split, seed))
        texts = torch.cat([texts, texts.new_full((n, 1), v.eos)], 1)
        prompts, actions = texts[:, : self.prompt_tokens], texts[:, self.prompt_tokens :]
        lengths = (actions == v.eos).int().argmax(1) + 1
        return Trajectories.from_actions(
            v,
            prompts,
            actions[:, : int(lengths.max())],
            lengths=lengths,
            max_length=self.max_length,
            min_length=self.min_length,
        )

    def check_prompts(self, prefixes: Prefixes, known: Tensor, what: str) -> None:
        """Refuse a row whose prompt is not `what` it should be, where `known`, bool [B], says so."""
        if not known.all():
            row = int((~known).nonzero()[0, 0])
            prompt = prefixes.tokens[row, : prefixes.prompt_length[row]].tolist()
            raise foreign_prompt(self.name, prompt, what)

    def ended(self, law: Tensor, prefixes: Prefixes) -> Tensor:
        """The law, `eos` with certainty at the horizon and after the end; `law` is overwritten."""
        done = prefixes.ended | (prefixes.generated >= self.max_length)
        law[done] = 0
        law[done, self.vocabulary.eos] = 1
        return law

    def _texts(self, n: int, split: str, seed: int) -> Ints:
        check_request(n, split)
        found: list[Ints] = []
        number = 0
        while sum(map(len, found)) < n:
            texts, splits = self.chunk(seed, number)
            found.append(texts[splits == split])
            if not len(found[0]):
                raise InvalidInputError(
                    f"{self.name}: none of the first {len(texts)} texts is of the {split} split, for there are too few "
                    "different ones; make them longer"
                )
            number += 1
        return np.concatenate(found)[:n]


def with_splits(task: str, texts: Ints, eos: int) -> Chunk:
    """Texts [N, W], each with the split of its tokens before `eos`."""
    lengths = np.where((texts == eos).any(1), (texts == eos).argmax(1), texts.shape[1])
    items = (" ".join(map(str, text[:n])) for text, n in zip(texts.tolist(), lengths.tolist(), strict=True))
    return Chunk(texts, np.array([split_of(task, item) for item in items]))


def columns(cells: Tensor, lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
    """What to read one token after another, of many texts at once.

    Args:
        cells: int64 [B, C].
        lengths: int64 [B], cells that count.

    Returns:
        The rows, the longest first, int64 [B], and cell 0, 1, 2, … of those of them that have one: int64 [<= B] each.
    """
    lengths, order = lengths.sort(descending=True, stable=True)
    cells = cells[order].T.contiguous()
    reach = (lengths > torch.arange(int(lengths[0]), device=cells.device)[:, None]).sum(1).tolist()
    return order, [cells[t, :n] for t, n in enumerate(reach)]
