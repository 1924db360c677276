"""Real text: prompts and continuations, as places in a long array of ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqil import Task, Trajectories, Vocabulary
from seqil.errors import InvalidInputError, counted
from seqil.mdp.task import SPLITS

from . import counters
from .corpus import BY_HASH, Corpus
from .requests import check_request, split_of
from .sampled import Ints

_BLOCK = 32  # windows of a document that go to one split together
_CELLS = 1 << 22  # ids that are looked at together


@dataclass(frozen=True, eq=False)
class Windows:
    """Texts by split, without duplicates.

    Attributes:
        name: of the task, for messages and the order of items.
        vocabulary: the ids.
        ids: of all documents, one after another.
        places: int64 [N, 3]: where a prompt begins, its tokens, and those of the text that follows.
        splits: int8 [N], index of the split of each.
        max_length: most tokens of a text.
        min_length: fewest.
        left_out: number of those that were there already.
    """

    name: str
    vocabulary: Vocabulary
    ids: NDArray[Any]
    places: Ints
    splits: NDArray[np.int8]
    max_length: int
    min_length: int
    left_out: int = 0

    @classmethod
    def of_parts(
        cls,
        name: str,
        vocabulary: Vocabulary,
        prompt_length: int,
        max_length: int,
        parts: Iterable[tuple[str, Sequence[int]]],
    ) -> Windows:
        """Whole windows of parts of texts, each with its split; what is left at the end of a part is left out."""
        check_lengths(name, prompt_length, max_length)
        found = [(split, np.asarray(ids, dtype=np.int64)) for split, ids in parts]
        counts = np.array([len(ids) // (prompt_length + max_length) for _, ids in found])
        begun = np.cumsum([0, *(len(ids) for _, ids in found)])[:-1]
        places = _whole(begun, counts, prompt_length, max_length)
        splits = np.repeat([SPLITS.index(split) for split, _ in found], counts).astype(np.int8)
        ids = np.concatenate([ids for _, ids in found])
        kept = _first_of_each(ids, places)
        again = len(places) - len(places[kept])
        return cls(name, vocabulary, ids, places[kept], splits[kept], max_length, max_length, again)

    @classmethod
    def of_documents(
        cls, name: str, vocabulary: Vocabulary, prompt_length: int, max_length: int, corpus: Corpus
    ) -> Windows:
        """Texts that end where a document does; a single one of plain text is a stream, and has no end."""
        check_lengths(name, prompt_length, max_length)
        documents = corpus.documents
        stream = len(documents) == 1 and documents[0, 1] < 0 and documents[0, 4] == 0
        places, owner = _cut(documents, prompt_length, max_length, stream)
        kept = _first_of_each(corpus.ids, places)
        number = np.arange(len(owner)) - np.searchsorted(owner, owner)
        units = np.stack([owner, number // _BLOCK], 1)[kept]
        splits = _splits(name, corpus, units, stream)
        again, least = len(places) - len(places[kept]), max_length if stream else 0
        return cls(name, vocabulary, corpus.ids, places[kept], splits, max_length, least, again)

    @cached_property
    def longest_prompt(self) -> int:
        """Tokens of the longest prompt."""
        return int(self.places[:, 1].max())

    def available(self, split: str) -> int:
        """How many texts a split has."""
        check_request(1, split)
        return int((self.splits == SPLITS.index(split)).sum())

    def texts(self, split: str) -> list[tuple[int, ...]]:
        """Prompt and text of each item of a split, in the order of the documents."""
        places = self.places[self.splits == SPLITS.index(split)]
        return [tuple(self.ids[at : at + p + n].tolist()) for at, p, n in places.tolist()]

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """What comes before the texts."""
        return [self.ids[at : at + p].tolist() for at, p, _ in self._items(n, split, seed).tolist()]

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The texts, then `eos`."""
        v, places = self.vocabulary, self._items(n, split, seed)
        begun, before, length = places.T
        prompts, texts = self._cells(begun, before), self._cells(begun + before, length)
        actions = np.pad(texts, ((0, 0), (0, 1)), constant_values=v.size)
        actions[np.arange(n), length] = v.eos
        return Trajectories.from_actions(
            v,
            torch.from_numpy(prompts),
            torch.from_numpy(actions),
            lengths=torch.from_numpy(length + 1),
            max_length=self.max_length,
            min_length=self.min_length,
        )

    def _cells(self, begun: Ints, length: Ints) -> Ints:
        """Ids from given places on, padded with `vocabulary.size`."""
        return np.where(*_gathered(self.ids, begun, length), self.vocabulary.size)

    def _items(self, n: int, split: str, seed: int) -> Ints:
        """Places of the first `n` texts of a split in the order of `seed`."""
        there = self.available(split)
        check_request(n, split)
        if n > there:
            raise InvalidInputError(
                f"{self.name}: {n} items were asked for, the {split} split has {counted(there, 'window')}; ask for "
                "fewer (--demonstrations, -n), take another --split, or give more data"
            )
        of_split = np.flatnonzero(self.splits == SPLITS.index(split))
        return self.places[of_split[counters.first_shuffled(n, there, self.name, split, seed)]]


