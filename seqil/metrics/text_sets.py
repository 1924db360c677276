"""Texts beside texts: repetition and diversity of n-grams, exact match, and MAUVE (Pillutla et al. 2021).

MAUVE says how close the texts of a model are to those of the data, both quantised. Its values depend on the feature
map, on the number of texts and on the number of clusters: compare only values with all three equal. A small sample of
the data itself scores below 1 against another one; report that floor beside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InvalidInputError, counted
from ..errors.arguments import check_count, check_function, check_number, of_arrays, on_one_line, typed
from ..errors.limits import check_memory
from ..mdp.prefix import ids_of
from ..mdp.trajectory import Trajectories
from ..mdp.tree import pack
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy
from ..statistics.estimates import numbers
from .distances import kl
from .lifetimes import Floats, Ints

Texts = Sequence[Sequence[int]]
Features = Callable[[Texts], Floats]
"""From N texts to float64 [N, D]."""

_HASH, _PRIME = 1_000_003, (1 << 61) - 1


@typed
def repetition(texts: Sequence[Sequence[int]], n: int = 4) -> Floats:
    """rep-n (Welleck et al. 2020): share of a text's n-grams that occurred earlier in it, float64 [texts].

    NaN for a text too short to have one.

    Raises:
        InvalidInputError: what are no lists of ids, or `n` below 1; of `distinct` and `ngram_entropy`, too.
    """
    texts = _lists("repetition", "texts", texts)
    return np.array([1 - _distinct([text], n) for text in texts], dtype=np.float64)


@typed
def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """distinct-n (Li et al. 2016): different n-grams over all n-grams of the texts."""
    return _distinct(_lists("distinct", "texts", texts), n)


@typed
def ngram_entropy(texts: Sequence[Sequence[int]], n: int) -> float:
    """Entropy of the pooled empirical n-gram law, in nats."""
    counts = np.array(list(_grams(_lists("ngram_entropy", "texts", texts), n).values()), dtype=np.float64)
    p = counts / counts.sum() if len(counts) else counts
    return float(-(p * np.log(p)).sum())


def exact_matches(texts: Sequence[Sequence[int]], references: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Whether each text is its reference, token by token: bool [texts].

    Raises:
        InvalidInputError: what are no lists of ids, or another number of references than of texts.
    """
    texts, references = _sides("exact_matches", texts, references)
    return np.array([text == reference for text, reference in zip(texts, references, strict=True)], dtype=np.bool_)


