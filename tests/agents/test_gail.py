"""GAIL: PPO on trees, gradients of the players, and the law where it ends."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_gail import agent, own

from agents.gail import GAIL
from seqil import Trajectories, Vocabulary, objectives
from seqil.errors import InvalidInputError
from seqil.learning.accumulation import batch
from seqil.learning.training import Training
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


# -- PPO -----------------------------------------------------------------------------------------------


def test_advantages_are_sums_of_residuals():
    made = agent(gamma=0.9, trace=0.7)
    t = own(made.policy)
    g = torch.Generator().manual_seed(2)
    reward = torch.randn(t.actions.shape, generator=g).double()
    value = torch.randn(len(t), t.actions.shape[1] + 1, generator=g).double()
    advantage, target = made.loss.advantages(t, reward, value)
    for row in range(len(t)):
        n, later = int(t.lengths[row]), 0.0
        for i in reversed(range(n)):
            following = 0.0 if i == n - 1 and t.ended[row] else float(value[row, i + 1])
            later = float(reward[row, i]) + 0.9 * following - float(value[row, i]) + 0.9 * 0.7 * later
            assert float(advantage[row, i]) == pytest.approx(later, abs=1e-6)
            assert float(target[row, i]) == pytest.approx(later + float(value[row, i]), abs=1e-6)


def test_the_first_pass_is_the_policy_gradient():
    """At ratio 1 the clipped surrogate has the gradient of the weighted likelihood."""
    made = agent()
    t = own(made.policy)
    reward = made.loss.reward(made.loss.discriminator(t).detach())
    steps = made.loss.steps(t, reward)
    found = made.loss.ppo(steps)
    assert float(found["clip_fraction"]) == 0
    assert float(found["kl_approx"]) == pytest.approx(0, abs=1e-5)
    weight = torch.zeros(t.actions.shape)
    weight[t.inside] = steps["advantage"][:, 0]
    parameters = list(made.policy.parameters())
    ours = torch.autograd.grad(objectives.weighted_likelihood(made.policy.step_values(t), weight), parameters)
    theirs = torch.autograd.grad(found["loss_objective"], parameters)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_entropy_and_divergence_from_the_cloned_policy():
    made = agent(entropy=0.5, kl=2.0)
    data, t = tiny_demonstrations(), own(made.policy)
    with torch.no_grad(), seeded(5):
        for p in made.loss.cloned.parameters():
            p.add_(0.1 * torch.randn_like(p))
    found = made.loss(batch(data, t))
    law = made.policy.step_log_probs(t)[t.inside]
    entropy = -torch.where(law.isfinite(), law.exp() * law, 0).sum(1).mean()
    torch.testing.assert_close(found["loss_entropy"], -0.5 * entropy)
    cloned = made.loss.cloned.step_log_probs(t)[t.inside].exp()
    smooth = (1 - 1e-4) * cloned + 1e-4 * law.isfinite() / law.isfinite().sum(-1, keepdim=True)
    by_hand = torch.where(law.isfinite(), law.exp() * (law - smooth.log()), 0).sum(-1)
    torch.testing.assert_close(found["loss_kl"], 2 * by_hand.mean())
    assert float(found["loss_kl"].detach()) > 0


def test_accuracies_and_reward_are_those_of_the_discriminator():
    made = agent()
    data, t = tiny_demonstrations(), own(made.policy)
    assert not torch.equal(data.imitate, data.inside)
    found = made.loss(batch(data, t))
    h, own_h = (made.loss.discriminator(x).detach() for x in (data, t))
    right = sum(float(x) > 0 for x in h[data.imitate])
    assert float(found["accuracy_data"]) == pytest.approx(right / int(data.imitate.sum()))
    right = sum(float(x) < 0 for x in own_h[t.inside])
    assert float(found["accuracy_rollouts"]) == pytest.approx(right / int(t.inside.sum()))
    torch.testing.assert_close(found["reward"], own_h[t.inside].mean())


# -- gradients and invariance --------------------------------------------------------------------------


PLAYERS = {
    "discriminator": ({}, ["loss_discriminator"]),
    "discriminator, penalty": ({"penalty": 0.5, "smoothing": 0.2}, ["loss_discriminator"]),
    "discriminator, spectral": ({"spectral": True}, ["loss_discriminator"]),
    "policy": ({"entropy": 0.3, "kl": 0.2}, ["loss_objective", "loss_entropy", "loss_kl"]),
}


@pytest.mark.parametrize("name", PLAYERS)
@pytest.mark.parametrize("rows", [1, 6])
def test_gradients_of_the_players(name, rows):
    options, keys = PLAYERS[name]
    made = agent(double=True, **options)
    rollouts = own(made.policy)
    if rows == 1:
        rollouts = rollouts.select(slice(0, 1))
    # All backspaces, and a row of length 1.
    data = Trajectories.from_actions(V, [[0], [1]], [[0, 5, 1, 5, 4], [4]], max_length=6)
    if name == "policy":  # the ratio is not 1, nor at an edge of the clip
        rollouts = replace(rollouts, log_prob=rollouts.log_prob + 0.05)
    player = made.policy if name == "policy" else made.loss.discriminator
    parameters = [p for p in player.parameters() if p.requires_grad]
    g = torch.Generator().manual_seed(1)
    direction = [torch.randn(p.shape, generator=g).double() for p in parameters]

    def total():
        found = made.loss(batch(data, rollouts))
        return torch.stack([found[key] for key in keys]).sum()

    def moved(h):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(h * d)
        return float(total().detach())

    grads = torch.autograd.grad(total(), parameters, allow_unused=True)
    slope = sum(float((x * d).sum()) for x, d in zip(grads, direction, strict=True) if x is not None)
    h = 1e-6
    numeric = (moved(h) - moved(-2 * h)) / (2 * h)
    assert abs(slope) > 1e-3
    assert slope == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_the_critic_descends_the_distance_to_its_targets():
    made = agent(double=True)
    t = own(made.policy)
    reward = made.loss.discriminator(t).detach()
    steps = made.loss.steps(t, reward)
    loss = made.loss.ppo(steps)["loss_critic"]
    distance = torch.nn.functional.smooth_l1_loss(made.loss.critic.head(steps["hidden"]), steps["value_target"])
    torch.testing.assert_close(loss, distance)
    trunk = made.loss.critic.trunk.model.get_input_embeddings().weight
    ours, theirs = (torch.autograd.grad(x, trunk, retain_graph=True)[0] for x in (distance, loss))
    torch.testing.assert_close(ours, theirs)
    assert float(ours.abs().max()) > 0


@pytest.mark.parametrize("options", [{}, {"penalty": 0.5, "kl": 0.2, "entropy": 0.1}])
def test_no_player_depends_on_padding_or_batch_mates(options):
    made = agent(double=True, **options)
    data, t = tiny_demonstrations(), own(made.policy)
    found = made.loss(batch(data, t))
    wide = batch(data, t)
    wide["demonstrations"] = data.to_tensordict(4, 40)
    wide["rollouts"] = t.to_tensordict(3, 30)
    shuffled = batch(data.select(torch.arange(len(data)).flip(0)), t.select(torch.arange(len(t)).flip(0)))
    for other in (wide, shuffled):
        again = made.loss(other)
        for key, value in found.items():
            torch.testing.assert_close(again[key], value, rtol=1e-6, atol=1e-8)
    h = made.loss.discriminator(t)
    for row in range(len(t)):
        alone = t.select(slice(row, row + 1))
        torch.testing.assert_close(made.loss.discriminator(alone)[0], h[row, : int(t.lengths[row])])


# -- the agent -----------------------------------------------------------------------------------------


def test_it_ends_at_the_law_of_the_data():
    """One token, then the end: `airl` descends `KL(pi || D)`, whose least is the data's law."""
    law = [0.5, 0.3, 0.2, 0.0]
    rows = [token for token, p in enumerate(law) for _ in range(round(p * 80))]
    data = Trajectories.from_actions(V, [[0]] * 80, [[token, 4] for token in rows], max_length=1, min_length=1)
    made = GAIL(
        tiny_policy(backspace=False),
        steps=100,
        warm_up=0.0,
        pace=0.1,
        gamma=1e-9,
        kl=0.0,
        smoothing=0.05,
        learning_rate=1e-2,
    )

    def distance():
        with torch.no_grad():
            found = made.policy.eval().log_probs(data.before(torch.tensor([0]), torch.tensor([0]))).exp()[0, :4]
        return float((found - torch.tensor(law)).abs().sum()) / 2

    assert distance() > 0.2
    for _ in Training(made, data, generator=torch.Generator().manual_seed(0), batch_size=80).run():
        pass
    assert distance() < 0.06


