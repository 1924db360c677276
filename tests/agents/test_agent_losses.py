"""Each agent's loss: its gradient, and what it must not depend on."""

import pytest
import torch
from bandits import doubles
from hypothesis import given
from hypothesis import strategies as st

from agents import sqil, unlikelihood
from agents.gold import GOLD
from agents.scheduled_sampling import ScheduledSampling, mix
from agents.sequence_match import SequenceMatch
from agents.sqil import SQIL
from agents.unlikelihood import UnlikelihoodTraining
from seqil import Trajectories, Vocabulary, divergences, objectives
from seqil.errors import InvalidInputError
from seqil.metrics import distances
from seqil.policy.values import StepValues
from seqil.randomness import seeded
from seqil.testing import strategies
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


# -- gradients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", distances.STEP_DIVERGENCES)
def test_gradients_of_step_divergences(name):
    p = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    legal = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])
    f = distances.STEP_DIVERGENCES[name]

    def loss(x):
        return f(p, x.masked_fill(~legal, -torch.inf).log_softmax(-1)).sum()

    assert torch.autograd.gradcheck(loss, doubles(3, 3))


def test_gradients_of_unlikelihood_residual_and_likelihood():
    counted = torch.tensor([[True, False], [True, True]])
    assert torch.autograd.gradcheck(lambda x: unlikelihood.log_complement(-1 - x.square(), counted), doubles(2, 2))
    everywhere = torch.ones(2, 3, dtype=torch.bool)
    mask, ended = everywhere.clone(), torch.tensor([True, False])
    mask[1, 2] = False
    following = doubles(2, 3, seed=1).detach()

    def values(q):
        return StepValues(q, following, following, mask, mask, ended)

    assert torch.autograd.gradcheck(lambda q: sqil.residual(values(q), 1.0, 1.0, 0.9), doubles(2, 3))
    weight = doubles(2, 3, seed=2)
    assert torch.autograd.gradcheck(lambda q: objectives.weighted_likelihood(values(q), weight), doubles(2, 3))


@pytest.mark.parametrize("name", divergences.DIVERGENCES)
@pytest.mark.parametrize("cut", [False, True])
def test_gradients_of_the_occupancy_divergence(name, cut):
    mask = torch.tensor([[True, True, True], [True, False, False]])
    ended = torch.tensor([not cut, True])

    def bound(q, v, w):
        data = StepValues(q, v, v, mask, mask, ended)
        own = StepValues(w, v, v, mask, mask, ~ended)
        return objectives.occupancy_divergence(data, own, divergence=divergences.DIVERGENCES[name](0.3), gamma=0.9)[0]

    assert torch.autograd.gradcheck(bound, [doubles(2, 3), doubles(2, 3, seed=1), doubles(2, 3, seed=2)])


@pytest.mark.parametrize(
    "actions",
    [[[4]], [[0, 5, 1, 5, 2, 5, 4], [0, 0, 5, 5, 4]], [[0, 1, 2]], [[0, 5], [1, 1, 1, 4]]],
    ids=["length 1", "all backspaces", "truncated", "mixed"],
)
def test_gradients_of_other_actions_through_the_policy(actions):
    policy = tiny_policy().double().eval()
    t = Trajectories.from_actions(V, [[0]] * len(actions), actions, max_length=6)
    others = torch.randint(0, 4, (*t.actions.shape, 3), generator=torch.Generator().manual_seed(0))
    weight = policy.weight

    def value(head):
        before = weight.detach().clone()
        weight.data.copy_(head)
        values, laws = policy.step_values(t, actions=others), policy.step_log_probs(t)
        total = values.log_prob.square()[t.inside].sum() + laws[t.inside].exp().square().sum()
        gradient = torch.autograd.grad(total, weight)[0]
        weight.data.copy_(before)
        return float(total.detach()), gradient

    step = 1e-6 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)).double()
    head = weight.detach().clone()
    slope = float((value(head)[1] * step).sum())
    assert slope == pytest.approx((value(head + step)[0] - value(head - step)[0]) / 2, rel=1e-4)


# -- other actions, whole laws -------------------------------------------------------------------------


def test_q_of_other_actions_and_whole_laws_agree():
    policy, t = tiny_policy().eval(), tiny_demonstrations()
    laws = policy.step_log_probs(t)
    taken = policy.step_values(t).log_prob
    torch.testing.assert_close(laws.gather(2, t.actions[..., None])[..., 0][t.inside], taken[t.inside])
    every = torch.arange(4).expand(*t.actions.shape, 4)
    writable = torch.isfinite(laws[..., 0]) & t.inside
    asked = policy.step_values(t, actions=every).log_prob
    torch.testing.assert_close(asked[writable], laws[..., :4][writable])
    rows, steps = t.inside.nonzero(as_tuple=True)
    torch.testing.assert_close(laws[rows, steps], policy.log_probs(t.before(rows, steps)), rtol=1e-4, atol=1e-5)


def test_labels_take_the_place_of_actions():
    policy = tiny_policy().eval()
    t = Trajectories.from_actions(V, [[0]], [[1, 2, 4]], max_length=4)
    corrected = t.labelled(torch.tensor([[2, 5, 5]]))
    both = policy.step_values(corrected).q, policy.step_values(t, actions=corrected.labels).q
    assert torch.equal(*both)
    kept = Trajectories.from_tensordict(V, corrected.to_tensordict(3, 7))
    assert torch.equal(kept.labels, corrected.labels)
    with pytest.raises(ValueError, match="row 0, step 0: action 5 is illegal: no generated token"):
        t.labelled(torch.tensor([[5, 1, 4]]))