@typed
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
        InvalidInputError: what are no lists of ids, none at all, sides of different size, more clusters than texts, a
            scale that is not positive, or features that are no finite rows, one for each text.
    """
    texts, references = _sides("mauve", texts, references)
    if not texts:
        raise InvalidInputError("mauve: there are no texts; give some of both")
    if features is not None:
        check_function("mauve", "features", features, "texts")
    if not 0 < scale < math.inf:
        raise InvalidInputError(f"mauve: scale={scale} must be positive and finite")
    if seed < 0:
        raise InvalidInputError(f"mauve: seed={seed} is negative; give an int of at least 0")
    of = features or ngram_features()
    k = max(2, len(texts) // 10) if clusters is None else clusters
    a, b = (_rows(of(side), len(side)) for side in (texts, references))
    return frontier_area(*quantised(a, b, k, seed), scale)


@of_arrays
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


@of_arrays
def divergence_frontier(p: Floats | Ints, q: Floats | Ints, mixtures: int = 25) -> Floats:
    """`(KL(q || r), KL(p || r))` for mixtures `r = w p + (1 - w) q`, w from 0 to 1: float64 [mixtures, 2].

    Args:
        p, q: histograms of any total.
        mixtures: weights, evenly spaced, the ends at 1e-6 from 0 and 1.
    """
    p, q, mixtures = _law(p), _law(q), check_count("divergence_frontier", "mixtures", mixtures, 1)
    check_memory(40 * mixtures * max(len(p), 1), f"a frontier of {mixtures:,} mixtures", "lower mixtures")
    w = np.linspace(1e-6, 1 - 1e-6, mixtures)[:, None]
    r = w * p + (1 - w) * q
    log_r = torch.from_numpy(r).log()
    return np.stack([kl(torch.from_numpy(x), log_r).numpy() for x in (q, p)], 1)


@of_arrays
def frontier_area(p: Floats | Ints, q: Floats | Ints, scale: float = 5.0, mixtures: int = 25) -> float:
    """MAUVE of two histograms: the area under `exp(-scale * frontier)`, by trapezoids between (0, 1) and (1, 0)."""
    check_number("frontier_area", "scale", scale, 0)
    curve = np.exp(-scale * divergence_frontier(p, q, mixtures))
    x, y = np.concatenate([[[0.0, 1.0]], curve[::-1], [[1.0, 0.0]]]).T
    return float(np.trapezoid(y, x))


@of_arrays
def frontier_integral(p: Floats | Ints, q: Floats | Ints) -> float:
    """`2 ∫ w KL(p || r) + (1 - w) KL(q || r) dw` over the mixtures: from 0 to 1, no scale to choose (Liu et al. 2021).

    In closed form, `(p + q) / 2 - p q / (p - q) * log(p / q)` per cell.
    """
    p, q = _law(p), _law(q)
    both = (p > 0) & (q > 0) & (p != q)
    x, y = np.where(both, p, 1.0), np.where(both, q, 2.0)
    mixed = np.where(both, x * y / (x - y) * np.log(x / y), np.where(p == q, p, 0.0))
    return float(((p + q) / 2 - mixed).sum())


@of_arrays
def krichevsky_trofimov(counts: Ints) -> Floats:
    """Counts with half of one added to each: what a histogram of few texts is smoothed with (Pillutla et al. 2023)."""
    return np.asarray(counts, dtype=np.float64) + 0.5


# -- feature maps --------------------------------------------------------------------------------------


@typed
def ngram_features(orders: Sequence[int] = (1, 2, 3), width: int = 256) -> Features:
    """Counts of hashed n-grams, `width` cells: needs no model, and sees no more than n tokens at a time."""

    check_count("ngram_features", "width", width, 1)
    for n in orders if isinstance(orders, Iterable) else [orders]:
        check_count("ngram_features", "orders", n, 1)

    def features(texts: Texts) -> Floats:
        found = np.zeros((len(texts), width))
        for row, text in enumerate(texts):
            for n in orders:
                for i in range(len(text) - n + 1):
                    found[row, _hashed(text[i : i + n]) % width] += 1
        return found

    return features


@typed
def hidden_features(policy: TokenPolicy, prompts: Texts, batch_size: int = 64) -> Features:
    """Mean last hidden state of a model over the tokens of each text: the same model for both sides.

    Args:
        policy: whose trunk reads the texts.
        prompts: what each text followed, in order.
        batch_size: texts at a time.
    """

    check_count("hidden_features", "batch_size", batch_size, 1)
    prompts = _lists("hidden_features", "prompts", prompts)

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


def _distinct(texts: Texts, n: int) -> float:
    grams = _grams(texts, n)
    return len(grams) / sum(grams.values()) if grams else math.nan


def _lists(where: str, name: str, given: Any) -> list[list[int]]:
    """Texts as lists of Python's own integers."""
    try:
        if isinstance(given, str | bytes):
            raise TypeError
        return [ids_of(text) for text in given]
    except (TypeError, ValueError, RuntimeError):
        shown = on_one_line(given, 60)
        raise InvalidInputError(f"{where}: {name}={shown} must be lists of integer ids, [[0, 1], [2]] say") from None


def _sides(where: str, texts: Any, references: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Both, as many of the one as of the other."""
    a, b = _lists(where, "texts", texts), _lists(where, "references", references)
    if len(a) != len(b):
        raise InvalidInputError(f"{counted(len(a), 'text')} and {counted(len(b), 'reference')}; give as many of both")
    return a, b


def _rows(found: Any, texts: int) -> Floats:
    """What a map of features returned, float64 [texts, D]."""
    rows = numbers("features", found)
    if rows.ndim != 2 or len(rows) != texts or not rows.shape[1] or not np.isfinite(rows).all():
        raise InvalidInputError(
            f"features returned values of shape {rows.shape}; return finite float64 [{texts}, D], a row for each text"
        )
    return rows


def _law(counts: Floats | Ints) -> Floats:
    weights: Floats = np.asarray(counts, dtype=np.float64)
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InvalidInputError(f"{on_one_line(counts, 60)} is no histogram; give counts, some of them above 0")
    law: Floats = weights / weights.sum()
    return law


def _grams(texts: Sequence[Sequence[int]], n: int) -> Counter[tuple[int, ...]]:
    if n < 1:
        raise InvalidInputError(f"n={n}: an n-gram has at least one token")
    return Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))
