"""Distances between two laws of one step, and what they add up to over the horizon, in nats.

The functions of tensors have gradients, and the dtype of what they are given: float64 where they measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..errors.arguments import check_number, of_arrays
from ..statistics.estimates import Estimate, mean, over_runs
from .lifetimes import Floats

StepDivergence = Callable[[Tensor, Tensor], Tensor]
"""Laws of teacher and student, `p` and `log q`, [..., A] -> [...]; `log q` is -inf where the student cannot act."""


@of_arrays
def kl(p: Tensor, log_q: Tensor, log_p: Tensor | None = None) -> Tensor:
    """`KL(p || q)` over the last dimension; infinite where `q` lacks what `p` has, never NaN, never below 0.

    Args:
        p: [..., A], probabilities.
        log_q: [..., A], log-probabilities, -inf among them.
        log_p: of `p`, where they are known; None: they are taken from it.
    """
    some = p > 0
    log_p = torch.where(some, p, 1).log() if log_p is None else torch.where(some, log_p, 0)
    found = (p * (log_p - torch.where(some, log_q, 0))).sum(-1)
    return found + (-found).clamp(min=0).detach()  # rounding may leave it below 0; the gradient stays


@of_arrays
def reverse_kl(p: Tensor, log_q: Tensor, smoothing: float = 0.0) -> Tensor:
    """`KL(q || p)`: do nothing that the teacher does not.

    Args:
        p, log_q: as for `kl`.
        smoothing: share of `p` that is spread over the actions that `q` may take; above 0 the value is finite for a
            teacher with partial support too.
    """
    legal = log_q.isfinite()
    p = (1 - smoothing) * p + smoothing * legal / legal.sum(-1, keepdim=True)
    return kl(log_q.exp(), p.log(), log_q)


@of_arrays
def jensen_shannon(p: Tensor, q: Tensor, beta: float = 0.5) -> Tensor:
    """`beta KL(p || m) + (1 - beta) KL(q || m)`, `m = beta p + (1 - beta) q`, over the last dimension, in nats."""
    if not isinstance(beta, Tensor):
        check_number("jensen_shannon", "beta", beta, 0, 1)
    middle = beta * p + (1 - beta) * q
    log_m = torch.where(middle > 0, middle, 1).log()
    return beta * kl(p, log_m) + (1 - beta) * kl(q, log_m)


@of_arrays
def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the L1 distance over the last dimension."""
    return (p - q).abs().sum(-1) / 2


@of_arrays
def squared_hellinger(p: Tensor, q: Tensor) -> Tensor:
    """`sum (sqrt p - sqrt q)^2 / 2` over the last dimension, between 0 and 1; without a gradient where a law is 0."""
    return (_root(p) - _root(q)).square().sum(-1) / 2


@of_arrays
def chi_squared_to_mixture(p: Tensor, q: Tensor) -> Tensor:
    """`chi2(p || m) = sum (p - m)^2 / m` with `m = (p + q) / 2` over the last dimension: symmetric, from 0 to 1."""
    middle = (p + q) / 2
    return ((p - middle).square() / torch.where(middle > 0, middle, 1)).sum(-1)


def _root(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.where(x > 0, x, 1).sqrt(), 0)


def _smoothed_reverse_kl(p: Tensor, log_q: Tensor) -> Tensor:
    return reverse_kl(p, log_q, SMOOTHING)


def _jensen_shannon(p: Tensor, log_q: Tensor) -> Tensor:
    return jensen_shannon(p, log_q.exp())


SMOOTHING = 1e-4
STEP_DIVERGENCES: dict[str, StepDivergence] = {
    "forward_kl": kl,
    "reverse_kl": _smoothed_reverse_kl,
    "jensen_shannon": _jensen_shannon,
}
"""What an agent may learn a teacher's law by, by name: finite for a teacher that never does what the student may."""


@of_arrays
def accumulated_error(regret: float, step_error: float) -> float:
    """AccErr (Arora et al. 2022, equation 5): on-policy step errors summed over the horizon, in step errors."""
    return math.inf if step_error == 0 else regret / step_error


@of_arrays
def excess_accumulated_error(regret: float, step_error: float, horizon: int) -> float:
    """%ExAccErr (Arora et al. 2022, equation 6): how far errors accumulate beyond `horizon` times the step error, in %.

    Args:
        regret: sum over the horizon of the on-policy step errors.
        step_error: mean off-policy step error.
        horizon: number of generated positions.
    """
    return math.inf if step_error == 0 else 100 * (regret - horizon * step_error) / (horizon * step_error)


@of_arrays
def token_log_probs(log_probs: Tensor) -> Tensor:
    """Law of the next token given that none is deleted: [..., A] -> [..., V], both logs."""
    tokens = log_probs[..., :-1].double()
    return tokens - tokens.logsumexp(-1, keepdim=True)


@of_arrays
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


@of_arrays
def text_log_probs(surprisals: Floats) -> Floats:
    """Log-probability of every text, float64 [B], from `surprisal` or `teacher_surprisal` along it."""
    log_probs: Floats = -np.nansum(surprisals, axis=1)
    return log_probs
