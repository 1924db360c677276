"""Probabilistic automata from texts: a prefix tree whose states are merged where they look alike (ALERGIA)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..base.sampled import Ints

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Machine:
    """A deterministic automaton with counts; it begins in state 0.

    Attributes:
        counts: int64 [S, V], how often each token was written in each state; `V - 1` is the end, which leads nowhere.
            Where no text has an end its column is empty, and a text may stop anywhere.
        after: int64 [S, V], the state that a token leads to; -1 for the end and for what was never written there.
    """

    counts: Ints
    after: Ints

    @cached_property
    def nats(self) -> Floats:
        """`-log p` of each token in each state, infinite where it is impossible: [S, V]."""
        with np.errstate(divide="ignore"):
            found: Floats = -np.log(self.counts / self.counts.sum(1, keepdims=True))
        return found

    @property
    def ends(self) -> bool:
        """Whether texts have an end."""
        return bool(self.counts[:, -1].any())

    def nats_of(self, text: Sequence[int]) -> float:
        """`-log p` of a text, its end included; infinite where it is impossible."""
        state, total = 0, 0.0
        for token in [*text, self.counts.shape[1] - 1] if self.ends else text:
            total += float(self.nats[state, token])
            if math.isinf(total):
                return total
            state = int(self.after[state, token])
        return total

    def without(self, rare: float) -> Machine:
        """Without tokens of a probability below `rare`, but the likeliest way from each state to an end is kept."""
        S = len(self.counts)
        end = self.nats[:, -1] if self.ends else np.zeros(S)
        left = end.copy()
        for _ in range(S):
            left = np.minimum(end, (self.nats[:, :-1] + left[self.after[:, :-1]]).min(1))
        through = self.nats[:, :-1] + left[self.after[:, :-1]]
        ways = np.concatenate([through, end[:, None] if self.ends else np.full((S, 1), np.inf)], 1)
        kept = self.nats <= -math.log(rare) if rare else self.counts > 0
        kept[np.arange(S), ways.argmin(1)] = True
        kept &= self.counts > 0
        return Machine(np.where(kept, self.counts, 0), np.where(kept, self.after, -1))


def merged(texts: Iterable[Sequence[int]], tokens: int, significance: float = 0.005) -> Machine:
    """ALERGIA (Carrasco & Oncina 1994): states are merged unless Hoeffding's bound tells them apart.

    Args:
        texts: of tokens below `tokens`; `tokens - 1` ends one, if they have ends.
        tokens: V.
        significance: of each test, in (0, 1); lower, and more is merged.
    """
    tree = _Tree(texts, tokens, math.sqrt(0.5 * math.log(2 / significance)))
    red = [0]
    while blue := tree.blue(red):
        node, parent, token = min(blue)
        alike = next((state for state in red if tree.alike(state, node)), None)
        if alike is None:
            red.append(node)
        else:
            tree.merge(alike, node, parent, token)
    return tree.machine(red, tokens)


class _Tree:
    """Counts and children of the nodes of a prefix tree, which becomes a graph as they are merged."""

    def __init__(self, texts: Iterable[Sequence[int]], tokens: int, bound: float) -> None:
        self.end, self.bound = tokens - 1, bound
        self.counts: list[dict[int, int]] = [{}]
        self.children: list[dict[int, int]] = [{}]
        reached = [(0, text) for text in texts]
        at = 0
        while reached:  # level by level, so that a smaller number is a shorter prefix
            reached = [(self._child(node, text[at]), text) for node, text in reached if at < len(text)]
            at += 1

    def _child(self, node: int, token: int) -> int:
        self.counts[node][token] = self.counts[node].get(token, 0) + 1
        if token == self.end:
            return -1  # nothing follows, and nothing is asked of it
        if token not in self.children[node]:
            self.children[node][token] = len(self.counts)
            self.counts.append({})
            self.children.append({})
        return self.children[node][token]

    def blue(self, red: Sequence[int]) -> list[tuple[int, int, int]]:
        """Nodes next to red ones, each with its parent and its token."""
        known = {*red}
        return [(n, r, token) for r in red for token, n in self.children[r].items() if n not in known]

    def alike(self, a: int, b: int) -> bool:
        """Whether nothing that follows tells two nodes apart."""
        pairs = [(a, b)]
        while pairs:
            a, b = pairs.pop()
            if self._differ(self.counts[a], self.counts[b]):
                return False
            pairs += [(self.children[a][t], n) for t, n in self.children[b].items() if t in self.children[a]]
        return True

    def _differ(self, a: dict[int, int], b: dict[int, int]) -> bool:
        n, m = sum(a.values()), sum(b.values())
        if not n or not m:
            return False
        most = self.bound * (n**-0.5 + m**-0.5)
        return most < 1 and any(abs(a.get(t, 0) / n - b.get(t, 0) / m) > most for t in a.keys() | b.keys())

    def merge(self, into: int, node: int, parent: int, token: int) -> None:
        """Fold the tree below a node into another node, which its parent leads to from now on."""
        self.children[parent][token] = into
        pairs = [(into, node)]
        while pairs:
            a, b = pairs.pop()
            for t, n in self.counts[b].items():
                self.counts[a][t] = self.counts[a].get(t, 0) + n
            for t, child in self.children[b].items():
                if t in self.children[a]:
                    pairs.append((self.children[a][t], child))
                else:
                    self.children[a][t] = child

    def machine(self, red: Sequence[int], tokens: int) -> Machine:
        """The red nodes as states."""
        number = {node: state for state, node in enumerate(red)}
        counts, after = np.zeros((len(red), tokens), np.int64), np.full((len(red), tokens), -1)
        for node, state in number.items():
            for token, n in self.counts[node].items():
                counts[state, token] = n
            for token, child in self.children[node].items():
                after[state, token] = number[child]
        return Machine(counts, after)
