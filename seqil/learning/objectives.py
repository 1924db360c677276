"""The losses, as pure functions of step values.

A step counts if it is imitated. With the implicit reward `x_i = l(a_i|s_i) - gamma V(s_{i+1})`, in the absorbing state
`r_N = (1 - gamma) V(s_N)`, and `G(z) = z - phi(z)`, SequenceMatch maximises for a row of data

    J = sum g^i log pi(a_i|s_i) - (1/alpha) sum g^i G(alpha x_i) - ended g^N/(1-g) G(alpha r_N)/alpha

over counted steps `i`, less the same two penalties on rollouts where the divergence is from a mixture. This is the
objective of Cundy & Ermon (2024) after its value terms `V_i - g V_{i+1}` are telescoped along each trajectory: the
likelihood appears, and with it the variance of two cancelling estimates disappears. `sequence_match_reference` keeps
the form before that, and tests say that the two agree.

That objective is reconstructed: the body of the paper was not read. The form is that of its parents (IQ-Learn, Garg et
al. 2021; LS-IQ, Al-Hafez et al. 2023), with what its abstract and what others say of it add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import InvalidInputError, NonFiniteError
from ..errors.arguments import check_number, of_arrays, typed_widely
from ..policy.values import StepValues
from .divergences import Divergence, check
from .whole_batch import count, total

Parts = dict[str, Tensor]


@typed_widely
def behavior_cloning(values: StepValues, gamma: float = 1.0) -> tuple[Tensor, Parts]:
    """Discounted negative log-likelihood of the counted actions, backspaces included, per unit of weight.

    With `gamma=1` and data without backspaces this is maximum likelihood.

    Returns:
        The loss (scalar; 0 with gradient 0 if no step counts) and `{"likelihood": loss}`, detached.
    """
    check_gamma(gamma, undiscounted=True)
    check_finite(values)
    weight = _weight(values, gamma)
    loss = -_mean((weight * _log_prob(values)).sum(1)) * _per_unit(weight)
    return loss, {"likelihood": loss.detach()}


@typed_widely
def weighted_likelihood(values: StepValues, weight: Tensor) -> Tensor:
    """Minus the weighted log-likelihood of the actions, per step of the rows: a scalar, 0 if there is none.

    With importance weights or returns as `weight` its gradient is a policy gradient (Williams 1992).

    Args:
        values: of B rows.
        weight: [B, T], of any sign, taken as a constant; it counts inside the rows only.
    """
    check_finite(values)
    if weight.shape != values.mask.shape:
        shape = [*values.mask.shape]
        raise InvalidInputError(f"weighted_likelihood: weight is {[*weight.shape]}; give one for each step, {shape}")
    likelihood = (torch.where(values.mask, weight.detach(), 0) * _log_prob(values)).sum()
    return -likelihood / total(values.mask.sum()).clamp(min=1)


@of_arrays
def returns(rewards: Tensor, gamma: float) -> Tensor:
    """Discounted sum of the rewards from each step on: [B, T]."""
    check_number("returns", "gamma", gamma, 0, 1)
    sums, later = torch.empty_like(rewards), torch.zeros_like(rewards[:, :1])
    for t in range(rewards.shape[1] - 1, -1, -1):
        later = rewards[:, t : t + 1] + gamma * later
        sums[:, t : t + 1] = later
    return sums


@typed_widely
def occupancy_divergence(
    values: StepValues, rollouts: StepValues, *, divergence: Divergence, gamma: float
) -> tuple[Tensor, Tensor]:
    """What the implicit reward of soft Q-values sees of the divergence between two occupancies: to be maximised.

    `E_D[phi(alpha x)] / alpha - E_P[x]`, for a mixture less `E_P[G(alpha x)] / alpha`: at the best reward it is the
    divergence over `alpha` (IQ-Learn, Garg et al. 2021, before the policy is put in). Both expectations are over
    normalised occupancies, the absorbing state of rows that ended included.

    Returns:
        The bound, a scalar, and the mean reward of the rollouts, detached.
    """
    _check(values, gamma, rollouts)
    alpha = check(divergence).alpha

    def expectation(v: StepValues, function: Callable[[Tensor], Tensor]) -> Tensor:
        weight, tail = _weight(v, gamma), _tail_weight(v, gamma)
        found = (weight * function(_reward(v, gamma))).sum() + (tail * function((1 - gamma) * _final(v))).sum()
        return found / total(weight.sum() + tail.sum()).clamp(min=torch.finfo(found.dtype).tiny)

    own = expectation(rollouts, lambda x: x)
    bound = expectation(values, lambda x: divergence.phi(alpha * x) / alpha) - own
    if divergence.mixture:
        bound = bound - expectation(rollouts, lambda x: divergence.penalty(alpha * x) / alpha)
    return bound, own.detach()


@typed_widely
def mixture_penalty(values: StepValues, *, divergence: Divergence, gamma: float) -> Tensor:
    """What `occupancy_divergence` subtracts for each step of rollouts beside its reward: [B, T].

    `G(alpha x_i) / alpha` for a mixture, and at the step that ends a row the discounted sum of what its absorbing
    state costs; 0 for any other divergence.
    """
    penalty = torch.zeros_like(values.q)
    check_gamma(gamma)
    if not check(divergence).mixture or values.q.shape[1] == 0:
        return penalty
    alpha = divergence.alpha
    penalty = divergence.penalty(alpha * _reward(values, gamma)) / alpha
    rest = gamma / (1 - gamma) * divergence.penalty(alpha * (1 - gamma) * _final(values)) / alpha
    last = (values.mask.sum(1, keepdim=True) - 1).clamp(min=0)
    return penalty.scatter_add(1, last, rest[:, None])


@typed_widely
def sequence_match(
    values: StepValues,
    *,
    divergence: Divergence,
    gamma: float = 0.998,
    rollouts: StepValues | None = None,
    next_value: bool = True,
) -> tuple[Tensor, Parts]:
    """The SequenceMatch loss in its identity form: minus mean `J`, per unit of weight of the data.

    Args:
        values: of demonstrations, B rows.
        divergence: which, and its `alpha`.
        gamma: discount per action, in (0, 1).
        rollouts: of the policy's own trajectories, any number of rows. They enter for a mixture only: under any other
            divergence their gradient is exactly zero. Without them a mixture is its data term alone.
        next_value: False is an ablation, not the method: every `V(s_{i+1})`, that of the absorbing state included, is
            taken as 0, so that the penalties are those of `x_i = l(a_i|s_i)`. No step then hears of what follows it;
            what the loss still does is not owed to the next state's value.

    Returns:
        The loss (scalar; 0 with gradient 0 if no step counts) and its detached parts, which sum to it: `likelihood`,
        `penalty_data`, `penalty_tail` (the absorbing state of the data) and `penalty_rollouts`.
    """
    _check(values, gamma, rollouts)
    check(divergence)
    if not next_value:
        values, rollouts = without_next_value(values), None if rollouts is None else without_next_value(rollouts)
    weight = _weight(values, gamma)
    unit = _per_unit(weight)
    steps, tail = _penalties(values, divergence, gamma)
    parts = {
        "likelihood": -_mean((weight * _log_prob(values)).sum(1)) * unit,
        "penalty_data": _mean(steps) * unit,
        "penalty_tail": _mean(tail) * unit,
        "penalty_rollouts": torch.zeros_like(unit),
    }
    if divergence.mixture and rollouts is not None:
        steps, tail = _penalties(rollouts, divergence, gamma)
        parts["penalty_rollouts"] = _mean(steps + tail) * unit
    return torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()}


@typed_widely
def sequence_match_reference(
    values: StepValues, *, divergence: Divergence, gamma: float = 0.998, rollouts: StepValues | None = None
) -> tuple[Tensor, Parts]:
    """The same number as `sequence_match` from the paper's form, for tests: `phi` of the rewards less the value terms.

    J = sum g^i [phi(alpha x_i)/alpha - (V_i - g V_{i+1})] + ended [g^N/(1-g) phi(alpha r_N)/alpha - g^N V_N]

    Returns:
        The loss and its detached parts `phi_data`, `values_data`, `penalty_rollouts`.
    """
    _check(values, gamma, rollouts)
    alpha, unit = check(divergence).alpha, _per_unit(_weight(values, gamma))

    def phis(v: StepValues) -> Tensor:
        steps = _weight(v, gamma) * divergence.phi(alpha * _reward(v, gamma)) / alpha
        return steps.sum(1) + _tail_weight(v, gamma) * divergence.phi(alpha * (1 - gamma) * _final(v)) / alpha

    def telescoping(v: StepValues) -> Tensor:
        steps = _weight(v, gamma) * torch.where(v.mask, v.v - gamma * v.v_next, 0)
        return steps.sum(1) + _tail_weight(v, gamma) * (1 - gamma) * _final(v)

    parts = {
        "phi_data": -_mean(phis(values)) * unit,
        "values_data": _mean(telescoping(values)) * unit,
        "penalty_rollouts": torch.zeros_like(unit),
    }
    if divergence.mixture and rollouts is not None:
        linear = (_weight(rollouts, gamma) * _reward(rollouts, gamma)).sum(1)
        linear = linear + _tail_weight(rollouts, gamma) * (1 - gamma) * _final(rollouts)
        parts["penalty_rollouts"] = _mean(linear - phis(rollouts)) * unit
    return torch.stack(list(parts.values())).sum(), {name: part.detach() for name, part in parts.items()}


@typed_widely
def without_next_value(values: StepValues) -> StepValues:
    """The same with every `v_next` 0: what the ablation of `sequence_match` sees."""
    return replace(values, v_next=torch.zeros_like(values.v_next))


@typed_widely
def check_gamma(gamma: float, undiscounted: bool = False) -> None:
    """Refuse a discount outside (0, 1); 1 itself is let pass where `undiscounted`."""
    if not (0 < gamma < 1 or (undiscounted and gamma == 1)):
        raise InvalidInputError(f"gamma={gamma} must lie in (0, 1{']' if undiscounted else ')'}; 0.998 say")


@typed_widely
def check_finite(values: StepValues, name: str = "demonstrations") -> None:
    """Refuse NaN and infinity at any step inside a row, naming tensor, row and step."""
    for field in ("q", "v", "v_next"):
        wrong = values.mask & ~getattr(values, field).isfinite()
        if wrong.any():
            row, step = wrong.nonzero()[0].tolist()
            raise NonFiniteError(
                f"{field} of the {name} is not finite at row {row}, step {step}; the model has diverged: "
                "lower the learning rate, or start from a sound checkpoint"
            )


def _check(values: StepValues, gamma: float, rollouts: StepValues | None) -> None:
    check_gamma(gamma)
    check_finite(values)
    if rollouts is not None:
        check_finite(rollouts, "rollouts")


@of_arrays
def powers(values: StepValues, gamma: float, exponents: Tensor | None = None) -> Tensor:
    """`gamma` to the exponents (None: the steps, [T]), in the dtype of the values."""
    check_number("powers", "gamma", gamma, 0, 1)
    exponents = torch.arange(values.mask.shape[1], device=values.q.device) if exponents is None else exponents
    # A float to an integer tensor would be float32 whatever the values are.
    return torch.pow(torch.tensor(gamma, dtype=values.q.dtype, device=values.q.device), exponents.to(values.q.dtype))


def _weight(values: StepValues, gamma: float) -> Tensor:
    """`g^i` where step `i` counts, else 0: [B, T]."""
    return torch.where(values.imitate & values.mask, powers(values, gamma), 0)


def _mean(of_rows: Tensor) -> Tensor:
    """What these rows add to the mean over all rows of the batch, from [B]."""
    return of_rows.sum() / count(of_rows)


def _per_unit(weight: Tensor) -> Tensor:
    """One over the mean weight of a row of the batch; 0 if nothing counts at all."""
    mean = total(weight.sum(1).sum()) / count(weight)
    return torch.where(mean > 0, 1 / torch.where(mean > 0, mean, 1), 0)


def _log_prob(values: StepValues) -> Tensor:
    """`log pi(a_i|s_i)`, 0 outside the rows: [B, T]."""
    return torch.where(values.mask, values.log_prob, 0)


def _reward(values: StepValues, gamma: float) -> Tensor:
    """Implicit reward `x_i`, 0 outside the rows: [B, T]."""
    return torch.where(values.mask, values.q - gamma * values.v_next, 0)


def _final(values: StepValues) -> Tensor:
    """`V(s_N)` of rows that ended, else 0: [B]."""
    last = (values.mask.sum(1) - 1).clamp(min=0)
    if values.q.shape[1] == 0:
        return values.q.new_zeros(len(values.ended))
    return torch.where(values.ended, values.v_next.gather(1, last[:, None])[:, 0], 0)


def _tail_weight(values: StepValues, gamma: float) -> Tensor:
    """`g^N / (1 - g)` of rows that ended, else 0: [B]."""
    return torch.where(values.ended, powers(values, gamma, values.mask.sum(1)) / (1 - gamma), 0)


def _penalties(values: StepValues, divergence: Divergence, gamma: float) -> tuple[Tensor, Tensor]:
    """Penalty of the steps and of the absorbing tail, per row: two [B]."""
    alpha = divergence.alpha
    steps = (_weight(values, gamma) * divergence.penalty(alpha * _reward(values, gamma))).sum(1) / alpha
    tail = _tail_weight(values, gamma) * divergence.penalty(alpha * (1 - gamma) * _final(values)) / alpha
    return steps, tail
