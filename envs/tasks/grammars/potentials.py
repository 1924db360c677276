"""Texts with a number that is to be high: a sum of weights of neighbours, known exactly in law and at its best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError
from seqil.errors.arguments import typed

from ..base import counters
from ..base.requests import check_range
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, with_splits

Floats = NDArray[np.float64]
_STEP = 64  # weights are whole numbers of 1/64, so that their sums can be counted
ABOVE = 2.0
LEVELS = tuple(level / 2 for level in range(-3, 9))
"""Standard scores of which a prompt says whether the text reaches them."""


class Potentials(SampledTask):
    """Uniform texts of which the data show the lower part, to be improved beyond what was ever shown.

    - **Tokens**: `size` and `eos`. **Prompt**: `eos`, the start token; where it is `told`, a token for each of LEVELS
      follows, 1 if the attribute of the text reaches it, else 0. **Text**: `length` tokens, then `eos`.
    - **Attribute**: `z`, the standard score over uniform texts of `sum_i W[x_i, x_i+1]`, with a table W of normal
      weights that is drawn once and for all.
    - **Demonstrations**: uniform texts with `z <= edge`. **Success**: `z > edge + 2`.
    - **Teacher**: their law given the prompt, exact, by counting the ways to go on; uniform where there is none.
    - **First error**: none; no token is wrong by itself.

    Args:
        length: tokens per text.
        size: of the alphabet, at most 32.
        edge: of what is shown, in standard deviations.
        told: whether prompts say what the attribute of their text is, so that more can be asked for (`asking`).
    """

    name = "potentials"
    beyond_data = True

    def __init__(self, length: int = 16, size: int = 8, edge: float = 1.0, told: bool = False) -> None:
        check_range(self.name, 2, 256, length=length)
        check_range(self.name, 2, 32, size=size)
        check_range(self.name, -2.0, 4.0, edge=edge)
        self.vocabulary = Vocabulary(size=size + 1, eos=size)
        self.max_length = self.min_length = length
        self.edge, self.told = edge, told
        self.prompt_tokens = 1 + len(LEVELS) * told
        uniform = (counters.words(self.name, "weights", size, shape=(size, size)) >> np.uint64(11)) + np.uint64(1)
        self.weights: Ints = np.rint(_STEP * ndtri(uniform / (2.0**53 + 2))).astype(np.int64)
        self.mean, self.deviation = self._moments()

    def attribute(self, prefixes: Prefixes) -> Tensor:
        """The standard score of each text: float64 [B]."""
        p, size = prefixes, self.vocabulary.size - 1
        place = torch.arange(1, p.tokens.shape[1], device=p.tokens.device)
        both = (place > p.prompt_length[:, None]) & (place < (p.length - p.ended.long())[:, None])
        left, right = (cells.clamp(max=size - 1) for cells in (p.tokens[:, :-1], p.tokens[:, 1:]))
        found = torch.from_numpy(self.weights).to(left.device)[left, right]
        return (torch.where(both, found, 0).sum(1).double() - self.mean) / self.deviation

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """Whole, and better than the data by two standard deviations at least."""
        text = list(tokens[:-1])
        whole = len(text) == self.max_length and tokens[-1] == self.vocabulary.eos
        return whole and self.score(text) > self.edge + ABOVE

    def score(self, text: Sequence[int]) -> float:
        """`z` of one text without `eos`."""
        f = sum(int(self.weights[a, b]) for a, b in pairwise(text))
        return float((f - self.mean) / self.deviation)

    @typed
    def asking(self, z: float) -> list[int]:
        """The prompt that asks for a text of this standard score, or of the highest level below it.

        Raises:
            InvalidInputError: prompts of this task say nothing of it.
        """
        if not self.told:
            raise InvalidInputError("potentials: prompts ask for nothing; make the task with told=True")
        check_range(self.name, -torch.inf, torch.inf, z=z)
        return [self.vocabulary.eos, *(int(z >= level) for level in LEVELS)]

    @property
    def best(self) -> float:
        """The highest `z` that any text has, by Viterbi's programme."""
        reached = np.zeros(len(self.weights), dtype=np.int64)
        for _ in range(self.max_length - 1):
            reached = (reached[:, None] + self.weights).max(0)
        return float((reached.max() - self.mean) / self.deviation)

    def law(self) -> tuple[Floats, Floats]:
        """Values of `z` that uniform texts have, in order, and their probabilities."""
        last = self._ways[-1].sum(0)
        there = np.flatnonzero(last)
        z = (there + self._lowest(self.max_length) - self.mean) / self.deviation
        return z.astype(np.float64), last[there] / last.sum()

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """In proportion to the number of texts of the data that go on so."""
        p, v, rows = prefixes, self.vocabulary, []
        for limits, text, n in zip(self._limits(p), p.texts(eos=False), p.generated.tolist(), strict=True):
            left = self.max_length - n
            rows.append(self._next(text, left, *limits) if left > 0 else np.full(v.size - 1, 0.0))
        law = torch.zeros(len(p), v.size, dtype=torch.float64)
        law[:, :-1] = torch.from_numpy(np.stack(rows))
        return self.ended(law.to(p.tokens.device), p)

    def chunk(self, seed: int, number: int) -> Chunk:
        """Uniform texts, those above the edge left out."""
        size, n = self.vocabulary.size - 1, self.max_length
        texts = counters.below(size, self.name, n, seed, number, shape=(CHUNK, n))
        f = self.weights[texts[:, :-1], texts[:, 1:]].sum(1)
        z = (f - self.mean) / self.deviation
        texts, z = texts[z <= self.edge], z[z <= self.edge]
        splits = with_splits(self.name, texts, eos=self.vocabulary.eos).splits
        prompts = np.full((len(texts), self.prompt_tokens), self.vocabulary.eos)
        if self.told:
            prompts[:, 1:] = z[:, None] >= np.array(LEVELS)
        return Chunk(np.concatenate([prompts, texts], 1), splits)

    def _limits(self, prefixes: Prefixes) -> list[tuple[float, float]]:
        """Least and most sums of texts of the data that the prompts speak of."""
        edge = math.floor(self.edge * self.deviation + self.mean + 1e-9)
        if not self.told:
            return [(-math.inf, edge)] * len(prefixes)
        said = prefixes.tokens[:, 1 : self.prompt_tokens]
        begun = (prefixes.prompt_length == self.prompt_tokens) & (prefixes.tokens[:, 0] == self.vocabulary.eos)
        known = begun & (said.diff(dim=1) <= 0).all(1) & (said <= 1).all(1)
        self.check_prompts(prefixes, known, f"eos and {len(LEVELS)} levels, 1 for those that are reached and then 0")
        sums = [math.ceil(level * self.deviation + self.mean - 1e-9) for level in LEVELS]
        bounds = [-math.inf, *sums, math.inf]
        return [(bounds[n], min(edge, bounds[n + 1] - 1)) for n in said.sum(1).tolist()]

    def _next(self, text: Sequence[int], left: int, least: float, most: float) -> Floats:
        size = self.vocabulary.size - 1
        done = sum(int(self.weights[a, b]) for a, b in pairwise(text))
        step = self.weights[text[-1]] if text else np.zeros(size, dtype=np.int64)
        already = (done + step).astype(np.float64)
        within = self._reaching(most - already, left)
        found: Floats = within - self._reaching(min(least, most + 1) - 1 - already, left)
        return found / found.sum() if found.sum() else np.full(size, 1 / size)

    def _reaching(self, most: Floats, left: int) -> Floats:
        """How many texts of so many cells begin with each token and have no higher sum than `most`: [size]."""
        upto = self._upto[left]
        at = np.clip(most - self._lowest(left), -1, upto.shape[1] - 1).astype(np.int64)
        found: Floats = np.where(at >= 0, upto[np.arange(len(upto)), np.maximum(at, 0)], 0.0)
        return found

    def _moments(self) -> tuple[float, float]:
        """Of the sum over uniform texts; of two weights that share a token the covariance counts, too."""
        W, n = self.weights.astype(np.float64), self.max_length - 1
        covariance = float((W.mean(0) * W.mean(1)).mean() - W.mean() ** 2)
        return float(n * W.mean()), float(np.sqrt(n * W.var() + 2 * (n - 1) * covariance))

    def _lowest(self, cells: int) -> int:
        """No sum of a text of so many cells is below it."""
        return (cells - 1) * int(self.weights.min())

    @cached_property
    def _ways(self) -> list[Floats]:
        """How many texts of 1, 2, … cells begin with each token and have each sum, from `_lowest` on: [size, sums]."""
        low, high, size = int(self.weights.min()), int(self.weights.max()), len(self.weights)
        found = [np.ones((size, 1))]
        for _ in range(self.max_length - 1):
            before = found[-1]
            after = np.zeros((size, before.shape[1] + high - low))
            for a, b in np.ndindex(size, size):
                shift = int(self.weights[a, b]) - low
                after[a, shift : shift + before.shape[1]] += before[b]
            found.append(after)
        return found

    @cached_property
    def _upto(self) -> list[Floats]:
        """The same by sums up to each; entry `n` is for texts of n cells."""
        return [np.zeros((len(self.weights), 1)), *(ways.cumsum(1) for ways in self._ways)]
