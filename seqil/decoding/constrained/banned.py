"""Words and sequences that are never written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from .constraints import Standing
from .spelling import Pieces

S = TypeVar("S")


class Sequences:
    """No token that completes one of these sequences of ids, which may begin in the prompt."""

    def __init__(self, sequences: Sequence[Sequence[int]], size: int) -> None:
        self.size = size
        self.before = [(list(ids[:-1]), ids[-1]) for ids in sequences]

    def __call__(self, standing: Standing) -> Tensor:
        """As `Constraint.allows`."""
        written = [*standing.prompt, *standing.text]
        allowed = torch.ones(self.size, dtype=torch.bool)
        for before, last in self.before:
            if not before or written[-len(before) :] == before:
                allowed[last] = False
        return allowed


class Matcher(Generic[S]):
    """How far into each of several words a text has come: the automaton of Aho & Corasick (1975)."""

    def __init__(self, words: Sequence[Sequence[S]]) -> None:
        self.next: list[dict[S, int]] = [{}]
        self.fallback, self.found = [0], [False]
        for word in words:
            at = 0
            for symbol in word:
                if symbol not in self.next[at]:
                    self.next[at][symbol] = len(self.next)
                    self.next.append({})
                    self.fallback.append(0)
                    self.found.append(False)
                at = self.next[at][symbol]
            self.found[at] = True
        self._fall_back()

    def _fall_back(self) -> None:
        """Of every state the longest shorter one that the same text is in, breadth first."""
        waiting = list(self.next[0].values())
        for at in waiting:
            for symbol, after in self.next[at].items():
                self.fallback[after] = self.step(self.fallback[at], symbol)
                self.found[after] |= self.found[self.fallback[after]]
                waiting.append(after)

    def step(self, at: int, symbol: S) -> int:
        """The state after one more symbol."""
        while at and symbol not in self.next[at]:
            at = self.fallback[at]
        return self.next[at].get(symbol, 0)

    def run(self, at: int, symbols: Sequence[S]) -> tuple[int, bool]:
        """The state after several, and whether a word was completed on the way."""
        hit = False
        for symbol in symbols:
            at = self.step(at, symbol)
            hit |= self.found[at]
        return at, hit


class Words:
    """No token with which the text, whose beginning may be the end of the prompt, would hold one of these words."""

    def __init__(self, words: Sequence[str], pieces: Pieces) -> None:
        self.pieces: Pieces = pieces
        self.matcher: Matcher[int] = Matcher([word.encode() for word in words])
        self._allowed: dict[int, Tensor] = {}

    def __call__(self, standing: Standing) -> Tensor:
        """As `Constraint.allows`."""
        at = 0
        for token in [*standing.prompt, *standing.text]:
            piece = self.pieces[token]
            at = 0 if piece is None else self.matcher.run(at, piece)[0]
        if at not in self._allowed:
            self._allowed[at] = torch.tensor([not self.matcher.run(at, piece or b"")[1] for piece in self.pieces])
        return self._allowed[at]


def both(parts: Sequence[Callable[[Standing], Any]]) -> Callable[[Standing], Tensor]:
    """What all of them allow."""
    return lambda standing: torch.stack([part(standing) for part in parts]).all(0)