def test_scheduled_sampling_replaces_tokens_and_keeps_the_labels():
    policy, data = tiny_policy().eval(), tiny_demonstrations()
    with seeded(0):
        same, mixed = mix(policy, data, 0.0), mix(policy, data, 1.0)
    assert torch.equal(same.actions, data.actions)
    assert torch.equal(mixed.labels, torch.where(data.inside, data.actions, V.size))
    moved = mixed.actions != data.actions
    assert bool(moved.any())
    kept = ~data.imitate | (data.actions == V.eos) | (data.actions == V.backspace)
    assert not bool((moved & kept).any())


@pytest.mark.parametrize("warm_up", [0.5, 1.0])
def test_scheduled_sampling_goes_on_beyond_its_schedule(warm_up):
    agent = ScheduledSampling(tiny_policy(), steps=2, warm_up=warm_up)
    with seeded(0):
        for _ in range(4):
            agent.update(tiny_demonstrations())
    assert agent.updates == 4


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [(SQIL, {"reward": -1.0}, "SQIL: reward=-1.0"),
     (SQIL, {"cloning": -1.0}, "SQIL: cloning=-1.0"), (GOLD, {"floor": 2.0}, "GOLD: floor=2.0 must lie in"),
     (UnlikelihoodTraining, {"alpha": -1.0}, "UnlikelihoodTraining: alpha=-1.0")],
)  # fmt: skip
def test_bad_options_are_named(make, options, message):
    with pytest.raises(InvalidInputError, match=message):
        make(tiny_policy(), **options)


def test_previous_tokens_are_those_of_the_prefix_once_each():
    t = Trajectories.from_actions(V, [[0, 0]], [[1, 2, V.backspace, 3, 4]], max_length=4)
    actions, counted = unlikelihood.previous_tokens(t)
    found = [sorted(a[c].tolist()) for a, c in zip(actions[0], counted[0], strict=True)]
    assert found == [[0], [0, 1], [0, 1, 2], [0, 1], [0, 1, 3]]


def test_the_mistakes_are_the_tokens_left_out_of_the_loss():
    imitate = torch.tensor([[True, False, True, True, True]])
    t = Trajectories.from_actions(V, [[0]], [[1, 2, V.backspace, 3, 4]], max_length=4, imitate=imitate)
    actions, counted = unlikelihood.mistakes(t)
    assert actions[counted].tolist() == [2]


@given(strategies.vocabularies().flatmap(strategies.trajectories), st.integers(1, 4))
def test_repeats_are_the_tokens_of_ngrams_that_stood_before(t, n):
    v = t.vocabulary
    actions, counted = unlikelihood.repeats(n)(t)
    assert torch.equal(actions[..., 0], t.actions)
    for row, length, marks in zip(t.actions.tolist(), t.lengths.tolist(), counted[..., 0].tolist(), strict=True):
        written = []  # steps whose tokens stand
        for step, action in enumerate(row[:length]):
            if action == v.backspace:
                written.pop()
            else:
                written.append(step)
        text = [row[step] for step in written]
        starts = [i for i in range(len(text) - n + 1) if text[i : i + n] in [text[j : j + n] for j in range(i)]]
        assert {k for k, mark in enumerate(marks) if mark} == {written[i + k] for i in starts for k in range(n)}


def test_sequence_unlikelihood_is_of_the_rollouts():
    data = Trajectories.from_actions(V, [[0]], [[1, 2, 3, 4]], max_length=6)
    own = Trajectories.from_actions(V, [[0]], [[1, 1, V.backspace, 2, 1, 2, 4]], max_length=6)
    policy = tiny_policy().eval()
    loss = unlikelihood.UnlikelihoodLoss(policy, 0.5, unlikelihood.mistakes, unlikelihood.repeats(2))
    found = loss.losses(data, own)
    p = policy.step_values(own).log_prob.exp()[0]
    expected = -0.5 * (torch.log1p(-p[4]) + torch.log1p(-p[5])) / 7
    torch.testing.assert_close(found["loss_sequence"], expected)
    assert float(loss.losses(data, None)["loss_sequence"].detach()) == 0


# -- SequenceMatch -------------------------------------------------------------------------------------


def test_sequence_match_trains_on_the_ablation_that_it_is_given():
    policy, data, own = tiny_policy().eval(), tiny_demonstrations(), tiny_demonstrations(3)
    found = {}
    for whole in (True, False):
        agent = SequenceMatch(policy, next_value=whole, beta=0)
        agent.loss.beta.fill_(0)
        found[whole] = agent.loss.losses(data, own)
        values = [agent.policy.step_values(t) for t in (data, own)]
        options = {"divergence": divergences.chi2_mixture(), "gamma": 0.998, "next_value": whole}
        expected, _ = objectives.sequence_match(values[0], rollouts=values[1], **options)
        assert found[whole]["loss_sequence_match"].item() == pytest.approx(expected.item(), rel=1e-6)
    seen = values[0].q[values[0].mask]
    assert found[False]["reward_max"].item() == pytest.approx(seen.max().item(), rel=1e-6)
    assert found[True]["loss_sequence_match"].item() != found[False]["loss_sequence_match"].item()
