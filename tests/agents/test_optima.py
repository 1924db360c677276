"""Each agent's loss: its optimum, where that is known."""

from dataclasses import replace

import pytest
import torch
from bandits import bandit, descend, doubles
from scipy.optimize import minimize

from agents import gold, sqil, unlikelihood
from agents.occupancy_gradient import OccupancyGradient, OccupancyGradientLoss
from seqil import Vocabulary, divergences, objectives, rollout
from seqil.learning.accumulation import batch
from seqil.metrics import distances
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


@pytest.mark.parametrize("name", distances.STEP_DIVERGENCES)
def test_distillation_ends_at_the_teacher(name):
    p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    x = doubles(3)
    descend(lambda: distances.STEP_DIVERGENCES[name](p, x.log_softmax(0)), [x])
    torch.testing.assert_close(x.detach().softmax(0), p, atol=1e-4, rtol=0)


def test_reverse_kl_of_a_teacher_with_partial_support_is_finite():
    p = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert distances.STEP_DIVERGENCES["reverse_kl"](p, torch.tensor([0.5, 0.5], dtype=torch.float64).log()).isfinite()


def test_gold_seeks_the_mode():
    """The fixed points of `E_data[pi grad log pi]` are laws that are uniform on a set; the mode alone is stable."""
    data = torch.tensor([0] * 5 + [1] * 4 + [2])
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def loss():
        values = bandit(x, data)
        return objectives.weighted_likelihood(values, values.log_prob.exp())

    descend(loss, [x])
    assert x.detach().softmax(0)[0] > 0.99


def test_gold_returns_are_discounted_sums():
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    torch.testing.assert_close(objectives.returns(rewards, 0.5), torch.tensor([[1 + 1 + 1, 2 + 2, 4.0]]))
    assert float(gold.log_probability(torch.tensor(0.01).log())) == pytest.approx(0, abs=1e-6)


def test_unlikelihood_ends_where_scipy_says():
    p, alpha = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 0.7
    wrong = torch.tensor([False, True, False])

    def loss(x):
        log_q = x.log_softmax(0)
        return -(p * log_q).sum() + alpha * unlikelihood.log_complement(log_q, wrong)

    x = doubles(3)
    descend(lambda: loss(x), [x])
    free = minimize(lambda y: float(loss(torch.tensor([*y, 0.0], dtype=torch.float64))), [0.0, 0.0], tol=1e-12)
    expected = torch.tensor([*free.x, 0.0], dtype=torch.float64).softmax(0)
    torch.testing.assert_close(x.detach().softmax(0), expected, atol=1e-4, rtol=0)
    assert expected[1] < 0.3


def test_sqil_ends_at_the_ratio_of_data_and_rollouts():
    """One step, the absorbing value of each side in closed form: q is the mean of the two clipped targets."""
    data, own = torch.tensor([0] * 6 + [1] * 2), torch.tensor([0] * 2 + [1] * 6)
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    descend(lambda: sqil.residual(bandit(x, data), 1.0, 1.0, 0.5) + sqil.residual(bandit(x, own), -1.0, 1.0, 0.5), [x])
    expected = torch.tensor([(6 * 2 - 2 * 2) / 8, (2 * 2 - 6 * 2) / 8], dtype=torch.float64)
    torch.testing.assert_close(x.detach(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", divergences.DIVERGENCES)
def test_the_best_reward_measures_the_divergence(name):
    """At the optimum of the bound `P / D = phi'(alpha x)`, for the mixture `z = 2 (D - P) / (D + P)`."""
    D, P = torch.tensor([5, 3, 2]), torch.tensor([3, 3, 4])
    data, own = (torch.arange(3).repeat_interleave(n) for n in (D, P))
    x, alpha = torch.zeros(3, dtype=torch.float64, requires_grad=True), 0.5
    divergence = divergences.DIVERGENCES[name](alpha)

    def endless(actions):
        """Rows of one counted step that were cut: no absorbing state, and the reward is the logit itself."""
        return replace(bandit(x, actions), ended=torch.zeros(len(actions), dtype=torch.bool))

    def bound():
        return objectives.occupancy_divergence(endless(data), endless(own), divergence=divergence, gamma=0.9)[0]

    descend(lambda: -bound(), [x])
    z, d, p = alpha * x.detach(), D / D.sum(), P / P.sum()
    if divergence.mixture:
        torch.testing.assert_close(z, (2 * (d - p) / (d + p)).double(), atol=1e-4, rtol=0)
    else:
        zz = z.clone().requires_grad_()
        divergence.phi(zz).sum().backward()
        torch.testing.assert_close(zz.grad, (p / d).double(), atol=1e-3, rtol=0)


def test_a_policy_that_is_its_own_soft_q_has_no_advantage():
    """Why OccupancyGradient needs a second network: step by step the advantage is zero."""
    policy = tiny_policy().eval()
    loss = OccupancyGradientLoss(policy, divergences.forward_kl(), 0.9, 1.0).eval()
    g = torch.Generator().manual_seed(0)
    own = rollout(policy, [[0], [1]] * 4, max_length=6, generator=g)
    found = loss(batch(tiny_demonstrations(), own))
    assert float(found["advantage_spread"]) == 0
    assert float(found["loss_policy"].detach()) == 0
    with torch.no_grad():
        loss.soft_q.weight[1] *= 20
    assert float(loss(batch(tiny_demonstrations(), own))["advantage_spread"].detach()) > 0.1


def test_the_occupancy_gradient_starts_at_rest_whatever_the_dropout():
    """The soft Q begins as the policy's copy, and neither is noised where they are compared."""
    agent = OccupancyGradient(tiny_policy(), steps=2, warm_up=0.0)
    data = tiny_demonstrations()
    own = rollout(agent.policy, data.prompts, max_length=6, generator=torch.Generator().manual_seed(0))
    agent.policy.train()
    agent.loss.divergence = divergences.forward_kl()  # the mixture's own penalty is not zero there
    assert agent.update(data, own)["advantage_spread"] == 0
