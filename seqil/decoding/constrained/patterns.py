"""Regular expressions as finite automata over the bytes of UTF-8, and over the tokens that spell them.

An expression means what it means to `re.fullmatch`, whose parser reads it. Nondeterministic automaton by Thompson
(1968), ranges of characters as ranges of bytes as in RE2, the deterministic one state by state as it is reached.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from re import _constants as sre  # type: ignore[attr-defined]  # the parser of the standard library
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from ...errors import InvalidInputError
from .automata import Automaton
from .spelling import Pieces

Range = tuple[int, int]
_LAST, _SURROGATES, _MOST_STATES = 0x10FFFF, (0xD800, 0xDFFF), 20_000
_KINDS = {
    **{sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_NOT_DIGIT: r"\D", sre.CATEGORY_SPACE: r"\s"},
    **{sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_WORD: r"\w", sre.CATEGORY_NOT_WORD: r"\W"},
}


class Nfa:
    """A nondeterministic automaton over bytes; state 0 is its start, `end` its end.

    Raises:
        InvalidInputError: what is no regular expression, or no regular language.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.edges: list[list[tuple[int, int, int]]] = [[]]
        self.free: list[list[int]] = [[]]
        try:
            parsed = _parser.parse(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidInputError(f"grammar {pattern!r:.60} is no regular expression: {error}") from None
        if parsed.state.flags & ~re.UNICODE:
            raise self._refused("flags")
        self.end = self._sequence(parsed, 0)

    def closure(self, states: Sequence[int]) -> frozenset[int]:
        """With those that are reached without a byte."""
        found, waiting = set(states), list(states)
        while waiting:
            new = [s for s in self.free[waiting.pop()] if s not in found]
            found.update(new)
            waiting += new
        return frozenset(found)

    def _new(self) -> int:
        if len(self.edges) > _MOST_STATES:
            raise self._refused(f"more than {_MOST_STATES:,} states")
        self.edges.append([])
        self.free.append([])
        return len(self.edges) - 1

    def _refused(self, what: str) -> InvalidInputError:
        return InvalidInputError(
            f"grammar {self.pattern!r:.60} holds {what}, which a rule cannot follow; write it with letters, classes, "
            "groups, | and repetitions"
        )

    def _sequence(self, parsed: Any, at: int) -> int:
        """States that read a sequence from state `at`: the last of them."""
        for kind, what in parsed:
            at = self._one(kind, what, at)
        return at

    def _one(self, kind: Any, what: Any, at: int) -> int:
        if kind in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._character(self._ranges(kind, what), at)
        if kind is sre.SUBPATTERN and not what[1] and not what[2]:
            return self._sequence(what[3], at)
        if kind is sre.BRANCH:
            return self._joined([self._sequence(part, self._branch(at)) for part in what[1]])
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, parsed = what
            return self._repeated(least, most, parsed, at)
        raise self._refused(str(kind).lower().replace("_", " "))

    def _branch(self, at: int) -> int:
        new = self._new()
        self.free[at].append(new)
        return new

    def _joined(self, ends: Sequence[int]) -> int:
        new = self._new()
        for end in ends:
            self.free[end].append(new)
        return new

    def _repeated(self, least: int, most: Any, parsed: Any, at: int) -> int:
        for _ in range(least):
            at = self._sequence(parsed, at)
        if most is sre.MAXREPEAT:
            loop = self._branch(at)
            self.free[self._sequence(parsed, loop)].append(loop)
            return self._branch(loop)
        ends = [at]
        for _ in range(most - least):
            ends.append(self._sequence(parsed, self._branch(ends[-1])))
        return self._joined(ends)

    def _character(self, ranges: Sequence[Range], at: int) -> int:
        end = self._new()
        shared: dict[tuple[int, int, int], int] = {}
        for low, high in ranges:
            for steps in byte_ranges(low, high):
                here = at
                for first, last in steps[:-1]:
                    if (here, first, last) not in shared:
                        shared[here, first, last] = self._new()
                        self.edges[here].append((first, last, shared[here, first, last]))
                    here = shared[here, first, last]
                self.edges[here].append((*steps[-1], end))
        return end

    def _ranges(self, kind: Any, what: Any) -> list[Range]:
        """Characters of a class."""
        if kind is sre.LITERAL:
            return [(what, what)]
        if kind is sre.NOT_LITERAL:
            return _others([(what, what)])
        if kind is sre.ANY:
            return _others([(10, 10)])
        if kind is sre.RANGE:
            return [what]
        if kind is sre.CATEGORY:
            return list(_of_kind(_KINDS[what]))
        found = [one for part, value in what if part is not sre.NEGATE for one in self._ranges(part, value)]
        return _others(found) if what[0][0] is sre.NEGATE else found


def byte_ranges(low: int, high: int) -> Iterator[list[Range]]:
    """The UTF-8 of all characters of a range, as sequences of ranges of bytes."""
    for first, last in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, _LAST)):
        if max(low, first) <= min(high, last):
            yield from _split(max(low, first), min(high, last))


