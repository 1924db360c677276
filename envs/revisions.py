"""Batched episodes of edits in numpy: `seqil.revise` of all rows, with budget and reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from seqil import Edits, Prefixes, Task, Vocabulary, begin_with, revise
from seqil.errors import InvalidInputError, check_known
from seqil.errors.limits import check_budget
from seqil.mdp.edits import DELETE, INSERT, KINDS, SUBSTITUTE, are_legal, legal_edits, legal_factors

from .constructors import id_lists
from .episodes import Bools, Episodes, Ints, Reward, SelfDescribing

STARTS = ("empty", "draft", "noise")
MOST_TOKENS = 1000
"""Of a vocabulary whose edits are one number each; those of a larger one are three."""
MISTAKES = 0.1
"""Share of a demonstration's tokens that is edited before it is a draft."""

Below = Callable[[int], int]
"""n -> one of 0 … n - 1, drawn alike."""

_TRIES = 20
"""To draw mistakes that leave no right text."""


@dataclass(frozen=True)
class Revision:
    """What an episode of edits has beside what every episode has; see `TextRevisionEnv`."""

    start: str = "empty"
    kinds: Sequence[str] | str = KINDS
    positions: str = "any"
    drafts: Sequence[Sequence[int]] | None = None
    mistakes: float | None = None

    def __post_init__(self) -> None:
        check_known("start", self.start, STARTS)
        if self.drafts is not None and self.start != "draft":
            raise InvalidInputError(f"drafts are not read with start={self.start!r}; give start='draft'")
        if self.mistakes is not None and self.start != "draft":
            raise InvalidInputError(f"mistakes are not made with start={self.start!r}; give start='draft'")
        if self.mistakes is not None and not 0 <= self.mistakes <= 1:
            raise InvalidInputError(f"mistakes={self.mistakes!r} must lie in [0, 1]: a share of the tokens of a draft")


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
        self.edits = Edits(self.vocabulary, self.max_length, cast(Any, revision.kinds), revision.positions)
        self.factors = self.edits.factors if self.vocabulary.size > MOST_TOKENS else None
        self.num_actions = sum(self.factors) if self.factors else self.edits.num_actions
        self.start = revision.start
        self.drafts = self._drafts(revision.drafts, prompts is None) if self.start == "draft" else []
        as_they_are = revision.drafts is not None or (self.task is not None and self.task.beyond_data)
        self.mistakes = (0.0 if as_they_are else MISTAKES) if revision.mistakes is None else revision.mistakes
        self._check_way()

    def begin(self, row: int, random: np.random.Generator, prompt: list[int] | None) -> None:
        """Put a row at the start of an episode, with a draft or noise behind its prompt if that is asked for."""
        item = int(random.integers(len(self.prompts))) if prompt is None else self.item_of(prompt)
        super().begin(row, random, self.prompts[item] if prompt is None else prompt)
        text = self._noise(random) if self.start == "noise" else []
        if self.drafts:
            text = self.draft(item, lambda limit: int(random.integers(limit)))
        at = int(self.length[row])
        self.tokens[row, at : at + len(text)] = text
        self.length[row] += len(text)

    def check_ends(self) -> None:
        """Nothing: how many actions a text takes depends on what an episode begins with."""

    def count_actions(self) -> int:
        """As of `mask`; asked before there are edits."""
        V, W = self.vocabulary.size, self.max_length
        return W * (2 * V + 1) + 1 if V <= MOST_TOKENS else 4 + W + V

    def _check_way(self) -> None:
        """Refuse what leaves a text as it is, or a budget that no text can be ended within."""
        inserts, shortest = "insert" in self.edits.kinds, min(map(len, self.drafts), default=0)
        if self.start == "empty" and not inserts:
            raise InvalidInputError(
                f"kinds={list(self.edits.kinds)} can do nothing to an empty text; add 'insert', or give start='draft' "
                "or 'noise'"
            )
        missing = max(0, self.min_length - shortest) if self.start != "noise" and inserts else 0
        check_budget(self.max_actions, missing + 1, f"min_length={self.min_length} and to stop")

    def draft(self, item: int, below: Below) -> list[int]:
        """The draft of a prompt, with its share of mistakes, which leave no text that the task calls right."""
        text = found = self.drafts[item]
        number = max(1, round(self.mistakes * len(text))) if self.mistakes else 0
        for _ in range(_TRIES if number else 0):
            found = mistaken(self.edits, text, number, below)
            if found != text and not self._is_right(self.prompts[item], found):
                break
        return found

    def _is_right(self, prompt: Sequence[int], text: Sequence[int]) -> bool:
        if self.task is None or len(text) < self.min_length:
            return False
        return bool(self.task.success(prompt, [*text, self.vocabulary.eos]))

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
        texts = id_lists("drafts", given)
        begin_with(self.vocabulary, self.prompts, texts, self.max_length, self.min_length)
        return texts


def mistaken(edits: Edits, text: Sequence[int], number: int, below: Below) -> list[int]:
    """A text after some edits at random, kinds, places and tokens alike, each of which an edit of the alphabet undoes.

    Args:
        edits: the alphabet.
        text: without `eos`.
        number: of edits; fewer where nothing more can be undone.
        below: what is drawn with.
    """
    found = list(text)
    for _ in range(number):
        if kinds := _undone(edits, len(found)):
            _mistake(edits, found, kinds[below(len(kinds))], below)
    return found


def _undone(edits: Edits, length: int) -> list[int]:
    """Kinds of edits of a text of some length that an edit of the alphabet takes back."""
    possible = {
        INSERT: "delete" in edits.kinds and length < edits.max_length,
        DELETE: "insert" in edits.kinds and length > 0,
        SUBSTITUTE: "substitute" in edits.kinds and length > 0 and edits.vocabulary.size > 2,
    }
    return [kind for kind, can_be in possible.items() if can_be]


def _mistake(edits: Edits, text: list[int], kind: int, below: Below) -> None:
    """One edit at random, in place."""
    last = len(text) - (kind != INSERT)
    place = last if edits.positions == "end" else below(last + 1)
    if kind == DELETE:
        del text[place]
        return
    stood = [] if kind == INSERT else [text.pop(place)]
    others = sorted({edits.vocabulary.eos, *stood})
    token = below(edits.vocabulary.size - len(others))
    for other in others:
        token += token >= other
    text.insert(place, token)


class WithEdits(SelfDescribing):
    """What an environment of edits says of itself beside what every environment does."""

    _episodes: RevisionEpisodes

    @property
    def edits(self) -> Edits:
        """Which number is which edit: `edits.insert(place, token)`, `edits.stop`, `edits.split(actions)`."""
        return self._episodes.edits
