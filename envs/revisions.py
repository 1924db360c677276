"""Batched episodes of edits in numpy: `seqil.revise` of all rows, with budget and reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqil import Edits, Prefixes, Task, Vocabulary, begin_with, revise
from seqil.errors import InvalidInputError, check_known
from seqil.mdp.edits import KINDS, are_legal, legal_edits, legal_factors

from .episodes import Bools, Episodes, Ints, Reward

STARTS = ("empty", "draft", "noise")
MOST_TOKENS = 1000
"""Of a vocabulary whose edits are one number each; those of a larger one are three."""


@dataclass(frozen=True)
class Revision:
    """What an episode of edits has beside what every episode has; see `TextRevisionEnv`."""

    start: str = "empty"
    kinds: Sequence[str] = KINDS
    positions: str = "any"
    drafts: Sequence[Sequence[int]] | None = None

    def __post_init__(self) -> None:
        check_known("start", self.start, STARTS)
        if self.drafts is not None and self.start != "draft":
            raise InvalidInputError(f"drafts are not read with start={self.start!r}; give start='draft'")


class RevisionEpisodes(Episodes):
    """The states of `rows` episodes of edits."""

    def __init__(
        self,
        rows: int,
        revision: Revision,
        vocabulary: Vocabulary | Mapping[str, int] | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        max_actions: int | None = None,
        prompts: Sequence[Sequence[int]] | None = None,
        task: Task | str | None = None,
        max_prompt_length: int | None = None,
        reward: Reward | None = None,
        fixed_horizon: bool = False,
    ) -> None:
        super().__init__(
            *(rows, vocabulary, max_length, min_length, max_actions, prompts, task),
            *(max_prompt_length, reward, True, fixed_horizon),
        )
        self.edits = Edits(self.vocabulary, self.max_length, tuple(revision.kinds), revision.positions)
        self.factors = self.edits.factors if self.vocabulary.size > MOST_TOKENS else None
        self.num_actions = sum(self.factors) if self.factors else self.edits.num_actions
        self.start = revision.start
        self.drafts = self._drafts(revision.drafts, prompts is None) if self.start == "draft" else []

    def begin(self, row: int, random: np.random.Generator, prompt: list[int] | None) -> None:
        """Put a row at the start of an episode, with a draft or noise behind its prompt if that is asked for."""
        item = int(random.integers(len(self.prompts))) if prompt is None else self.item_of(prompt)
        super().begin(row, random, self.prompts[item] if prompt is None else prompt)
        text = self._noise(random) if self.start == "noise" else self.drafts[item] if self.drafts else []
        at = int(self.length[row])
        self.tokens[row, at : at + len(text)] = text
        self.length[row] += len(text)

    def item_of(self, prompt: Sequence[int]) -> int:
        """The place of a prompt among those that have drafts; of no matter where there are none."""
        if not self.drafts:
            return 0
        if list(prompt) not in self.prompts:
            raise InvalidInputError(
                f"the prompt {list(prompt)} has no draft; start at one of the environment's prompts"
            )
        return self.prompts.index(list(prompt))

    def mask(self) -> NDArray[np.int8]:
        """Legal edits, int8 [rows, A]; of edits in three parts, which values some legal edit has: [rows, 4 + W + V]."""
        legal = legal_factors if self.factors else legal_edits
        return legal(self.edits, self._prefixes()).numpy().astype(np.int8)

    def parts(self, action: Any) -> tuple[int, int, int]:
        """Kind, place and token of an action."""
        found = np.asarray(action) if self.factors else [int(x) for x in self.edits.split(torch.tensor(int(action)))]
        kind, place, token = (int(x) for x in found)
        return kind, place, token

    def _move(self, actions: Ints) -> Bools:
        before, taken, on = self._prefixes(), torch.from_numpy(actions), self.running
        legal: Bools = are_legal(self.edits, before, taken).numpy()
        after = revise(self.edits, before, taken)
        self.tokens[on], self.length[on] = after.tokens.numpy()[on], after.length.numpy()[on]
        self.ended[on] = after.ended.numpy()[on]
        return legal

    def _checked(self, actions: Any) -> Ints:
        if not self.factors:
            return super()._checked(actions)
        found = np.asarray(actions)
        shape = (*self.running.shape, len(self.factors))
        if found.shape != shape or found.dtype.kind not in "iu":
            raise self._other_kind(f"{shape[1]} integers", actions, found)
        wrong = (found < 0) | (found >= np.array(self.factors))
        if wrong.any():
            raise InvalidInputError(f"action {found[wrong.any(1)][0].tolist()} is out of range of {self.factors}")
        joined: Ints = self.edits.join(*torch.from_numpy(found.astype(np.int64)).unbind(1)).numpy()
        return joined

    def _prefixes(self) -> Prefixes:
        arrays = (self.tokens, self.length, self.prompt_length, self.ended)
        tokens, length, prompt_length, ended = (torch.from_numpy(x) for x in arrays)
        return Prefixes(tokens, length, prompt_length, ended, self.max_length, self.min_length)

    def _noise(self, random: np.random.Generator) -> list[int]:
        """Any tokens but `eos`, any number of them that is legal."""
        length = int(random.integers(self.min_length, self.max_length + 1))
        tokens: list[int] = random.integers(0, self.vocabulary.size - 1, length).tolist()
        return [token + (token >= self.vocabulary.eos) for token in tokens]

    def _drafts(self, given: Sequence[Sequence[int]] | None, pooled: bool) -> list[list[int]]:
        """A text for each prompt: those that are given, or the task's demonstrations."""
        if given is None:
            if self.task is None or not pooled:
                raise InvalidInputError("start='draft' needs drafts=[[…], …], one per prompt, or a task's own prompts")
            eos = self.vocabulary.eos
            texts = self.task.demonstrations(len(self.prompts), "train", 0).replay().texts()
            given = [text[:-1] if text[-1:] == [eos] else text for text in texts]
        begin_with(self.vocabulary, self.prompts, given, self.max_length, self.min_length)
        return [list(text) for text in given]