def _split(low: int, high: int) -> Iterator[list[Range]]:
    """The same for characters of one length, where the last bytes must take all of their values or one range."""
    for tail in ((1 << 6 * n) - 1 for n in (1, 2, 3)):
        if low & ~tail == high & ~tail or high < 0x80:
            continue
        cut = (low | tail) + 1 if low & tail else high & ~tail if high & tail != tail else None
        if cut is not None:
            yield from _split(low, cut - 1)
            yield from _split(cut, high)
            return
    yield list(zip(chr(low).encode(), chr(high).encode(), strict=True))


def _others(ranges: Sequence[Range]) -> list[Range]:
    """All characters but these."""
    found, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return [*found, (at, _LAST)] if at <= _LAST else found


@cache
def _of_kind(escape: str) -> tuple[Range, ...]:
    """Characters of `\\d` and its like."""
    known = [c for c in range(_LAST + 1) if not _SURROGATES[0] <= c <= _SURROGATES[1]]
    text = "".join(map(chr, known))
    spans = [match.span() for match in re.finditer(f"{escape}+", text)]
    return tuple((known[a], known[b - 1]) for a, b in spans)


class _Trie:
    """Tokens by the bytes that spell them."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.children: dict[int, _Trie] = {}

    @classmethod
    def of(cls, pieces: Pieces) -> _Trie:
        root = cls()
        for token, piece in enumerate(pieces):
            at = root
            for byte in piece or b"":
                at = at.children.setdefault(byte, cls())
            if piece:
                at.tokens.append(token)
        return root


def automaton_of(pattern: str, pieces: Pieces) -> Automaton:
    """The automaton over tokens of the texts that match a regular expression as a whole.

    Raises:
        InvalidInputError: as `Nfa`, or one with too many states.
    """
    nfa, tokens = Nfa(pattern), _Trie.of(pieces)
    start = nfa.closure([0])
    steps: dict[frozenset[int], dict[int, frozenset[int]]] = {}
    moves: dict[frozenset[int], dict[int, frozenset[int]]] = {}
    waiting = [start]
    while waiting:
        state = waiting.pop()
        if state in moves:
            continue
        if len(moves) >= _MOST_STATES:
            raise nfa._refused(f"more than {_MOST_STATES:,} states")
        row: dict[int, frozenset[int]] = {}
        moves[state] = row
        branches = [(tokens, state)]
        while branches:
            node, at = branches.pop()
            row |= dict.fromkeys(node.tokens, at)
            if at not in steps:
                steps[at] = _by_byte(nfa, at)
            branches += [(child, steps[at][byte]) for byte, child in node.children.items() if byte in steps[at]]
        waiting += set(row.values())
    numbers = {state: number for number, state in enumerate(moves)}
    by_number: dict[Any, dict[int, Any]] = {
        numbers[a]: {token: numbers[b] for token, b in row.items()} for a, row in moves.items()
    }
    return Automaton(numbers[start], by_number, frozenset(numbers[s] for s in moves if nfa.end in s))


def _by_byte(nfa: Nfa, state: frozenset[int]) -> dict[int, frozenset[int]]:
    """States after each byte that leads anywhere."""
    reached: dict[int, list[int]] = {}
    for one in state:
        for first, last, after in nfa.edges[one]:
            for byte in range(first, last + 1):
                reached.setdefault(byte, []).append(after)
    return {byte: nfa.closure(after) for byte, after in reached.items()}
