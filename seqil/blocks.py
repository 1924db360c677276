"""Sampling from many weights in two levels: a block of them by its sum, then one weight of that block.

Cumulative sums of all weights would take several times as long as the softmax, and a weight of 1e-7 counts as exactly
here. Whoever keeps the sums of a law draws from it again by the weights of one block alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 4096
"""Up to so many weights are better summed one by one."""
_BLOCK = 256
_LAST = 1 - 2.0**-53  # the largest share below 1: a total times it is below the total


def block_sums(weights: Tensor) -> Tensor:
    """Sums of neighbouring weights: [B, N] -> [B, blocks]."""
    whole = weights.shape[1] // _BLOCK * _BLOCK
    sums = weights[:, :whole].unflatten(1, (-1, _BLOCK)).sum(-1)
    return torch.cat([sums, weights[:, whole:].sum(-1, keepdim=True)], 1)


def choose_block(sums: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The block into which `uniform` (float64 [B]) of the total falls.

    Returns:
        int64 [B, 1], the block; float64 [B, 1], which share of it lies before; int64 [B, block size], its cells, of
        which those of the last block may lie beyond the weights.
    """
    sums = sums.double()
    cumulative = sums.cumsum(-1)
    point = uniform[:, None] * cumulative[:, -1:]
    block = exceeding(cumulative, point)
    # As a share of the block, because its sum is rounded by more than the smallest of its weights.
    share = (point - (cumulative - sums).gather(1, block)) / sums.gather(1, block)
    return block, share.clamp_(0, _LAST), block * _BLOCK + torch.arange(_BLOCK, device=sums.device)


def choose_inside(weights: Tensor, share: Tensor) -> Tensor:
    """The weight of a block [B, block size] into which that share of their sum falls: int64 [B, 1]."""
    inside = weights.cumsum(-1, dtype=torch.float64)
    return exceeding(inside, share * inside[:, -1:])


def exceeding(cumulative: Tensor, point: Tensor) -> Tensor:
    """First index whose cumulative weight exceeds a point below the total: int64 [B, 1]."""
    index = torch.searchsorted(cumulative, point, right=True)
    return index.clamp_(max=cumulative.shape[1] - 1)  # of weights that are not finite