class ExcerptTask(Task):
    """A task whose prompts and texts are the windows of documents.

    Attributes:
        windows: all of them, by split.
    """

    windows: Windows

    def available(self, split: str) -> int:
        """Windows, ends of documents and completions."""
        return self.windows.available(split)

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """What comes before the texts."""
        return self.windows.prompts(n, split, seed)

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The texts."""
        return self.windows.demonstrations(n, split, seed)


def check_lengths(name: str, prompt_length: int, max_length: int) -> None:
    """Refuse windows without a prompt or a continuation."""
    if prompt_length < 1 or max_length < 1:
        raise InvalidInputError(f"{name}: prompt_length={prompt_length}, max_length={max_length} must be positive")


def _whole(begun: Ints, counts: Ints, prompt_length: int, max_length: int) -> Ints:
    """Places of so many windows, side by side, from each beginning on."""
    number = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    at = np.repeat(begun, counts) + number * (prompt_length + max_length)
    return np.stack([at, np.full_like(at, prompt_length), np.full_like(at, max_length)], 1)


def _cut(documents: Ints, prompt_length: int, max_length: int, stream: bool) -> tuple[Ints, Ints]:
    """Places in documents, int64 [N, 3], and the document of each, int64 [N], in order.

    A document with a prompt of its own is one text. Another is cut into whole windows, and its end is one more text,
    after the `prompt_length` tokens before it where these are not its own. A document that is shorter than a window
    has as its prompt at most its first half. Of an end that is longer than `max_length` the last tokens are the text,
    and those before belong to the prompt.
    """
    begun, own, length = documents[:, :3].T
    counts = np.where(own >= 0, 0, length // (prompt_length + max_length))
    whole = _whole(begun, counts, prompt_length, max_length)
    rest = length - counts * (prompt_length + max_length)
    before = np.where(counts > 0, prompt_length, np.minimum(prompt_length, (length // 2).clip(min=1)))
    before = np.where(own >= 0, own, before)
    text = np.where((counts > 0) & (rest <= prompt_length), rest, rest - before)
    long = (own < 0) & (text > max_length)
    text = np.where(long, max_length, text)
    before = np.where(long, np.minimum(prompt_length, length - max_length), before)
    ends = np.stack([begun + length - text - before, before, text], 1)
    ended = ((rest > 0) | (own >= 0)) & (not stream)
    places = np.concatenate([whole, ends[ended]])
    owner = np.concatenate([np.repeat(np.arange(len(documents)), counts), np.flatnonzero(ended)])
    order = np.argsort(owner, kind="stable")
    return places[order], owner[order]


def _gathered(ids: NDArray[Any], begun: Ints, length: Ints) -> tuple[NDArray[np.bool_], Ints]:
    """Which cells count, bool [B, W], and the ids from given places on, int64 [B, W]."""
    step = np.arange(length.max(initial=0))
    inside = step < length[:, None]
    return inside, ids[np.where(inside, begun[:, None] + step, 0)].astype(np.int64)


def _first_of_each(ids: NDArray[Any], places: Ints) -> Ints:
    """Rows of the first of all equal items, told apart by 64 bits."""
    if not len(places):
        return np.zeros(0, dtype=np.int64)
    total = places[:, 1] + places[:, 2]
    weights = counters.words("windows", shape=(int(total.max()) + 2,)) | np.uint64(1)
    rows = max(1, _CELLS // len(weights))
    sums = [_sums(ids, places[at : at + rows], weights) for at in range(0, len(places), rows)]
    return np.sort(np.unique(np.concatenate(sums), return_index=True)[1])


def _sums(ids: NDArray[Any], places: Ints, weights: counters.Words) -> counters.Words:
    inside, cells = _gathered(ids, places[:, 0], places[:, 1] + places[:, 2])
    cells = np.where(inside, cells + 1, 0).astype(np.uint64)
    width = cells.shape[1]
    return cells @ weights[:width] + places[:, 1:].astype(np.uint64) @ weights[-2:]


def _splits(name: str, corpus: Corpus, units: Ints, stream: bool) -> NDArray[np.int8]:
    """Splits by the hash of file, document and block; one that got nothing has its share of the end of training."""
    changes = np.append(True, (units[1:] != units[:-1]).any(1))[: len(units)]
    unit = changes.cumsum() - 1
    of_unit = [_split_of_unit(name, corpus, document, block, stream) for document, block in units[changes].tolist()]
    splits = np.array(of_unit, dtype=np.int8)[unit] if of_unit else np.zeros(0, dtype=np.int8)
    own = {SPLITS[i] for i in np.unique(corpus.documents[:, 5]).tolist() if i != BY_HASH} | corpus.named
    for named in sorted(own) if len(own) > 1 else ():
        if (splits != SPLITS.index(named)).all():
            raise InvalidInputError(
                f"{name}: the split {named} is named, and is empty, or holds nothing that is not in another one, too; "
                "give it texts of its own, or files that name no splits"
            )
    if (splits != 0).all():  # too few for chance, or a data set of one other split
        splits = np.zeros_like(splits)
    for split in (2, 1):
        training = np.flatnonzero(splits == 0)
        if (splits != split).all() and len(training) > 1:
            splits[_last_share(training, unit)] = split
    return splits


def _split_of_unit(name: str, corpus: Corpus, document: int, block: int, stream: bool) -> int:
    file, number, own = map(int, corpus.documents[document, 3:])
    if own != BY_HASH:
        return own
    place = f"{corpus.names[file]}:{block}" if stream else f"{corpus.names[file]}:{number}:{block}"
    return SPLITS.index(split_of(name, place))


def _last_share(rows: Ints, unit: Ints) -> Ints:
    """The last twentieth of rows, at least one: whole units, if there are three or more."""
    last = rows[-max(1, len(rows) // 20) :]
    different = unit[rows[0]] != unit[last[0]] and len(np.unique(unit[rows])) > 2
    return rows[unit[rows] >= unit[last[0]]] if different else last
