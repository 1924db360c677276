"""The losses of Zhao et al. (2022) between the likelihoods of some samples of one prompt and how good these are.

The formulas are from memory. Ours: `rank`, `margin` and `listwise` are means over all pairs of which one is better,
where the paper draws a pair or sums over them; samples that are equally good are no pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqil.learning.whole_batch import mean, total

Calibration = Callable[[Tensor, Tensor, float], Tensor]
"""(log-likelihoods, similarities, beta): of n samples for each of G prompts, both [G, n] -> a scalar."""


def rank(log_p: Tensor, alike: Tensor, beta: float) -> Tensor:
    """`max(0, beta - log P+ + log P-)`: the better one by a fixed margin."""
    return _over_pairs(log_p, alike, torch.full_like(_gaps(log_p), beta))


def margin(log_p: Tensor, alike: Tensor, beta: float) -> Tensor:
    """`max(0, beta (s+ - s-) - log P+ + log P-)`: by a margin that grows with how much better it is."""
    return _over_pairs(log_p, alike, beta * _gaps(alike))


def listwise(log_p: Tensor, alike: Tensor, beta: float) -> Tensor:
    """`max(0, beta |i - j| - log P_i + log P_j)`, with the places of both in the ranking; equals share a place."""
    place = _better(alike).sum(1).to(log_p)  # how many are better
    return _over_pairs(log_p, alike, -beta * _gaps(place))


def reward(log_p: Tensor, alike: Tensor, beta: float = 0.0) -> Tensor:
    """`-sum s_i P_i / sum P_j`: minus the expected similarity among the samples; it has no margin."""
    return -mean((log_p.softmax(1) * alike.to(log_p)).sum(1))


CALIBRATIONS: dict[str, Calibration] = {f.__name__: f for f in (rank, margin, listwise, reward)}


def _gaps(values: Tensor) -> Tensor:
    """`x_i - x_j`: [G, n, n]."""
    return values[:, :, None] - values[:, None, :]


def _better(alike: Tensor) -> Tensor:
    return alike[:, :, None] > alike[:, None, :]


def _over_pairs(log_p: Tensor, alike: Tensor, wanted: Tensor) -> Tensor:
    """Mean hinge of the better one's lead in likelihood below what is wanted, [G, n, n]."""
    better = _better(alike)
    hinge = (wanted.to(log_p) - _gaps(log_p)).clamp(min=0)
    return torch.where(better, hinge, 0).sum() / total(better.sum()).clamp(min=1)
