"""Divergences between occupancies, as concave functions of the scaled implicit reward.

Matching the occupancy `P` of a policy to that of the data, `D`, is `max over rewards of E_D[phi(x)] - E_P[x]`, with a
concave `phi`, `phi(0) = 0` and `phi'(0) = 1` (Garg et al. 2021, IQ-Learn; the table and the choice of the mixture are
SequenceMatch's, Cundy & Ermon 2024, as far as its abstract and what others say of it tell). What an objective pays for
a reward `x` is `penalty = z - phi(z)`, at `z = alpha x`: convex, zero with zero slope at 0.

At the optimum `P = D phi'(alpha x)`. Three `phi` end where their slope is infinite, and go on as a tangent before that,
at `edge`: so the slope, and with it the ratio of P to D, is bounded. What is minimised is the divergence subject to
`P <= 10 D` for forward KL, `22.7 D` for Jensen-Shannon and `100 D` for Hellinger. So a policy never goes where the data
never were, though these three by themselves would let it, and where the data are rare it goes at most so many times as
often. (Reverse KL has a tangent too, for the sake of floating point: `4.9e8 D`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..errors.arguments import check_fields, typed_widely

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Divergence:
    """One row of the table below. `phi` and `penalty` take `z = alpha x` and return unscaled values.

    Attributes:
        name: as on the command line.
        alpha: scale of the reward; small alpha is behavior cloning.
        mixture: whether the rollouts carry the penalty too (a divergence from the even mixture of data and policy).
        edge: below it `phi` continues as its tangent, so that it is finite, concave and C1 on all of R.
    """

    name: str
    alpha: float
    mixture: bool
    edge: float
    _phi: Function
    _penalty: Function
    _slope: Callable[[float], float]

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1e-8 <= self.alpha <= 1e8:  # beyond, float32 overflows
            raise InvalidInputError(f"{self.name}: alpha={self.alpha} must lie in [1e-8, 1e8]; 0.01 say")

    @property
    def largest_ratio(self) -> float:
        """The bound of P / D that comes with the tangent: `phi'` at `edge`, infinite without one."""
        return math.inf if self.edge == -math.inf else self._slope(self.edge)

    @typed_widely
    def phi(self, z: Tensor) -> Tensor:
        """Elementwise, any shape; float."""
        return self._continued(self._phi, self._slope, z)

    @typed_widely
    def penalty(self, z: Tensor) -> Tensor:
        """`z - phi(z)` without cancellation near 0."""
        return self._continued(self._penalty, lambda z: 1 - self._slope(z), z)

    def _continued(self, function: Function, slope: Callable[[float], float], z: Tensor) -> Tensor:
        if self.edge == -math.inf:
            return function(z)
        return function(z.clamp(min=self.edge)) + slope(self.edge) * (z - self.edge).clamp(max=0)


def check(divergence: Divergence) -> Divergence:
    """Refuse what is no divergence, a name say."""
    if not isinstance(divergence, Divergence):
        raise InvalidInputError(f"divergence={divergence!r} is no Divergence; call one, divergences.chi2(alpha) say")
    return divergence


def chi2_mixture(alpha: float = 0.01) -> Divergence:
    """The paper's: chi-squared from the mixture of data and policy; `phi = z - z^2/4` on data and on rollouts.

    At its optimum `|alpha x| <= 2` (LS-IQ, Al-Hafez et al. 2023).
    """
    return Divergence("chi2_mixture", alpha, True, -math.inf, _chi2, _chi2_penalty, _one)


def chi2(alpha: float = 0.01) -> Divergence:
    """`sum (P - D)^2 / D`, on data only; the reward off the data diverges: a baseline, not a default."""
    return Divergence("chi2", alpha, False, -math.inf, _chi2, _chi2_penalty, _one)


def forward_kl(alpha: float = 0.01) -> Divergence:
    """`KL(D || P)` subject to `P <= 10 D`: `phi = log(1 + z)`."""
    return Divergence("forward_kl", alpha, False, -0.9, torch.log1p, _log1p_penalty, _log1p_slope)


def reverse_kl(alpha: float = 0.01) -> Divergence:
    """`KL(P || D)`: `phi = 1 - exp(-z)`."""
    return Divergence("reverse_kl", alpha, False, -20.0, _one_minus_exp, _exp_penalty, _exp_slope)


def jensen_shannon(alpha: float = 0.01) -> Divergence:
    """`2 JSD(D, P)` subject to `P <= 22.7 D`: `phi = log(2 - exp(-z))`."""
    return Divergence("jensen_shannon", alpha, False, -0.65, _js, _js_penalty, _js_slope)


def twice_squared_hellinger(alpha: float = 0.01) -> Divergence:
    """`sum (sqrt D - sqrt P)^2`, twice `metrics.squared_hellinger`, subject to `P <= 100 D`: `phi = z / (1 + z)`."""
    return Divergence("twice_squared_hellinger", alpha, False, -0.9, _ratio, _ratio_penalty, _ratio_slope)


DIVERGENCES: dict[str, Callable[[float], Divergence]] = {
    make.__name__: make
    for make in (chi2_mixture, chi2, forward_kl, reverse_kl, jensen_shannon, twice_squared_hellinger)
}


def _one(z: float) -> float:
    return 1.0


def _log1p_slope(z: float) -> float:
    return 1 / (1 + z)


def _exp_slope(z: float) -> float:
    return math.exp(-z)


def _js_slope(z: float) -> float:
    return 1 / (2 * math.exp(z) - 1)


def _ratio_slope(z: float) -> float:
    return (1 + z) ** -2


def _chi2(z: Tensor) -> Tensor:
    return z - z.square() / 4


def _chi2_penalty(z: Tensor) -> Tensor:
    return z.square() / 4


def _one_minus_exp(z: Tensor) -> Tensor:
    return -torch.expm1(-z)


def _js(z: Tensor) -> Tensor:
    return torch.log1p(-torch.expm1(-z))


def _ratio(z: Tensor) -> Tensor:
    return z / (1 + z)


def _ratio_penalty(z: Tensor) -> Tensor:
    return z.square() / (1 + z)


def _log1p_penalty(z: Tensor) -> Tensor:
    return _near_zero(z, lambda z: z - torch.log1p(z), [(-1) ** k / k for k in range(2, 11)])


def _exp_penalty(z: Tensor) -> Tensor:
    return _near_zero(z, lambda z: z + torch.expm1(-z), [(-1) ** k / math.factorial(k) for k in range(2, 11)])


def _js_penalty(z: Tensor) -> Tensor:
    # z - log(2 - exp(-z)) = -log(1 - (1 - exp(-z))^2): the right side is exact near 0, the left one far from it.
    near = z < 1
    exact = -torch.log1p(-torch.expm1(-torch.where(near, z, 0.0)).square())
    return torch.where(near, exact, z - _js(torch.where(near, 1.0, z)))


def _near_zero(z: Tensor, function: Function, coefficients: list[float]) -> Tensor:
    """`function`, and its power series from the second power on where the function itself would cancel."""
    near = z.abs() < (0.1 if z.dtype == torch.float32 else 0.01)
    small = torch.where(near, z, 0.0)
    series = torch.zeros_like(z)
    for c in reversed(coefficients):
        series = series * small + c
    return torch.where(near, series * small.square(), function(torch.where(near, 1.0, z)))
