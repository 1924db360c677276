"""GRPO's loss against sums written out and enumerations, its trees, and what it learns."""

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from bandits import doubles
from tiny_models import V as WIDE
from tiny_models import tiny_policy as of_family

from agents.grpo import GRPO, advantages, divergence, over_texts, surrogate
from envs.tasks import PyDoc
from seqil import Settings, Trajectories, Vocabulary, rewards, rollout
from seqil.errors import InvalidInputError
from seqil.learning.accumulation import batch
from seqil.learning.training import Training
from seqil.policy.shared_prompts import SharedPrompts
from seqil.randomness import seeded
from seqil.runs.experiment import agent_options, make_task, make_training
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)
LENGTH = rewards.of_texts(lambda prompt, reference, text: float(len(text)))


def test_advantages_are_relative_to_the_group():
    paid = torch.tensor([[1.0, 0.0, 0.0, 1.0], [3.0, 3.0, 3.0, 3.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, -1.0, -1.0, 1.0], [0.0] * 4], dtype=torch.float64)
    torch.testing.assert_close(advantages(paid), expected)
    torch.testing.assert_close(advantages(paid, spread=False), expected / 2)


def test_gradients_of_the_surrogate():
    advantage = doubles(3, 1, seed=1).detach()
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    assert torch.autograd.gradcheck(lambda x: over_texts(surrogate(x.exp(), advantage, 0.2), mask), doubles(3, 2))


@pytest.mark.parametrize(("ratio", "better", "expected"), [
    (1.5, 1.0, 1.2), (0.5, 1.0, 0.5), (1.5, -1.0, -1.5), (0.5, -1.0, -0.8), (1.1, 2.0, 2.2),
])  # fmt: skip
def test_what_is_already_likelier_by_the_clip_pays_no_more(ratio, better, expected):
    found = surrogate(torch.tensor(ratio), torch.tensor(better), 0.2)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3])
def test_the_expected_gradient_is_that_of_the_reward_but_for_the_own_share_of_the_baseline(n):
    """Every group of n actions of a bandit, by its probability: (1 - 1/n) times the gradient of the mean reward."""
    x, pay = doubles(3), torch.tensor([1.0, 0.0, 0.3], dtype=torch.float64)
    law = x.softmax(0)
    wanted = (1 - 1 / n) * torch.autograd.grad((law * pay).sum(), x)[0]
    found = torch.zeros(3, dtype=torch.float64)
    for group in itertools.product(range(3), repeat=n):
        actions = torch.tensor(group)
        log_p = x.log_softmax(0)[actions]
        better = advantages(pay[actions][None], spread=False)[0]
        objective = surrogate((log_p - log_p.detach()).exp(), better, 0.2).mean()
        found += x.detach().softmax(0)[actions].prod() * torch.autograd.grad(objective, x)[0]
    torch.testing.assert_close(found, wanted)


def prepared(**options):
    agent = GRPO(tiny_policy().double(), steps=4, samples=3, warm_up=0.0, **{"reward": LENGTH, **options})
    agent.loss.eval()
    data, g = tiny_demonstrations(), torch.Generator().manual_seed(0)
    own = rollout(agent.policy, data.repeat(3).prompts, max_length=6, generator=g)
    assert bool((own.actions == V.backspace).any())
    return agent, data, own


def moved(policy, seed):
    with seeded(seed), torch.no_grad():
        policy.weight.add_(torch.randn_like(policy.weight) / 4)