def test_when_the_warm_up_ends_all_players_start_from_the_policy():
    made = GAIL(tiny_policy(), steps=4, warm_up=0.5)
    data = tiny_demonstrations()
    for _ in range(2):
        assert not made.needs_rollouts
        with seeded(0):
            made.update(data)
    assert made.needs_rollouts
    made.end_warm_up()
    made.policy.eval()
    weight = made.policy.weight
    for copy in (made.loss.discriminator.trunk, made.loss.critic.trunk, made.loss.cloned):
        assert torch.equal(copy.weight, weight)
        assert copy.weight is not weight
    found = made.loss(batch(data, own(made.policy)))
    assert float(found["reward"]) == 0
    assert float(found["loss_kl"].detach()) == pytest.approx(0, abs=1e-3)  # a smoothed law


def test_each_update_makes_its_passes_and_counts_once():
    made = GAIL(tiny_policy(), steps=6, warm_up=0.0, passes=3, kl=0.0)
    data = tiny_demonstrations()
    t = own(made.policy)
    made.update(data, t)  # draws nothing, or this test would be refused
    assert made.updates == 1
    first = made.optimizer.param_groups[0]["params"][0]
    assert int(made.optimizer.state[first]["step"]) == 3
    assert made.positions(data, t) == 3 * (data.positions + 3 * t.positions)
    assert not made.policy.training  # no dropout in PPO's ratio


def test_rollouts_without_log_probabilities_are_refused():
    made = agent()
    t = replace(own(made.policy), log_prob=None)
    with pytest.raises(InvalidInputError, match="lack log_prob"):
        made.loss(batch(tiny_demonstrations(), t))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"smoothing": 0.5}, "smoothing=0.5"), ({"gamma": 1.1}, "gamma=1.1"), ({"trace": -0.1}, "trace=-0.1"),
     ({"passes": 0}, "passes=0"), ({"kl": -1.0}, "kl=-1.0"), ({"penalty": math.nan}, "penalty=nan")],
)  # fmt: skip
def test_bad_options_are_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        GAIL(tiny_policy(), **options)
