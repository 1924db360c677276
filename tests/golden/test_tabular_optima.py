"""What the objective is minimised by, where every state fits into a table and every expectation is exact."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate

import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from agents.occupancy_gradient import OccupancyGradientLoss
from seqil import Trajectories, Vocabulary
from seqil.learning.divergences import DIVERGENCES, Divergence, chi2_mixture
from seqil.learning.objectives import sequence_match
from seqil.policy.values import StepValues
from tests.subjects.list_model import RememberingRow, Row

PROMPT = [0]


def key(row: Row) -> str:
    return repr((row.text, row.ended, getattr(row, "tried", None)))


@dataclass(frozen=True)
class Table:
    """The token MDP over all states of at most `max_length` tokens, as matrices; built from a row of the list model."""

    v: Vocabulary
    max_length: int
    row: type = Row

    @cached_property
    def states(self) -> list:
        found, queue = {}, [self.row(PROMPT, self.max_length)]
        while queue:
            row = queue.pop(0)
            if key(row) not in found:
                found[key(row)] = row
                queue += [row.take(self.v, a) for a in sorted(row.legal(self.v))]
        return list(found.values())

    def index(self, row: Row) -> int:
        return [key(r) for r in self.states].index(key(row))

    @cached_property
    def legal(self) -> torch.Tensor:
        legal = torch.zeros(len(self.states), self.v.num_actions, dtype=torch.bool)
        for s, row in enumerate(self.states):
            legal[s, sorted(row.legal(self.v))] = True
        return legal

    @cached_property
    def next(self) -> torch.Tensor:
        after = torch.zeros_like(self.legal, dtype=torch.int64)
        for s, a in self.legal.nonzero().tolist():
            after[s, a] = self.index(self.states[s].take(self.v, a))
        return after

    @cache  # noqa: B019  (the tables of this file are few)
    def walk(self, actions: tuple) -> tuple[Trajectories, torch.Tensor]:
        """The trajectories, and the state [B, T + 1] before every action and after the last."""
        t = Trajectories.from_actions(self.v, [PROMPT] * len(actions), actions, max_length=self.max_length)
        at, after = torch.zeros(len(actions), t.actions.shape[1] + 1, dtype=torch.int64), self.next.tolist()
        for b, row in enumerate(actions):
            states = list(accumulate(row, lambda s, a: after[s][a], initial=0))
            at[b] = torch.tensor(states + states[-1:] * (at.shape[1] - len(states)))
        return t, at

    def values(self, logits: torch.Tensor, actions: list, log_prob: torch.Tensor | None = None) -> StepValues:
        """Step values of trajectories under a table of logits [S, A]."""
        t, at = self.walk(tuple(map(tuple, actions)))
        value = logits.masked_fill(~self.legal, -torch.inf).logsumexp(1)[at]
        q = logits[at[:, :-1], t.actions.clamp(max=self.v.num_actions - 1)]
        inside = t.inside
        zero = torch.zeros((), dtype=q.dtype)
        pick = [torch.where(inside, x, zero) for x in (q, value[:, :-1], value[:, 1:])]
        return StepValues(*pick, inside, inside, t.ended)

    def occupancy(self, pi: torch.Tensor, gamma: float) -> torch.Tensor:
        """`rho(s, a)` of a policy [S, A], from the flow equations; sums to 1."""
        S = len(self.states)
        P = torch.zeros(S, S, dtype=pi.dtype).index_put(
            (torch.arange(S)[:, None].expand_as(pi).reshape(-1), self.next.reshape(-1)),
            (pi * self.legal).reshape(-1), accumulate=True,
        )  # fmt: skip
        first = torch.zeros(S, dtype=pi.dtype)
        first[0] = 1
        return torch.linalg.solve(torch.eye(S, dtype=pi.dtype) - gamma * P.T, (1 - gamma) * first)[:, None] * pi

    def occupancy_of(self, actions: list, gamma: float) -> torch.Tensor:
        """The same of trajectories in equal parts, each resting at its end for ever."""
        rho = torch.zeros(self.legal.shape, dtype=torch.float64)
        for row in actions:
            s = 0
            for i, a in enumerate(row):
                rho[s, a] += (1 - gamma) * gamma**i / len(actions)
                s = int(self.next[s, a])
            rho[s, self.v.eos] += gamma ** len(row) / len(actions)
        return rho


def entropy(rho: torch.Tensor, pi: torch.Tensor) -> torch.Tensor:
    """Normalised causal entropy."""
    return -(rho * torch.where(pi > 0, pi, 1).log()).sum()


def policy_of(table: Table, logits: torch.Tensor) -> torch.Tensor:
    return logits.masked_fill(~table.legal, -torch.inf).softmax(1)


def minimised(loss, shape) -> tuple[torch.Tensor, float]:
    """Minimiser [S, A] (float64) of a smooth loss over tables, and the minimum."""

    def value_and_gradient(x):
        logits = torch.tensor(x).reshape(shape).requires_grad_()
        value = loss(logits)
        value.backward()
        return value.item(), logits.grad.reshape(-1).numpy()

    found = minimize(value_and_gradient, torch.zeros(shape).double().reshape(-1).numpy(), jac=True, method="BFGS",
                     options={"gtol": 1e-10, "maxiter": 2000})  # fmt: skip
    return torch.tensor(found.x).reshape(shape), float(found.fun)


DIVERGENCE_BETWEEN = {
    "chi2": lambda D, P: ((P - D) ** 2 / D).sum(),
    "forward_kl": lambda D, P: (D * (D / P).log()).sum(),
    "reverse_kl": lambda D, P: (P * (P / D).log()).sum(),
    "jensen_shannon": lambda D, P: (D * (2 * D / (D + P)).log() + P * (2 * P / (D + P)).log()).sum(),
    "twice_squared_hellinger": lambda D, P: ((D.sqrt() - P.sqrt()) ** 2).sum(),
}

SMALL = Table(Vocabulary(2, 1), 2)
DATA = [[1], [0, 1], [0, 0, 1], [0, 2, 1], [0, 2, 0, 0, 1], [0, 0, 2, 1], [0, 0, 2, 2, 0, 1], [0, 1], [0, 0, 1]]


def all_trajectories(table: Table, row: Row) -> list:
    """Every trajectory from a state on, where there are finitely many."""
    return [[a, *rest] for a in sorted(row.legal(table.v)) for rest in after(table, row.take(table.v, a))]


def after(table: Table, row: Row) -> list:
    return [[]] if row.ended else all_trajectories(table, row)


TRIED = Table(Vocabulary(3, 2), 1, RememberingRow)
TRIED_DATA = [row for i, row in enumerate(all_trajectories(TRIED, RememberingRow(PROMPT, 1))) for _ in range(1 + i % 3)]
WORLDS = {"prefix": (SMALL, DATA), "tried": (TRIED, TRIED_DATA)}


def test_what_was_tried_splits_states_and_makes_every_trajectory_end():
    sets = [row.tried for row in TRIED.states if not row.text]
    assert sets == [[set()], [{0}], [{1}], [{0, 1}]]
    assert TRIED.legal[0].tolist() == [True, True, True, False]
    assert [int(TRIED.legal[TRIED.index(row)].sum()) for row in TRIED.states if not row.text] == [3, 2, 2, 1]
    assert max(map(len, TRIED_DATA)) == 5
    assert (TRIED.occupancy_of(TRIED_DATA, 0.9)[TRIED.legal] > 0).all()


@pytest.mark.parametrize("name", DIVERGENCE_BETWEEN)
@pytest.mark.parametrize(("memory", "gamma"), [("prefix", 0.7), ("prefix", 0.95), ("tried", 0.9)])
def test_data_only_divergences_are_dual_to_occupancy_matching(name, memory, gamma):
    """`(1-g) max_l E[J] = min_pi [d(D, P)/alpha - H]`, and `rho_pi = rho_D phi'(alpha x)` at the optimum."""
    (table, data), alpha = WORLDS[memory], 0.4
    divergence = DIVERGENCES[name](alpha)
    weight = sum((1 - gamma ** len(row)) / (1 - gamma) for row in data) / len(data)

    def loss(logits):
        return sequence_match(table.values(logits, data), divergence=divergence, gamma=gamma)[0]

    logits, least = minimised(loss, table.legal.shape)
    D, L = table.occupancy_of(data, gamma), table.legal
    between = DIVERGENCE_BETWEEN[name]

    def primal(pi):
        P = table.occupancy(pi, gamma)
        return float(between(D[L], P[L]) / alpha - entropy(P, pi))

    pi = policy_of(table, logits)
    assert (1 - gamma) * -least * weight == pytest.approx(primal(pi), abs=1e-7)
    g = torch.Generator().manual_seed(0)
    for scale in (0.01, 0.1, 1.0):
        other = policy_of(table, logits + scale * torch.randn(logits.shape, generator=g, dtype=torch.float64))
        assert primal(other) > primal(pi)
    V = logits.masked_fill(~L, -torch.inf).logsumexp(1)
    x = logits - gamma * V[table.next]
    z = (alpha * x[L]).requires_grad_()
    (slope,) = torch.autograd.grad(divergence.phi(z).sum(), z)
    torch.testing.assert_close(table.occupancy(pi, gamma)[L], D[L] * slope, rtol=0, atol=1e-7)


TINY = Table(Vocabulary(2, 1), 1)
TINY_DATA = [[1]] * 9 + [[0, 2, 1], [0, 2, 0, 1]]
EVERY = [[0, 2] * k + end for k in range(20) for end in ([1], [0, 1])]
"""Every trajectory of TINY, but for those that delete 20 times; a discount of .7 forgets them."""


def test_the_mixture_with_rollouts_converges_to_its_fixed_point():
    """With rollouts treated as data, descent ends at `min (4/alpha) KL(D || (D+P)/2) - H`, not at chi-squared."""
    table, alpha, gamma = TINY, 0.5, 0.7
    divergence, L = chi2_mixture(alpha), table.legal
    D = table.occupancy_of(TINY_DATA, gamma)
    logits = torch.zeros(L.shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=2.0, momentum=0.8)
    for _ in range(400):
        data, own = table.values(logits, TINY_DATA), table.values(logits, EVERY)
        probability = torch.where(own.mask, own.log_prob, 0).sum(1).exp().detach()
        # The objective weighs its rollouts alike: a row's share of the gradient is rescaled to the row's probability.
        for field in (own.q, own.v_next):
            field.register_hook(lambda g, p=probability: g * p[:, None] * len(EVERY))
        optimizer.zero_grad()
        sequence_match(data, divergence=divergence, gamma=gamma, rollouts=own)[0].backward()
        optimizer.step()
    assert logits.grad.abs().max() < 1e-9
    logits = logits.detach()
    found = table.occupancy(policy_of(table, logits), gamma)

    def target(between):
        def loss(t):
            pi = policy_of(table, t)
            P = table.occupancy(pi, gamma)
            return between(D[L], P[L]) - entropy(P, pi)

        return table.occupancy(policy_of(table, minimised(loss, L.shape)[0]), gamma)

    kl = target(lambda D, P: 4 / alpha * (D * (2 * D / (D + P)).log()).sum())
    chi2 = target(lambda D, P: 2 / alpha * ((D - (D + P) / 2) ** 2 / ((D + P) / 2)).sum())
    assert (found - kl).abs().sum() / 2 < 1e-6
    assert (found - chi2).abs().sum() / 2 > 1e-3


@pytest.mark.parametrize("bound", [10.0, 1e4])
def test_the_tangent_of_forward_kl_bounds_how_much_oftener_than_the_data_a_policy_goes_anywhere(bound):
    """Where data are rare and alpha is large, `min KL(D | P) / alpha - H` wants more, and gets it by another edge."""
    table, gamma, data = TINY, 0.7, [[1]] * 400 + TINY_DATA[-2:]
    divergence = replace(DIVERGENCES["forward_kl"](20.0), edge=1 / bound - 1)
    assert divergence.largest_ratio == pytest.approx(bound)

    def loss(logits):
        return sequence_match(table.values(logits, data), divergence=divergence, gamma=gamma)[0]

    L, D = table.legal, table.occupancy_of(data, gamma)
    ratio = table.occupancy(policy_of(table, minimised(loss, L.shape)[0]), gamma)[L] / D[L]
    if bound == 10:
        assert divergence.edge == pytest.approx(DIVERGENCES["forward_kl"](20.0).edge)
        assert float(ratio.max()) == pytest.approx(10, abs=1e-3)
    else:
        assert float(ratio.max()) > 30


@pytest.mark.parametrize("memory", WORLDS)
def test_a_small_alpha_is_behavior_cloning(memory):
    """The minimiser tends to the action frequencies of the data, discounted."""
    table, data = WORLDS[memory]
    D = table.occupancy_of(data, 0.9)
    alive = torch.tensor([not row.ended for row in table.states])
    cloned = D / D.sum(1, keepdim=True)
    distances = []
    for alpha in (0.1, 0.01, 0.001):
        divergence: Divergence = replace(chi2_mixture(alpha), mixture=False)
        logits, _ = minimised(
            lambda t, d=divergence: sequence_match(table.values(t, data), divergence=d, gamma=0.9)[0], table.legal.shape
        )
        distances.append(float((policy_of(table, logits) - cloned)[alive].abs().max()))
    assert distances[0] > 5 * distances[1] > 25 * distances[2]


class Tabular(nn.Module):
    """A policy that is a table of logits; a row of its trajectories weighs in gradients what `weights` say."""

    def __init__(self, table: Table, logits: torch.Tensor) -> None:
        super().__init__()
        self.table, self.vocabulary, self.logits = table, table.v, nn.Parameter(logits)
        self.weights: torch.Tensor | None = None

    def step_values(self, trajectories: Trajectories) -> StepValues:
        rows = [row[:n] for row, n in zip(trajectories.actions.tolist(), trajectories.lengths.tolist(), strict=True)]
        found = self.table.values(self.logits, rows)
        for field in (found.q, found.v) if self.weights is not None else ():
            field.register_hook(lambda g, w=self.weights: g * w[:, None])
        return found


@pytest.mark.parametrize("name", ["chi2_mixture", "forward_kl"])
def test_the_occupancy_gradient_is_the_gradient_of_its_bound(name):
    """For any soft Q: enumerated score functions against the derivative of occupancies, up to a common factor."""
    table, gamma, g = TINY, 0.7, torch.Generator().manual_seed(0)
    divergence = DIVERGENCES[name](2.0)
    logits, soft_q = (0.3 * torch.randn(table.legal.shape, generator=g, dtype=torch.float64) for _ in range(2))
    policy = Tabular(table, logits)
    loss = OccupancyGradientLoss(policy, divergence, gamma, trace=1.0)
    loss.soft_q.logits.data.copy_(soft_q)
    rollouts = Trajectories.from_actions(table.v, [PROMPT] * len(EVERY), EVERY, max_length=table.max_length)
    with torch.no_grad():
        own = policy.step_values(rollouts)
    policy.weights = torch.where(own.mask, own.log_prob, 0).sum(1).exp()
    data = Trajectories.from_actions(table.v, [PROMPT] * len(TINY_DATA), TINY_DATA, max_length=table.max_length)
    found = loss.losses(data, rollouts)["loss_policy"]
    (ours,) = torch.autograd.grad(found, policy.logits)

    L, x = table.legal, logits.clone().requires_grad_()
    pi = policy_of(table, x)
    P = table.occupancy(pi, gamma)
    reward = soft_q - gamma * soft_q.masked_fill(~L, -torch.inf).logsumexp(1)[table.next]
    paid = reward + (divergence.penalty(divergence.alpha * reward) / divergence.alpha if divergence.mixture else 0)
    (exact,) = torch.autograd.grad(-(P * paid)[L].sum() - entropy(P, pi), x)
    torch.testing.assert_close(ours / ours.norm(), exact / exact.norm(), rtol=0, atol=1e-6)
