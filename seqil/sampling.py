"""One action per row from logits: inverse-CDF sampling with counter-based uniforms."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .errors import InvalidInputError, NonFiniteError


class Sampler:
    """Inverse-CDF sampling with a counter-based uniform per row and step.

    Args:
        generator: one draw from it keys all streams; None: key 0.
        temperature: of the softmax; 0 is the argmax.
        streams: int64 [all rows], the stream of each row; None: row i has stream i.
    """

    def __init__(self, generator: torch.Generator | None, temperature: float, streams: Tensor | None = None) -> None:
        if temperature != 0 and not 1e-6 <= temperature <= 1e6:  # beyond, float32 overflows
            raise InvalidInputError(f"temperature={temperature} must be 0 (greedy) or lie in [1e-6, 1e6]")
        device = "cpu" if generator is None else generator.device
        self.key = 0 if generator is None else int(torch.randint(2**62, (), generator=generator, device=device))
        self.temperature, self.streams = temperature, streams

    def __call__(
        self, logits: Tensor, rows: Tensor, step: int, reshape: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """One action per row: int64 [B] and its log-probability [B]; overwrites nothing.

        Args:
            logits: [B, A], -inf where illegal.
            rows: int64 [B], which rows these are.
            step: position in their streams.
            reshape: what is done to the logits once they are divided by the temperature.
        """
        _check_finite(logits, rows, step, "the model is broken or has diverged")
        if self.temperature > 0:
            logits = logits / self.temperature
        if reshape is not None:
            logits = reshape(logits)
            _check_finite(logits, rows, step, "a rule has broken them")
        if self.temperature == 0:
            action = logits.argmax(-1)
            return action, torch.zeros_like(logits[:, 0])
        log_p = logits.log_softmax(-1)
        cdf = log_p.exp().cumsum(-1, dtype=torch.float64)
        total = cdf[:, -1:]
        streams = rows if self.streams is None else self.streams[rows]
        # Strictly below the total, so that the first larger entry has a positive probability.
        point = torch.minimum(
            uniforms(self.key, streams, step)[:, None] * total, torch.nextafter(total, total.new_zeros(()))
        )
        action = torch.searchsorted(cdf, point, right=True)
        return action[:, 0], log_p.gather(1, action)[:, 0]


def uniforms(key: int, streams: Tensor, step: int) -> Tensor:
    """Counter-based uniforms in [0, 1): float64, one per stream; the same bits on every device (splitmix64)."""
    x = _mix(streams * _signed(0x9E3779B97F4A7C15) + key)
    x = _mix(x + _signed(0xD1B54A32D192ED03 * (step + 1)))
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


def _check_finite(logits: Tensor, rows: Tensor, step: int, reason: str) -> None:
    finite = torch.isfinite(logits.amax(-1))
    if not finite.all():
        row = int(rows[~finite][0])
        raise NonFiniteError(f"logits of row {row} at action {step} are not finite; {reason}")
