"""Divergences between the laws of one step, with a gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

StepDivergence = Callable[[Tensor, Tensor], Tensor]
"""Laws of teacher and student over the actions, `p` and `log q`, [..., A] -> [...]; `log q` is -inf where illegal."""


def forward_kl(p: Tensor, log_q: Tensor) -> Tensor:
    """`KL(p || q)`: cover what the teacher does."""
    return _kl(p, torch.where(p > 0, p, 1).log(), log_q)


def reverse_kl(p: Tensor, log_q: Tensor, smoothing: float = 1e-4) -> Tensor:
    """`KL(q || p)`: do nothing that the teacher does not.

    A teacher with partial support would make it infinite: a share `smoothing` of `p` is spread over the legal actions.
    """
    legal = log_q.isfinite()
    p = (1 - smoothing) * p + smoothing * legal / legal.sum(-1, keepdim=True)
    return _kl(log_q.exp(), log_q, p.log())


def jensen_shannon(p: Tensor, log_q: Tensor, beta: float = 0.5) -> Tensor:
    """`beta KL(p || m) + (1 - beta) KL(q || m)`, `m = beta p + (1 - beta) q` (equation 1 of the paper)."""
    q = log_q.exp()
    log_m = (beta * p + (1 - beta) * q).clamp(min=torch.finfo(p.dtype).tiny).log()
    return beta * _kl(p, torch.where(p > 0, p, 1).log(), log_m) + (1 - beta) * _kl(q, log_q, log_m)


DIVERGENCES: dict[str, StepDivergence] = {f.__name__: f for f in (forward_kl, reverse_kl, jensen_shannon)}


def _kl(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    """Over the last dimension; where `p` is 0 nothing is added, and no NaN reaches the gradient."""
    some = p > 0
    return (p * (torch.where(some, log_p, 0) - torch.where(some, log_q, 0))).sum(-1)
