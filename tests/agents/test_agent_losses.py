"""Each agent's loss: its gradient, its optimum where that is known, and what it must not depend on."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from agents import gold, slic, sqil, step_divergences, unlikelihood
from agents.dagger import DAgger
from agents.gold import GOLD
from agents.occupancy_gradient import OccupancyGradient, OccupancyGradientLoss
from agents.on_policy_distillation import OnPolicyDistillation
from agents.scheduled_sampling import ScheduledSampling, mix
from agents.slic import SLiC
from agents.sqil import SQIL
from agents.unlikelihood import UnlikelihoodTraining
from seqil import Trajectories, Vocabulary, divergences, experts, objectives, rollout
from seqil.errors import InvalidInputError
from seqil.learning.agent import batch
from seqil.learning.training import Sampling, Training
from seqil.policy.values import StepValues
from seqil.randomness import seeded
from seqil.testing import strategies
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


def doubles(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def bandit(logits, actions):
    """Step values of one-step rows `actions` under logits [A] shared by all: every row ends, `V(s_N) = 0`."""
    n = len(actions)
    q, v = logits[actions][:, None], logits.logsumexp(0).expand(n, 1)
    everywhere = torch.ones(n, 1, dtype=torch.bool)
    return StepValues(q, v, torch.zeros_like(q), everywhere, everywhere, everywhere[:, 0])


def descend(loss, parameters, steps=2000, rate=0.05):
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


# -- gradients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", step_divergences.DIVERGENCES)
def test_gradients_of_step_divergences(name):
    p = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    legal = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])
    f = step_divergences.DIVERGENCES[name]

    def loss(x):
        return f(p, x.masked_fill(~legal, -torch.inf).log_softmax(-1)).sum()

    assert torch.autograd.gradcheck(loss, doubles(3, 3))


def test_gradients_of_unlikelihood_calibration_residual_and_likelihood():
    counted = torch.tensor([[True, False], [True, True]])
    assert torch.autograd.gradcheck(lambda x: unlikelihood.log_complement(-1 - x.square(), counted), doubles(2, 2))
    alike = torch.tensor([0.1, 0.2, 0.3, 0.3])
    assert torch.autograd.gradcheck(lambda x: slic.calibration(x, alike, 2, 1.0), doubles(4))
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


# -- optima that are known -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", step_divergences.DIVERGENCES)
def test_distillation_ends_at_the_teacher(name):
    p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    x = doubles(3)
    descend(lambda: step_divergences.DIVERGENCES[name](p, x.log_softmax(0)), [x])
    torch.testing.assert_close(x.detach().softmax(0), p, atol=1e-4, rtol=0)


def test_reverse_kl_of_a_teacher_with_partial_support_is_finite():
    p = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert step_divergences.reverse_kl(p, torch.tensor([0.5, 0.5], dtype=torch.float64).log()).isfinite()


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


def test_calibration_ends_with_the_margin():
    x, alike = doubles(4), torch.tensor([0.9, 0.1, 0.5, 0.5])
    descend(lambda: slic.calibration(x, alike, 2, 1.0), [x])
    assert float((x[0] - x[1]).detach()) >= 1 - 1e-3
    assert torch.equal(x[2:].detach(), doubles(4)[2:].detach())  # equally alike: no pair


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


# -- experts and labels --------------------------------------------------------------------------------


def states(*texts, prompt=(0,)):
    p = Trajectories.from_actions(V, [list(prompt)] * len(texts), [list(t) for t in texts], max_length=3)
    return p.replay()


def test_the_reference_expert_deletes_what_has_left_the_reference():
    whole = states([1, 2, 4], [1, 2, 4], [1, 2, 4], [1, 2, 4], [1, 2, 4])
    now = states([], [1], [1, 2], [3], [1, 1])
    expected = torch.tensor([1, 2, 4, V.backspace, V.backspace])
    assert torch.equal(experts.reference(V)(now, whole).argmax(1), expected)
    without = experts.reference(V, backspace=False)(now, whole).argmax(1)
    assert torch.equal(without, torch.tensor([1, 2, 4, 2, 4]))


def test_the_teacher_deletes_errors_and_else_says_its_law():
    from envs.tasks.chain import Chain

    task = Chain(delay=2)
    v, prompt = task.vocabulary, task.prompts(1, "test", 0)[0]
    right = task.demonstrations(1, "test", 0).actions[0].tolist()
    wrong = [(right[0] + 1) % 10, right[1]]
    now = Trajectories.from_actions(v, [prompt] * 3, [[], wrong, right[:2]], max_length=task.max_length).replay()
    law = experts.teacher(task)(now, now)
    assert law.argmax(1).tolist() == [right[0], v.backspace, right[2]]
    torch.testing.assert_close(law.sum(1), torch.ones(3, dtype=torch.float64))


def test_the_teacher_ends_what_is_full_where_it_cannot_delete():
    from envs.tasks.add_in_base import AddInBase

    task = AddInBase()
    v, prompt = task.vocabulary, task.prompts(1, "train", 0)[0]
    full = Trajectories.from_actions(v, [prompt], [[0] * task.max_length], max_length=task.max_length).replay()
    assert bool(task.has_error(full))
    for backspace, expected in ((False, v.eos), (True, v.backspace)):
        law = experts.teacher(task, backspace)(full, full)
        assert law[0].nonzero().tolist() == [[expected]]


@pytest.mark.parametrize("make", [DAgger, OnPolicyDistillation])
def test_an_expert_that_deletes_is_refused_by_a_policy_that_cannot(make):
    agent = make(tiny_policy(backspace=False), steps=2, warm_up=0.0, expert=experts.policy(tiny_policy()))
    data = tiny_demonstrations(backspace=False)
    with pytest.raises(InvalidInputError, match="the expert deletes, which the policy cannot"):
        next(Training(agent, data, generator=torch.Generator().manual_seed(0)).run())


def test_a_policy_as_expert_is_without_dropout():
    expert = tiny_policy().train()
    now = tiny_demonstrations().replay()
    law = experts.policy(expert)(now, now)
    torch.testing.assert_close(law, expert.eval().log_probs(now).double().exp())


def test_dagger_labels_are_the_experts_and_interventions_obey_it():
    policy, g = tiny_policy(), torch.Generator().manual_seed(0)
    agent, data = DAgger(policy, steps=8), tiny_demonstrations(backspace=False)
    guided = experts.intervention(agent.expert, data.replay(), share=1.0)
    own = rollout(policy, data.prompts, max_length=6, generator=g, rules=[guided])
    assert own.replay().texts() == data.replay().texts()
    free = rollout(policy, data.prompts, max_length=6, generator=g)
    labelled = agent.label(free, data, g)
    rows, steps = free.inside.nonzero(as_tuple=True)
    wanted = agent.expert(free.before(rows, steps), data.replay().select(rows)).argmax(1)
    assert torch.equal(labelled.labels[rows, steps], wanted)


@pytest.mark.parametrize("make", [DAgger, OnPolicyDistillation])
def test_a_guess_that_the_expert_deletes_half_the_time(make):
    """Two texts, equally likely after one prompt: the reference tells them apart, the policy cannot.

    A step of the demonstrations weighs 1/3 and half of the rows are at the state `[0, 1]`; a walk that deletes with
    probability b has (3 - b) / (1 - b) steps, 1 / (1 - b) of them at a guess. So b = 3 / (12 - 2 b), or .26.
    """
    policy, g = tiny_policy(), torch.Generator().manual_seed(0)
    data = Trajectories.from_actions(V, [[0]] * 16, [[1 + i % 2, 3, 4] for i in range(16)], max_length=3)
    agent = make(policy, steps=250, learning_rate=1e-2, warm_up=0.2)
    for _ in Training(agent, data, generator=g, batch_size=16, sampling=Sampling(1, 32, 256)).run():
        pass
    law = policy.eval().log_probs(Trajectories.from_actions(V, [[0]], [[1]], max_length=3).replay())[0].exp()
    assert float(law[V.backspace].detach()) == pytest.approx(0.26, abs=0.08)


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
    [(SLiC, {"samples": 1}, "SLiC: samples=1 must be at least 2"), (SLiC, {"margin": -1.0}, "SLiC: margin=-1.0"),
     (SLiC, {"weight": math.nan}, "SLiC: weight=nan"), (SQIL, {"reward": -1.0}, "SQIL: reward=-1.0"),
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
