"""Exact conditionals of Markov texts: what a masked language model is to learn, and the chains that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError, counted
from ..errors.arguments import check_number, check_switch, on_one_line, typed
from ..errors.asked import mask_of
from ..errors.limits import check_memory
from ..mdp.prefix import Prefixes, check_shown, ids_of
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

    Raises:
        InvalidInputError: what is no vocabulary, or no such law of it.
    """

    @typed
    def __init__(self, vocabulary: Vocabulary, law: Tensor, floor: float = 1e-9) -> None:
        vocabulary = Vocabulary.of(vocabulary)
        whole = isinstance(law, Tensor) and law.is_floating_point() and law.dim() > 1
        if not whole or set(law.shape) != {vocabulary.size}:
            got = tuple(law.shape) if isinstance(law, Tensor) else on_one_line(law, 60)
            raise InvalidInputError(
                f"MarkovConditionals: law is float64 [V, …, V] of two dimensions or more, here of V={vocabulary.size}; "
                f"got {got}"
            )
        check_number("MarkovConditionals", "floor", floor, 0, 1)
        self.vocabulary, self.order, V = vocabulary, law.dim() - 1, vocabulary.size
        table = law.double().clamp(min=floor)
        table[..., vocabulary.eos] = 0
        self.table = table.reshape(V, V ** (self.order - 1), V)

    def conditionals(self, prefixes: Prefixes, masked: Tensor) -> Tensor:
        """Log-probabilities of every cell, given all others that are not masked: float64 [B, W, V].

        Args:
            prefixes: texts of one length, behind prompts of as many tokens as the law looks back, or more.
            masked: bool [B, W].

        Raises:
            InvalidInputError: no such texts, tokens of another vocabulary, or a mask of another kind or shape.
        """
        check_shown("conditionals", self.vocabulary, prefixes)
        p, V = prefixes, self.vocabulary.size
        if p.min_length != p.max_length:
            raise InvalidInputError("the texts have no fixed length; these conditionals are of a fixed one")
        self._check_prompts(p)
        masked = mask_of("conditionals", masked, len(p), p.max_length)
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

        Raises:
            InvalidInputError: as of `conditionals`.
        """
        check_shown("entropies", self.vocabulary, prefixes)
        everywhere = torch.ones(len(prefixes), prefixes.max_length, dtype=torch.bool, device=prefixes.length.device)
        cells = self.conditionals(prefixes, everywhere)
        law = self.table / self.table.sum(-1, keepdim=True).clamp(min=1e-300)
        nats = -torch.special.xlogy(law, law).sum(-1)
        open_ = cells.new_ones(cells.shape)
        joint = torch.stack([(state * nats).sum((1, 2)) for state in self._forwards(prefixes, open_)])
        return joint.sum(0), -(cells.exp() * cells.clamp(min=-1e6)).sum(-1)

    def _check_prompts(self, p: Prefixes) -> None:
        short = p.prompt_length < self.order
        if bool(short.any()):
            row = int(short.nonzero()[0])
            raise InvalidInputError(
                f"prompt {row} has {counted(int(p.prompt_length[row]), 'token')}, the law looks back {self.order}; "
                "give as many at least"
            )

    def _forwards(self, p: Prefixes, open_: Tensor) -> list[Tensor]:
        """Weights of the last tokens before each cell: [B, V, V^(order - 1)] each."""
        V, order = self.vocabulary.size, self.order
        back = p.prompt_length[:, None] + torch.arange(-order, 0, device=p.length.device)
        last = p.tokens.gather(1, back)
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

    Raises:
        InvalidInputError: what is no law, no blocks, a block without cells, with a cell twice or one that there is not,
            or a matrix that does not fit into memory.
    """
    check_switch("gibbs", "joint", joint)
    law, blocks = law_of("gibbs", law), _blocks_of(blocks, np.ndim(law))
    S, V, n = law.size, law.shape[0], law.ndim
    check_memory(4 * 8 * S * S, f"gibbs: a chain on {S:,} texts", "take fewer cells or tokens")
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


def law_of(where: str, law: Any) -> Floats:
    """The law of all texts of some cells, as float64 [V, …, V].

    Raises:
        InvalidInputError: dimensions that differ, or weights that are negative, not finite, or all zero.
    """
    try:
        found: Floats = np.asarray(law, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.zeros(())
    if found.ndim < 1 or len(set(found.shape)) > 1 or not found.size:
        got = on_one_line(law, 60) if not found.ndim else tuple(found.shape)
        raise InvalidInputError(f"{where}: a law of texts is [V, …, V], a dimension for each cell; got {got}")
    if not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
        raise InvalidInputError(f"{where}: the law has weights that are negative or not finite, or none; give a law")
    return found


def _blocks_of(blocks: Any, cells: int) -> list[list[int]]:
    try:
        found = [ids_of(block) for block in blocks]
    except TypeError:
        found = []
    if not found:
        raise InvalidInputError(f"gibbs: blocks={on_one_line(blocks, 60)} are no lists of cells; give [[0], [1]], say")
    for block in found:
        if not block or len(set(block)) < len(block) or not all(0 <= cell < cells for cell in block):
            raise InvalidInputError(
                f"gibbs: block {block} is no set of cells; give some of 0 to {cells - 1}, each of them once"
            )
    return found


@typed
def communicating(texts: Sequence[Sequence[int]], block: int) -> list[int]:
    """Sizes of the sets of texts that a chain of blocks of neighbours leads from one to another, largest first.

    Args:
        texts: all that have any probability, of one length.
        block: cells that may change at once, next to each other.

    Raises:
        InvalidInputError: no texts, texts of several lengths or one text twice, or a block of no cells or of more than
            a text has.
    """
    try:
        whole = [tuple(ids_of(text)) for text in texts]
    except (TypeError, ValueError, RuntimeError):
        whole = []
    if not whole or len({len(text) for text in whole}) > 1:
        raise InvalidInputError(
            "communicating: the texts have no one length; give one text at least, and all alike long"
        )
    if len(set(whole)) < len(whole):
        raise InvalidInputError("communicating: a text is given twice; give each once")
    if not 1 <= block <= len(whole[0]):
        raise InvalidInputError(f"communicating: block={block} must lie in 1..{len(whole[0])}, the cells of a text")
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
