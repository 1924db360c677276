"""Texts beside texts: repetition and diversity of n-grams, exact match, and MAUVE (Pillutla et al. 2021).

MAUVE says how close the texts of a model are to those of the data, both quantised. Its values depend on the feature
map, on the number of texts and on the number of clusters: compare only values with all three equal. A small sample of
the data itself scores below 1 against another one; report that floor beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InvalidInputError, counted
from ..mdp.trajectory import Trajectories
from ..mdp.tree import pack
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from .distances import kl
from .lifetimes import Floats, Ints

Texts = Sequence[Sequence[int]]
Features = Callable[[Texts], Floats]
"""From N texts to float64 [N, D]."""

_HASH, _PRIME = 1_000_003, (1 << 61) - 1


def repetition(texts: Sequence[Sequence[int]], n: int = 4) -> Floats:
    """rep-n (Welleck et al. 2020): share of a text's n-grams that occurred earlier in it, float64 [texts].

    NaN for a text too short to have one.
    """
    return np.array([1 - distinct([text], n) for text in texts])


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """distinct-n (Li et al. 2016): different n-grams over all n-grams of the texts."""
    grams = _grams(texts, n)
    return len(grams) / sum(grams.values()) if grams else math.nan


def ngram_entropy(texts: Sequence[Sequence[int]], n: int) -> float:
    """Entropy of the pooled empirical n-gram law, in nats."""
    counts = np.array(list(_grams(texts, n).values()), dtype=np.float64)
    p = counts / counts.sum() if len(counts) else counts
    return float(-(p * np.log(p)).sum())


def exact_matches(texts: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Whether each text is its reference, token by token: bool [texts]."""
    return np.array([list(text) == list(reference) for text, reference in zip(texts, references, strict=True)])


