"""Distances between two laws of one step, and what they add up to over the horizon; float64, nats."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..statistics.estimates import Estimate, mean, over_runs
from .lifetimes import Floats


def kl(p: Tensor, log_q: Tensor) -> Tensor:
    """`KL(p || q)` over the last dimension, in float64; infinite where `q` lacks what `p` has, never NaN."""
    p, log_q = p.double(), log_q.double()
    log_p = torch.where(p > 0, p, 1).log()
    return torch.where(p > 0, p * (log_p - log_q), 0).sum(-1).clamp(min=0)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the L1 distance over the last dimension."""
    return (p.double() - q.double()).abs().sum(-1) / 2


def squared_hellinger(p: Tensor, q: Tensor) -> Tensor:
    """`sum (sqrt p - sqrt q)^2 / 2` over the last dimension, between 0 and 1: half of what `divergences` matches."""
    return (p.double().sqrt() - q.double().sqrt()).square().sum(-1) / 2


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence over the last dimension, in nats."""
    middle = (p.double() + q.double()) / 2
    return (kl(p, middle.log()) + kl(q, middle.log())) / 2


def chi_squared_to_mixture(p: Tensor, q: Tensor) -> Tensor:
    """`chi2(p || m) = sum (p - m)^2 / m` with `m = (p + q) / 2` over the last dimension: symmetric, from 0 to 1."""
    middle = (p.double() + q.double()) / 2
    return ((p.double() - middle).square() / torch.where(middle > 0, middle, 1)).sum(-1)


def accumulated_error(regret: float, step_error: float) -> float:
    """AccErr (Arora et al. 2022, equation 5): on-policy step errors summed over the horizon, in step errors."""
    return math.inf if step_error == 0 else regret / step_error


def excess_accumulated_error(regret: float, step_error: float, horizon: int) -> float:
    """%ExAccErr (Arora et al. 2022, equation 6): how far errors accumulate beyond `horizon` times the step error, in %.

    Args:
        regret: sum over the horizon of the on-policy step errors.
        step_error: mean off-policy step error.
        horizon: number of generated positions.
    """
    return math.inf if step_error == 0 else 100 * (regret - horizon * step_error) / (horizon * step_error)


def token_log_probs(log_probs: Tensor) -> Tensor:
    """Law of the next token given that none is deleted: [..., A] -> [..., V], both logs."""
    tokens = log_probs[..., :-1].double()
    return tokens - tokens.logsumexp(-1, keepdim=True)


def sequence_distances(of_teacher: tuple[Floats, Floats], of_student: tuple[Floats, Floats]) -> dict[str, Estimate]:
    """Distances between the laws of whole texts, from texts of both and their log-probabilities.

    Args:
        of_teacher: log-probability of texts of the teacher under the teacher and under the student, float64 [B] each.
        of_student: the same of texts of the student.

    Returns:
        `kl`, KL(teacher || student), and `reverse_kl`, infinite on a support violation and never NaN;
        `total_variation`, `squared_hellinger` and `jensen_shannon`, means of terms of bounded variance. A sample knows
        only what it saw: a support violation rarer than one text in B goes unnoticed.
    """
    p_of_p, q_of_p = (np.asarray(x, dtype=np.float64) for x in of_teacher)
    p_of_q, q_of_q = (np.asarray(x, dtype=np.float64) for x in of_student)
    ratio, back = np.exp(q_of_p - p_of_p), np.exp(p_of_q - q_of_q)
    halves = [mean(np.log(2) - np.log1p(r), "sequences") for r in (ratio, back)]
    return {
        "kl": mean(p_of_p - q_of_p, "sequences"),
        "reverse_kl": mean(q_of_q - p_of_q, "sequences"),
        "total_variation": mean(np.maximum(1 - ratio, 0), "sequences"),
        "squared_hellinger": mean(1 - np.sqrt(ratio), "sequences"),
        "jensen_shannon": over_runs(halves),
    }


def text_log_probs(surprisals: Floats) -> Floats:
    """Log-probability of every text, float64 [B], from `surprisal` or `teacher_surprisal` along it."""
    log_probs: Floats = -np.nansum(surprisals, axis=1)
    return log_probs