def test_the_loss_is_the_sum_over_texts_and_actions_written_out():
    agent, data, own = prepared(kl=0.5)
    start = [p.detach()[:n] for p, n in zip(agent.policy.step_values(own).log_prob, own.lengths, strict=True)]
    moved(agent.policy, 1)
    found = {key: float(value.detach()) for key, value in agent.loss(batch(data, own)).items()}
    now = agent.policy.step_values(own).log_prob.detach()
    paid = [float(len(text)) for text in own.replay().texts()]
    gain = apart = outside = 0.0
    for row, n in enumerate(own.lengths.tolist()):
        group = paid[row // 3 * 3 : row // 3 * 3 + 3]
        centre = sum(group) / 3
        spread = math.sqrt(sum((x - centre) ** 2 for x in group) / 3)
        better = (paid[row] - centre) / spread if spread else 0.0
        for t in range(n):
            ratio = math.exp(now[row, t] - own.log_prob[row, t])
            gain += min(ratio * better, min(max(ratio, 0.8), 1.2) * better) / n / len(own)
            w = math.exp(start[row][t] - now[row, t])
            apart += (w - math.log(w) - 1) / n / len(own)
            outside += abs(ratio - 1) > 0.2
    assert found["loss_policy"] == pytest.approx(-gain, rel=1e-5)
    assert found["loss_kl"] == pytest.approx(0.5 * apart, rel=1e-5)
    assert found["reward"] == pytest.approx(sum(paid) / len(paid))
    assert found["clip_fraction"] == pytest.approx(outside / int(own.lengths.sum()))
    assert found["clip_fraction"] > 0.05


def test_the_divergence_is_that_of_the_policy_from_its_start_and_its_gradient_the_other_one():
    """Over all actions of a bandit, by their probability."""
    x, y = doubles(4), doubles(4, seed=1).detach()
    p, q = x.log_softmax(0), y.log_softmax(0)
    drawn = (p.detach().exp() * divergence(q - p)).sum()
    assert float(drawn.detach()) == pytest.approx(float((p.exp() * (p - q)).sum().detach()))
    forward = torch.autograd.grad((q.exp() * (q - p)).sum(), x, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(drawn, x)[0], forward)


def test_a_prompt_is_fed_once_for_all_of_its_rollouts(monkeypatch):
    """Loss and gradient are those of prompts fed row by row; the cells that are counted are those that are fed."""
    policy = copy.deepcopy(of_family("gpt2")).requires_grad_(True)
    g = torch.Generator().manual_seed(0)
    data = Trajectories.from_actions(
        WIDE, torch.randint(0, 7, (2, 24), generator=g), [[1, 2, WIDE.eos]] * 2, max_length=5
    )
    own = rollout(policy, data.repeat(16).prompts, max_length=5, generator=g)
    assert bool((own.actions == WIDE.backspace).any())

    def computed():
        agent = GRPO(policy, samples=16, reward=LENGTH, warm_up=0.0)
        agent.loss.eval()
        losses = agent.loss(batch(data, own))
        total = losses["loss_policy"] + losses["loss_kl"]
        return agent, float(total.detach()), torch.autograd.grad(total, policy.weight)[0]

    agent, loss, gradient = computed()
    fed = agent.positions(data, own) / agent.passes / (4 / 3)
    assert fed == pytest.approx(2 * 24 + int(own.pushes.sum()))
    monkeypatch.setattr(SharedPrompts, "where_worthwhile", classmethod(lambda cls, *given, **options: None))
    agent, apart, other = computed()
    assert agent.positions(data, own) / agent.passes / (4 / 3) == pytest.approx(own.positions)
    assert loss == pytest.approx(apart, rel=1e-6, abs=1e-9)
    torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


def test_it_learns_to_delete_what_would_be_judged_wrong():
    """A first token that nobody chooses: only who deletes it can be right, and the reward alone says so."""
    policy = tiny_policy()
    right = rewards.of_texts(lambda prompt, reference, text: float(text == [2, 4]))
    agent = GRPO(policy, reward=right, steps=40, samples=8, warm_up=0.0, pace=1.0, learning_rate=1e-2, kl=0.0)
    data = Trajectories.from_actions(V, [[0]] * 4, [[2, 4]] * 4, max_length=1, min_length=1)
    wrong = Trajectories.from_actions(V, [[0]], [[1]], max_length=1, min_length=1).replay()
    before = policy.eval().log_probs(wrong)[0].exp()[V.backspace]
    training = Training(agent, data, generator=torch.Generator().manual_seed(0), batch_size=4)
    paid = [metrics["reward"] for _, metrics in training.run()]
    after = policy.eval().log_probs(wrong)[0].exp()[V.backspace]
    assert sum(paid[-5:]) / 5 > 0.8 > 2 * sum(paid[:3]) / 3
    assert float(after.detach()) > float(before.detach()) + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"samples": 1}, "GRPO: samples=1 must be at least 2"), ({"epsilon": 0.0}, "epsilon=0 would learn nothing"),
     ({"kl": -1.0}, "GRPO: kl=-1.0"), ({"passes": 0}, "GRPO: passes=0")],
)  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        GRPO(tiny_policy(), reward=LENGTH, **options)


def test_rollouts_without_log_prob_are_refused():
    agent, data, own = prepared()
    with pytest.raises(InvalidInputError, match="the rollouts lack log_prob"):
        agent.loss(batch(data, replace(own, log_prob=None)))


def test_from_settings_the_judge_of_the_task_pays():
    small = {"layers": 0, "width": 4, "heads": 1, "demonstrations": 8, "batch_size": 4, "steps": 2}
    chosen = Settings.of({**small, "task": "chain", "agent": "grpo", "agent_options": {"warm_up": 0.0}})
    task = make_task(chosen)
    training = make_training(chosen, task)
    data = training.demonstrations
    assert training.agent.loss.reward(data.replay(), data.replay()).tolist() == [1.0] * 8
    assert [0 <= metrics["reward"] <= 1 for _, metrics in training.run()] == [True, True]
    own = agent_options(GRPO, {"reward": "edit"}, task, training.agent.policy)
    assert own == {"reward": rewards.edit}
    with pytest.raises(InvalidInputError, match="the task 'pydoc' does not say which texts are right"):
        agent_options(GRPO, {}, PyDoc(), training.agent.policy)
