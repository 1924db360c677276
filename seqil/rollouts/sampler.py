"""One action per row from logits: inverse-CDF sampling with counter-based uniforms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import NonFiniteError
from ..errors.arguments import check_temperature

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


Ints = Tensor | NDArray[np.int64]


class Sampler:
    """Inverse-CDF sampling with a counter-based uniform per row and step.

    Args:
        generator: one draw from it keys all streams; None: key 0.
        temperature: of the softmax; 0 is the argmax.
        streams: int64 [all rows], the stream of each row.
    """

    def __init__(self, generator: torch.Generator | None, temperature: float, streams: Tensor) -> None:
        check_temperature(temperature)
        device = "cpu" if generator is None else generator.device
        key = 0 if generator is None else int(torch.randint(2**62, (), generator=generator, device=device))
        self.temperature, self.keys = temperature, stream_keys(key, streams)

    def __call__(
        self, logits: Tensor, rows: Ints, steps: Ints, reshape: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One action per row: int64 [B] and its log-probability [B]; overwrites nothing.

        Args:
            logits: [B, A], -inf where illegal.
            rows: int64 [B], which rows these are.
            steps: int64 [B], positions in their streams.
            reshape: what is done to the logits once they are divided by the temperature.
        """
        if reshape is not None:
            logits = self._tempered(logits)
            _check_finite(logits.amax(-1), rows, steps, _BROKEN_MODEL)
            action, log_prob = self._drawn(reshape(logits), rows, steps)
            _check_finite(log_prob, rows, steps, "a rule has broken them")
            return action, log_prob
        action, log_prob = self.draw(logits, rows, steps)
        _check_finite(log_prob, rows, steps, _BROKEN_MODEL)
        return action, log_prob

    def draw(self, logits: Tensor, rows: Ints, steps: Ints) -> tuple[Tensor, Tensor]:
        """The same without a question to the host: where logits are broken the log-probability is not finite."""
        return self._drawn(self._tempered(logits), rows, steps)

    def _tempered(self, logits: Tensor) -> Tensor:
        return logits if self.temperature in (0, 1) else logits / self.temperature

    def _drawn(self, logits: Tensor, rows: Ints, steps: Ints) -> tuple[Tensor, Tensor]:
        if self.temperature == 0:
            top, action = logits.max(-1)
            return action, top - top
        action, probability = self._chosen(logits.softmax(-1), self._uniforms(rows, steps))
        return action, probability.log()

    def _chosen(self, weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        return inverse_cdf(weights, uniform)

    def _uniforms(self, rows: Ints, steps: Ints) -> Tensor:
        return uniforms(self.keys[rows], torch.as_tensor(steps))


class SamplerAhead(Sampler):
    """The same for rows and steps in arrays of the host, with the uniforms of many steps of a row computed at once.

    Args:
        once: what was drawn from a law of many actions is taken out of it, in `law`.

    Attributes:
        law: of the last rows, for `again`: probabilities [B, A], of many actions their `block_sums`. Not when greedy.
    """

    law: Tensor

    def __init__(
        self, generator: torch.Generator | None, temperature: float, streams: Tensor, once: bool = False
    ) -> None:
        super().__init__(generator, temperature, streams)
        self.once = once
        self.block, self.ahead = np.full(len(streams), -1), np.empty((len(streams), _AHEAD))
        self.device, self.keys = streams.device, self.keys.cpu()
        self.on_host = self.device.type == "cpu"

    def again(
        self,
        law: Tensor,
        rows: Ints,
        steps: Ints,
        logits_of: Callable[[Tensor], Tensor] | None = None,
        left: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One more action per row from laws that were kept: int64 [B] and its log-probability [B].

        Of many actions the logits of one block are asked for: `logits_of` is given the actions of it, int64 [B, block
        size], and returns their logits, -inf where they are illegal or beyond the last. Of a law of which something
        was taken out `left` is the sum, [B], and what is drawn is taken out, too, in place.
        """
        uniform = self._uniforms(rows, steps)
        if logits_of is None:
            action, probability = inverse_cdf(law, uniform)
        else:
            chosen, share, cells = choose_block(law, uniform)
            weights = self._tempered(logits_of(cells)).softmax(-1)
            inside, whole = choose_inside(weights, share), law.gather(1, chosen)
            action = cells.gather(1, inside).squeeze(1)
            probability = (weights.gather(1, inside) * whole).squeeze(1)
            if left is not None:
                self.law = law.scatter_(1, chosen, weights.scatter_(1, inside, 0).sum(1, keepdim=True) * whole)
                probability = probability / left
        log_prob = probability.log()
        _check_finite(log_prob, rows, steps, _BROKEN_MODEL)
        return action, log_prob

    def _chosen(self, weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        if weights.shape[1] <= FEW:
            self.law = weights
            return inverse_cdf(weights, uniform)
        self.law = block_sums(weights)
        block, inside, at = _in_blocks(weights, self.law, uniform)
        probability = inside.gather(1, at)
        if self.once:
            self.law.scatter_(1, block, inside.scatter_(1, at, 0).sum(1, keepdim=True))
        return (block * _BLOCK + at).squeeze(1), probability.squeeze(1)

    def _uniforms(self, rows: Ints, steps: Ints) -> Tensor:
        block = steps // _AHEAD
        other = self.block[rows] != block
        if other.any():
            new, first = rows[other], torch.from_numpy(block[other]) * _AHEAD
            self.ahead[new] = uniforms(self.keys[new, None], first[:, None] + torch.arange(_AHEAD))
            self.block[new] = block[other]
        found = torch.from_numpy(self.ahead[rows, steps % _AHEAD])
        return found if self.on_host else found.to(self.device)


def broken(row: int, step: int, reason: str = "") -> NonFiniteError:
    """The error that names the row and the action whose logits are not finite."""
    return NonFiniteError(f"logits of row {row} at action {step} are not finite; {reason or _BROKEN_MODEL}")


_BROKEN_MODEL = "the model is broken or has diverged"
_AHEAD = 64  # steps of a row


def inverse_cdf(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """First index whose cumulative weight exceeds `uniform` times their sum, and its weight: two [B].

    Args:
        weights: [B, N], none negative.
        uniform: float64 [B], in [0, 1).
    """
    N = weights.shape[1]
    if N <= FEW:
        cumulative = weights.cumsum(-1, dtype=torch.float64)
        index = exceeding(cumulative, cumulative.narrow(1, N - 1, 1) * uniform.unsqueeze(1))
    else:
        block, _, at = _in_blocks(weights, block_sums(weights), uniform)
        index = block * _BLOCK + at
    return index.squeeze(1), weights.gather(1, index).squeeze(1)


def _in_blocks(weights: Tensor, sums: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where that share of many weights [B, N] of these `block_sums` falls.

    Returns:
        int64 [B, 1], the block; [B, block size], its weights; int64 [B, 1], which of them.
    """
    last = weights.shape[1] - 1
    block, share, cells = choose_block(sums, uniform)
    inside = torch.where(cells <= last, weights.gather(1, cells.clamp(max=last)), 0)
    # Of weights that are not finite it may lie beyond.
    return block, inside, torch.minimum(choose_inside(inside, share), last - block * _BLOCK)


def stream_keys(key: int, streams: Tensor) -> Tensor:
    """What `uniforms` needs to know of streams, int64 of any shape: the same shape."""
    return _mix(streams * _signed(0x9E3779B97F4A7C15) + key)


def uniforms(keys: Tensor, steps: Tensor) -> Tensor:
    """Counter-based uniforms in [0, 1): float64, one per stream; the same bits on every device (splitmix64)."""
    x = _mix(keys + (steps + 1) * _signed(0xD1B54A32D192ED03))
    return _shift(x, 11).double() * 2.0**-53


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number


def _check_finite(values: Tensor, rows: Ints, steps: Ints, reason: str) -> None:
    if math.isfinite(values.sum().item()):  # one number says that all are finite
        return
    where = (~torch.isfinite(values)).nonzero()
    if len(where):
        first = int(where[0])
        raise broken(int(rows[first]), int(steps[first]), reason)
