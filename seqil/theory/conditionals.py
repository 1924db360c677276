"""Exact conditionals of Markov texts: what a masked language model is to learn, and the chains that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..mdp.prefix import Prefixes
from ..mdp.vocabulary import Vocabulary
from .exact import Floats, Ints


class MarkovConditionals:
    """`p(x_i | cells that are not masked, prompt)` of texts of one length, by sums forwards and backwards.

    Where what is fed has probability 0 itself, tokens that break the fewest of the law's windows share the mass: every
    impossible window counts as `floor`.

    Args:
        vocabulary: the ids.
        law: float64 [V, …, V], as of `envs.tasks.base.markov.MarkovTask`.
        floor: far below every probability of the law.
    """

    def __init__(self, vocabulary: Vocabulary, law: Tensor, floor: float = 1e-9) -> None:
        self.vocabulary, self.order, V = vocabulary, law.dim() - 1, vocabulary.size
        table = law.double().clamp(min=floor)
        table[..., vocabulary.eos] = 0
        self.table = table.reshape(V, V ** (self.order - 1), V)

    def conditionals(self, prefixes: Prefixes, masked: Tensor) -> Tensor:
        """Log-probabilities of every cell, given all others that are not masked: float64 [B, W, V]."""
        p, V = prefixes, self.vocabulary.size
        if p.min_length != p.max_length:
            raise InvalidInputError("the texts have no fixed length; these conditionals are of a fixed one")
        at = p.prompt_length[:, None] + torch.arange(p.max_length, device=p.length.device)
        cells = p.tokens.gather(1, at)
        fed = torch.nn.functional.one_hot(cells.clamp(max=V - 1), V).double()
        open_ = torch.where(masked[..., None], 1.0, fed)
        ahead, behind = self._forwards(p, open_), self._backwards(open_)
        found = [torch.einsum("bxc,xcd,bcd->bd", a, self.table, b).log() for a, b in zip(ahead, behind, strict=True)]
        return torch.stack(found, 1).log_softmax(-1)

    def entropies(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """Nats of a whole text given its prompt, and of each of its cells on its own: float64 [B] and [B, W].

        The sum of the latter is what the best product of laws of cells has as its likelihood; that sum less the former
        is the total correlation, which writing in one shot loses.
        """
        everywhere = torch.ones(len(prefixes), prefixes.max_length, dtype=torch.bool, device=prefixes.length.device)
        cells = self.conditionals(prefixes, everywhere)
        law = self.table / self.table.sum(-1, keepdim=True).clamp(min=1e-300)
        nats = -torch.special.xlogy(law, law).sum(-1)
        open_ = cells.new_ones(cells.shape)
        joint = torch.stack([(state * nats).sum((1, 2)) for state in self._forwards(prefixes, open_)])
        return joint.sum(0), -(cells.exp() * cells.clamp(min=-1e6)).sum(-1)

    def _forwards(self, p: Prefixes, open_: Tensor) -> list[Tensor]:
        """Weights of the last tokens before each cell: [B, V, V^(order - 1)] each."""
        V, order = self.vocabulary.size, self.order
        back = p.prompt_length[:, None] + torch.arange(-order, 0, device=p.length.device)
        last = p.tokens.gather(1, back.clamp(min=0))
        number = (last * V ** torch.arange(order - 1, -1, -1, device=last.device)).sum(1)
        state = torch.nn.functional.one_hot(number, V**order).double().reshape(len(p), V, -1)
        found = []
        for t in range(open_.shape[1]):
            found.append(state)
            after = torch.einsum("bxc,xcd->bcd", state, self.table) * open_[:, t, None]
            state = (after / after.sum((1, 2), keepdim=True)).reshape(state.shape)
        return found

    def _backwards(self, open_: Tensor) -> list[Tensor]:
        """Weights of what follows each cell, by the last tokens that it is one of: [B, V^(order - 1), V] each."""
        B, W, V = open_.shape
        state = torch.ones(B, V ** (self.order - 1), V, dtype=torch.float64, device=open_.device)
        found = []
        for t in reversed(range(W)):
            found.append(state)
            before = torch.einsum("xcd,bcd->bxc", self.table, state * open_[:, t, None])
            state = (before / before.sum((1, 2), keepdim=True)).reshape(state.shape)
        return found[::-1]


def gibbs(law: Floats, blocks: Sequence[Sequence[int]], joint: bool = True) -> Floats:
    """Matrix of the chain that draws a block of cells, each of `blocks` alike, anew by the conditionals of a law.

    Args:
        law: of all texts, an array [V, …, V] of as many dimensions as cells.
        blocks: of cells.
        joint: whether the cells of a block are drawn from their joint law; else each from its own, independently.

    Returns:
        [S, S] over all texts, in the order of `law.reshape(-1)`.
    """
    S, V, n = law.size, law.shape[0], law.ndim
    texts = np.stack(np.unravel_index(np.arange(S), law.shape), 1)
    matrix = np.zeros((S, S))
    for block in blocks:
        rest = [i for i in range(n) if i not in block]
        key: Ints = texts[:, rest] @ V ** np.arange(len(rest))
        of_rest = np.bincount(key, law.reshape(-1), V ** len(rest))
        same = key[:, None] == key
        joint_law = np.divide(law.reshape(-1), of_rest[key], out=np.zeros(S), where=of_rest[key] > 0)
        weights = joint_law if joint else _of_each(texts, list(block), key, joint_law, V)
        matrix += same * weights / len(blocks)
    return matrix


def _of_each(texts: Ints, block: list[int], key: Ints, joint: Floats, V: int) -> Floats:
    """The product of the conditionals of the cells of a block, given the rest: [S]."""
    product = np.ones(len(texts))
    for cell in block:
        number = key * V + texts[:, cell]
        product *= np.bincount(number, joint, (int(key.max()) + 1) * V)[number]
    return product


def communicating(texts: Sequence[Sequence[int]], block: int) -> list[int]:
    """Sizes of the sets of texts that a chain of blocks of neighbours leads from one to another, largest first.

    Args:
        texts: all that have any probability, of one length.
        block: cells that may change at once, next to each other.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[tuple[int, tuple[int, ...]], int] = {}
    for i, text in enumerate(texts):
        for at in range(len(text) - block + 1):
            rest = (at, (*text[:at], *text[at + block :]))
            parent[root(i)] = root(seen.setdefault(rest, i))
    sizes = np.bincount([root(i) for i in range(len(texts))])
    return sorted(sizes[sizes > 0].tolist(), reverse=True)
