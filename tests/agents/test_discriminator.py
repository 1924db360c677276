"""What the discriminator converges to, and what its rewards pull towards."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from tiny_gail import agent, own

from agents.gail.discriminator import REWARDS, Discriminator
from seqil import Trajectories, Vocabulary
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


def counts(t):
    """Relative frequency of each counted (text, action)."""
    rows, steps = (t.imitate & t.inside).nonzero(as_tuple=True)
    texts = t.before(rows, steps).texts()
    found = Counter((*text, int(a)) for text, a in zip(texts, t.actions[rows, steps], strict=True))
    return {key: n / found.total() for key, n in found.items()}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_best_discriminator_is_the_log_density_ratio(smoothing):
    v = Vocabulary(5, 4)
    data = Trajectories.from_actions(v, [[0]] * 6, [[4], [1, 4], [1, 4], [1, 4], [1, 5, 4], [1, 5, 1, 4]], max_length=2)
    imitate = data.imitate.clone()
    imitate[4, 0] = imitate[5, 2] = False  # as noise is masked
    data = replace(data, imitate=imitate)
    rollouts = Trajectories.from_actions(v, [[0]] * 4, [[4], [4], [1, 4], [1, 5, 1, 5]], max_length=2)
    D, P = counts(data), counts(rollouts)
    assert set(D) == set(P)
    discriminator = Discriminator(tiny_policy().double(), smoothing=smoothing)
    optimizer = torch.optim.LBFGS(discriminator.parameters(), max_iter=400, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = discriminator.loss(data, rollouts)[0]
        value.backward()
        return value

    optimizer.step(loss)
    e = smoothing
    expected = {
        key: math.log((1 - e) * D[key] + e * P[key]) - math.log(e * D[key] + (1 - e) * P[key]) for key in D
    }  # fmt: skip
    h = discriminator(data)
    rows, steps = data.inside.nonzero(as_tuple=True)
    texts = data.before(rows, steps).texts()
    for row, step, text in zip(rows.tolist(), steps.tolist(), texts, strict=True):
        assert float(h[row, step].detach()) == pytest.approx(expected[*text, int(data.actions[row, step])], abs=1e-3)


def test_the_best_relativistic_discriminator_is_the_same_but_for_a_constant_which_is_taken_off():
    v = Vocabulary(5, 4)
    data = Trajectories.from_actions(v, [[0]] * 5, [[4], [1, 4], [1, 4], [1, 4], [1, 5, 4]], max_length=2)
    rollouts = Trajectories.from_actions(v, [[0]] * 4, [[4], [4], [1, 4], [1, 5, 4]], max_length=2)
    D, P = counts(data), counts(rollouts)
    assert set(D) == set(P)
    discriminator = Discriminator(tiny_policy().double(), relativistic=True)
    optimizer = torch.optim.LBFGS(discriminator.parameters(), max_iter=400, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = discriminator.loss(data, rollouts)[0]
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        discriminator.head.bias += 3.0  # which no pair can see
    value, of_data, of_rollouts = discriminator.loss(data, rollouts)
    pairs = [math.log1p(P[b] * D[a] and D[b] * P[a] / (P[b] * D[a])) * D[a] * P[b] for a in D for b in P]
    assert float(value.detach()) == pytest.approx(sum(pairs), abs=1e-6)
    for t, found in ((data, of_data), (rollouts, of_rollouts)):
        rows, steps = t.inside.nonzero(as_tuple=True)
        for row, step, text in zip(rows.tolist(), steps.tolist(), t.before(rows, steps).texts(), strict=True):
            key = (*text, int(t.actions[row, step]))
            assert float(found[row, step]) == pytest.approx(math.log(D[key] / P[key]), abs=1e-3)


def test_rewards_measure_the_divergences_they_are_named_after():
    D, P = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    h = (D / P).log()
    kl = lambda p, q: (p * (p / q).log()).sum()  # noqa: E731
    M = (D + P) / 2
    paid = {name: (P * reward(h)).sum() for name, reward in REWARDS.items()}
    torch.testing.assert_close(paid["airl"], -kl(P, D))
    torch.testing.assert_close(paid["fairl"], -kl(D, P))
    cross_entropy = paid["gail"] - (D * torch.sigmoid(h).log()).sum()  # of both sides: the second is a constant
    torch.testing.assert_close(cross_entropy, 2 * math.log(2) - kl(D, M) - kl(P, M))


def test_a_step_that_both_take_alike_pays_for_loops_under_gail_only():
    paid = {name: float(reward(torch.zeros(()))) for name, reward in REWARDS.items()}
    assert paid["gail"] == pytest.approx(math.log(2))
    assert paid["airl"] == paid["fairl"] == 0


def test_a_discriminator_of_extremes_pays_finite_rewards():
    for reward in REWARDS.values():
        assert reward(torch.tensor([-1e4, 1e4])).isfinite().all()


def test_players_read_the_state_before_each_step():
    """As plain forwards over every prefix do."""
    made = agent(double=True)
    t = own(made.policy)
    h, steps = made.loss.discriminator(t), made.loss.steps(t, torch.zeros(t.actions.shape).double())
    value = made.loss.critic.head(steps["hidden"])[:, 0]
    rows, times = t.inside.nonzero(as_tuple=True)
    for k, text in enumerate(t.before(rows, times).texts(prompt=True)):
        row, time = int(rows[k]), int(times[k])
        said, worth = (
            player.head(player.trunk.model.base_model(torch.tensor([text])).last_hidden_state[0, -1])
            for player in (made.loss.discriminator, made.loss.critic)
        )
        torch.testing.assert_close(h[row, time], said[t.actions[row, time]])
        torch.testing.assert_close(value[k], worth[0])


@pytest.mark.parametrize("start", [False, True])
def test_spectral_norms_are_one(start):
    discriminator = Discriminator(tiny_policy(), spectral=True)
    other = tiny_policy()
    with torch.no_grad(), seeded(3):
        for p in other.parameters():
            p.copy_(torch.randn_like(p))
    if start:
        discriminator.start_from(other)
    else:  # the weights move on, and the norms follow by one iteration per forward
        with torch.no_grad(), seeded(4):
            for name, p in discriminator.named_parameters():
                if name.endswith("original"):
                    p.add_(0.3 * torch.randn_like(p))
            for _ in range(60):
                discriminator(tiny_demonstrations())
    block = discriminator.trunk.model.transformer.h[0]
    for module in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
        assert float(torch.linalg.matrix_norm(module.weight.detach(), 2)) == pytest.approx(1, abs=0.05)


def test_the_gradient_penalty_is_the_squared_slope_in_the_embeddings():
    made = agent(double=True)
    data, rollouts = tiny_demonstrations(3), own(made.policy)
    discriminator = made.loss.discriminator
    plain = discriminator.loss(data, rollouts)[0]
    discriminator.penalty = 0.6
    slope = (discriminator.loss(data, rollouts)[0] - plain) / 0.3

    # By finite differences: shift the embedding of each node of each row by a hook.
    embedding = discriminator.trunk.model.get_input_embeddings()

    def total(shift):
        hook = embedding.register_forward_hook(lambda _, inputs, output: output + shift)
        try:
            with torch.no_grad():
                return discriminator(data)[data.imitate].sum()
        finally:
            hook.remove()

    nodes = int((data.prompt_lengths + (data.inside & (data.actions != V.backspace)).sum(1)).max())
    squared, h = 0.0, 1e-5
    for index in range(3 * nodes * 16):
        shift = torch.zeros(3 * nodes * 16, dtype=torch.float64)
        shift[index] = h
        shift = shift.view(3, nodes, 16)
        squared += float((total(shift) - total(-shift)) / (2 * h)) ** 2
    assert float(slope.detach()) == pytest.approx(squared / int(data.imitate.sum()), rel=1e-5)
