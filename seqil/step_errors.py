"""Distances between two laws of one step, and what they add up to over the horizon; float64, nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
