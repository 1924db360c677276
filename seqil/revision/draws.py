"""Random numbers that belong to a text: a loss that draws what it hides stays a function of its data and a counter."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mdp.trajectory import Trajectories

_MOST_DRAWN_FROM = 2**24  # categories of torch.multinomial
_MULTIPLIERS = (-0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)  # those of splitmix64, as signed


def uniforms(trajectories: Trajectories, numbers: int, call: Tensor | int) -> Tensor:
    """`numbers` per row, in [0, 1): float64 [B, numbers], a hash of the row's prompt and actions and of the call.

    They depend neither on the padding nor on the other rows, so that a loss made of them is one of rows; equal rows
    have equal ones.

    Args:
        trajectories: B rows.
        numbers: how many per row.
        call: a counter, another one for other numbers.
    """
    t = trajectories
    empty = t.vocabulary.size
    cells = torch.cat([t.prompts, torch.where(t.inside, t.actions, empty)], 1)
    real = torch.cat([t.prompts != empty, t.inside], 1)
    at = torch.cat([torch.arange(t.prompts.shape[1]), -1 - torch.arange(t.actions.shape[1])]).to(cells.device)
    mixed = torch.where(real, _mixed(_mixed(cells + 1) + at), 0).sum(1)
    key = _mixed(mixed + _mixed(torch.as_tensor(call, device=cells.device)))
    bits = _mixed(key[:, None] + _mixed(torch.arange(1, numbers + 1, device=cells.device)))
    return ((bits >> 11) & ((1 << 53) - 1)).double() / 2**53


def _mixed(x: Tensor) -> Tensor:
    """splitmix64 of int64, whose products wrap around."""
    x = (x + 1) * _MULTIPLIERS[0]
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _MULTIPLIERS[1]
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _MULTIPLIERS[2]
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def with_repetition(weights: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """So many edits per row of weights [B, A], with repetitions: int64 [B, number]."""
    if weights.shape[1] <= _MOST_DRAWN_FROM:
        return torch.multinomial(weights, number, replacement=True, generator=generator)
    uniform, found = torch.rand(len(weights), number, generator=generator, dtype=torch.float64), []
    for row, shares in zip(weights, uniform, strict=True):
        cumulative = row.cumsum(0, dtype=torch.float64)
        found.append(torch.searchsorted(cumulative, shares * cumulative[-1], right=True))
    return torch.stack(found)