def mauve(
    texts: Texts,
    references: Texts,
    features: Features | None = None,
    *,
    clusters: int | None = None,
    scale: float = 5.0,
    seed: int = 0,
) -> float:
    """Area under the divergence curve of the quantised texts: from 0 (nothing in common) to 1 (the same law).

    Args:
        texts: of the model.
        references: of the data, as many.
        features: the map that texts are compared in; None: `ngram_features()`.
        clusters: of the quantisation; None: a tenth of the texts of one side, at least 2.
        scale: c of `exp(-c KL)`.
        seed: of k-means.

    Raises:
        InvalidInputError: sides of different size, or more clusters than texts.
    """
    if len(texts) != len(references):
        raise InvalidInputError(
            f"{counted(len(texts), 'text')} and {counted(len(references), 'reference')}; give as many of both"
        )
    of = features or ngram_features()
    k = max(2, len(texts) // 10) if clusters is None else clusters
    return frontier_area(*quantised(of(texts), of(references), k, seed), scale)


def quantised(a: Floats, b: Floats, clusters: int, seed: int = 0) -> tuple[Ints, Ints]:
    """Histograms, int64 [clusters found] each, of two sets of features over the cells of one k-means.

    As in the paper: rows of unit length, the principal components that hold 90 % of the variance, k-means (best of
    five starts; clusters left empty are dropped).
    """
    from scipy.cluster.vq import kmeans, vq

    both = np.concatenate([a, b]).astype(np.float64)
    if not 1 <= clusters <= len(both):
        raise InvalidInputError(f"clusters={clusters} must lie in 1..{len(both)}, the number of texts")
    length = np.linalg.norm(both, axis=1, keepdims=True)
    centred = both / np.where(length > 0, length, 1)
    centred -= centred.mean(0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    variance = np.cumsum(singular**2)
    kept = int(np.searchsorted(variance, 0.9 * variance[-1])) + 1
    points = centred @ axes[:kept].T
    centres, _ = kmeans(points, clusters, iter=5, seed=np.random.default_rng(seed))
    cell, _ = vq(points, centres)
    of_a, of_b = (np.bincount(part, minlength=len(centres)).astype(np.int64) for part in np.split(cell, [len(a)]))
    return of_a, of_b


def divergence_frontier(p: Floats | Ints, q: Floats | Ints, mixtures: int = 25) -> Floats:
    """`(KL(q || r), KL(p || r))` for mixtures `r = w p + (1 - w) q`, w from 0 to 1: float64 [mixtures, 2].

    Args:
        p, q: histograms of any total.
        mixtures: weights, evenly spaced, the ends at 1e-6 from 0 and 1.
    """
    p, q = _law(p), _law(q)
    w = np.linspace(1e-6, 1 - 1e-6, mixtures)[:, None]
    r = w * p + (1 - w) * q
    log_r = torch.from_numpy(r).log()
    return np.stack([kl(torch.from_numpy(x), log_r).numpy() for x in (q, p)], 1)


def frontier_area(p: Floats | Ints, q: Floats | Ints, scale: float = 5.0, mixtures: int = 25) -> float:
    """MAUVE of two histograms: the area under `exp(-scale * frontier)`, by trapezoids between (0, 1) and (1, 0)."""
    curve = np.exp(-scale * divergence_frontier(p, q, mixtures))
    x, y = np.concatenate([[[0.0, 1.0]], curve[::-1], [[1.0, 0.0]]]).T
    return float(np.trapezoid(y, x))


def frontier_integral(p: Floats | Ints, q: Floats | Ints) -> float:
    """`2 ∫ w KL(p || r) + (1 - w) KL(q || r) dw` over the mixtures: from 0 to 1, no scale to choose (Liu et al. 2021).

    In closed form, `(p + q) / 2 - p q / (p - q) * log(p / q)` per cell.
    """
    p, q = _law(p), _law(q)
    both = (p > 0) & (q > 0) & (p != q)
    x, y = np.where(both, p, 1.0), np.where(both, q, 2.0)
    mixed = np.where(both, x * y / (x - y) * np.log(x / y), np.where(p == q, p, 0.0))
    return float(((p + q) / 2 - mixed).sum())


def krichevsky_trofimov(counts: Ints) -> Floats:
    """Counts with half of one added to each: what a histogram of few texts is smoothed with (Pillutla et al. 2023)."""
    return np.asarray(counts, dtype=np.float64) + 0.5


# -- feature maps --------------------------------------------------------------------------------------


def ngram_features(orders: Sequence[int] = (1, 2, 3), width: int = 256) -> Features:
    """Counts of hashed n-grams, `width` cells: needs no model, and sees no more than n tokens at a time."""

    def features(texts: Texts) -> Floats:
        found = np.zeros((len(texts), width))
        for row, text in enumerate(texts):
            for n in orders:
                for i in range(len(text) - n + 1):
                    found[row, _hashed(text[i : i + n]) % width] += 1
        return found

    return features


def hidden_features(policy: TokenPolicy, prompts: Texts, batch_size: int = 64) -> Features:
    """Mean last hidden state of a model over the tokens of each text: the same model for both sides.

    Args:
        policy: whose trunk reads the texts.
        prompts: what each text followed, in order.
        batch_size: texts at a time.
    """

    @torch.no_grad()
    def features(texts: Texts) -> Floats:
        rows: list[Floats] = []
        with evaluating(policy):
            for at in range(0, len(texts), batch_size):
                part = slice(at, at + batch_size)
                t = Trajectories.from_actions(policy.vocabulary, prompts[part], texts[part])
                tree = pack(policy.vocabulary, t.to(policy.weight.device))
                own = tree.depth >= t.prompt_lengths[:, None].to(tree.depth.device)
                states = policy.tree_hidden(tree).double() * own[..., None]
                rows.append((states.sum(1) / own.sum(1, keepdim=True).clamp(min=1)).cpu().numpy())
        return np.concatenate(rows)

    return features


def _hashed(gram: Sequence[int]) -> int:
    value = len(gram)
    for token in gram:
        value = (value * _HASH + token + 1) * _HASH % _PRIME
    return value


def _law(counts: Floats | Ints) -> Floats:
    weights: Floats = np.asarray(counts, dtype=np.float64)
    law: Floats = weights / weights.sum()
    return law


def _grams(texts: Sequence[Sequence[int]], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))
