"""What a policy may learn of the tokens that it has deleted at a prefix, beside their being forbidden there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class TriedTerm(nn.Module):
    """A shift of the last hidden state of a prefix, `W m + u log(1 + n)`, where n tokens were deleted from it.

    `m` is the mean of their rows of the head. `W` and `u` begin as zeros, so that a policy that gains the term is
    the policy that it was.

    Args:
        width: D, of the hidden states.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(width, width))
        self.number = nn.Parameter(torch.zeros(width))

    def forward(self, table: Tensor, state: Tensor, token: Tensor, states: int) -> Tensor:
        """Shifts of some states: [states, D].

        Args:
            table: [more than every token, D], the head.
            state: int64 [K], to which of the states each deletion belongs.
            token: int64 [K], what was deleted there.
            states: how many there are.
        """
        rows = table[token].to(self.mean.dtype)
        total = rows.new_zeros(states, rows.shape[1]).index_add(0, state, rows)
        n = torch.bincount(state, minlength=states).to(rows)[:, None]
        return linear(total / n.clamp(min=1), self.mean) + n.log1p() * self.number
