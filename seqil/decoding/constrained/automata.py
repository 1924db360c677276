"""Finite automata over tokens, and which of their states lead to a text that may end."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from .constraints import Standing

State = Hashable


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic finite automaton that reads tokens.

    Attributes:
        start: state before the first token of a text; the prompt is not read.
        moves: by state and token, the next state; a token that is missing is not allowed there.
        ends: states in which a text may end.
    """

    start: State
    moves: Mapping[State, Mapping[int, State]]
    ends: frozenset[State] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        rows = self.moves.values() if isinstance(self.moves, Mapping) else [None]
        if not all(isinstance(row, Mapping) for row in rows) or not isinstance(self.ends, Collection):
            raise InvalidInputError(
                "Automaton: moves are {state: {token: state}} and ends a set of states; give them so"
            )

    @cached_property
    def states(self) -> dict[State, int]:
        """Numbers of all states."""
        there = {self.start, *self.moves, *self.ends, *(s for row in self.moves.values() for s in row.values())}
        return {state: number for number, state in enumerate(sorted(there, key=repr))}

    @cached_property
    def edges(self) -> dict[State, tuple[Tensor, NDArray[np.int64]]]:
        """Of every state its tokens, int64 [n], and the numbers of the states that they lead to, int64 [n]."""
        return {
            state: (
                torch.tensor(list(row), dtype=torch.int64),
                np.array([self.states[after] for after in row.values()], dtype=np.int64),
            )
            for state, row in self.moves.items()
        }

    def after(self, text: list[int]) -> State | None:
        """The state that a text leads to; None: it is no beginning of one that the automaton knows."""
        state: State | None = self.start
        for token in text:
            state = self.moves.get(state, {}).get(token)
            if state is None:
                return None
        return state

    def hopeful(self, max_length: int, min_length: int) -> NDArray[np.bool_]:
        """Whether a state after so many tokens leads to a text of these lengths: bool [max_length + 1, states]."""
        ends = np.zeros(len(self.states), dtype=np.bool_)
        ends[[self.states[state] for state in self.ends]] = True
        pairs = {(self.states[a], self.states[b]) for a, row in self.moves.items() for b in set(row.values())}
        source, target = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
        found = np.zeros((max_length + 1, len(ends)), dtype=np.bool_)
        for length in reversed(range(max_length + 1)):
            if length >= min_length:
                found[length] = ends
            if length < max_length:
                found[length, source[found[length + 1, target]]] = True
        return found


class Following:
    """What a text of an automaton may go on with, so that it ends within the lengths that are asked for."""

    def __init__(self, name: str, automaton: Automaton, size: int, eos: int) -> None:
        self.name, self.automaton, self.size, self.eos = name, automaton, size, eos
        self._hopeful: dict[tuple[int, int], NDArray[np.bool_]] = {}
        beyond = sorted({t for row in automaton.moves.values() for t in row if not 0 <= t < size or t == eos})
        if beyond:
            raise InvalidInputError(
                f"{name}: a move by {beyond[0]}, which is no token of a text; it has 0..{size - 1} but for eos, {eos}"
            )

    def __call__(self, standing: Standing) -> Tensor:
        """As `Constraint.allows`."""
        limits, length, allowed = (standing.max_length, standing.min_length), len(standing.text), _none_of(self.size)
        if limits not in self._hopeful:
            self._hopeful[limits] = self._checked(*limits)
        state = self.automaton.after(standing.text)
        if state in self.automaton.edges and length < standing.max_length:
            tokens, targets = self.automaton.edges[state]
            allowed[tokens[torch.from_numpy(self._hopeful[limits][length + 1, targets])]] = True
        allowed[self.eos] = state in self.automaton.ends
        return allowed

    def _checked(self, max_length: int, min_length: int) -> NDArray[np.bool_]:
        found = self.automaton.hopeful(max_length, min_length)
        if not found[0, self.automaton.states[self.automaton.start]]:
            raise InvalidInputError(
                f"{self.name} has no text of {min_length} to {max_length} tokens; give other lengths "
                "(of seqil sample: --min-length, --max-length) or another grammar"
            )
        return found


def _none_of(size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.bool)
