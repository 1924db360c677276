"""The losses: gradients, the two forms, limits, and what must not matter."""

from dataclasses import replace

import pytest
import torch

from seqil import objectives, start, transition
from seqil.errors import InvalidInputError, NonFiniteError
from seqil.learning.divergences import DIVERGENCES, chi2, chi2_mixture
from seqil.mdp.trajectory import Trajectories
from seqil.mdp.vocabulary import Vocabulary
from seqil.policy.values import StepValues
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)
GAMMA = 0.9
each = pytest.mark.parametrize("name", DIVERGENCES)


def values(rows, steps, seed=0, ended=0.5, counted=0.8):
    """Random step values of ragged rows; float64 leaves."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, steps + 1, (rows,), generator=g)
    mask = torch.arange(steps) < lengths[:, None]

    def leaf():
        return (torch.randn(rows, steps, generator=g, dtype=torch.float64) * mask).requires_grad_()

    imitate = mask & (torch.rand(rows, steps, generator=g) < counted)
    return StepValues(leaf(), leaf(), leaf(), mask, imitate, (torch.rand(rows, generator=g) < ended) & (lengths > 0))


def leaves(*many):
    return [x for v in many for x in (v.q, v.v, v.v_next)]


SHAPES = {
    "ragged": values(3, 4),
    "one step": values(1, 1, seed=3, ended=1.0, counted=1.0),
    "all truncated": values(3, 4, ended=0.0),
    "all padding": replace(values(2, 3), mask=torch.zeros(2, 3, dtype=torch.bool), imitate=torch.zeros(2, 3).bool(),
                           ended=torch.zeros(2, dtype=torch.bool)),
    "no steps": values(2, 0),
    "nothing counted": values(3, 4, counted=0.0),
}  # fmt: skip


@each
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [objectives.sequence_match, objectives.sequence_match_reference])
def test_gradients_of_sequence_match(name, shape, form):
    data, own = SHAPES[shape], values(2, 3, seed=9)

    def loss(*tensors):
        d = replace(data, q=tensors[0], v=tensors[1], v_next=tensors[2])
        r = replace(own, q=tensors[3], v=tensors[4], v_next=tensors[5])
        return form(d, divergence=DIVERGENCES[name](0.3), gamma=GAMMA, rollouts=r)[0]

    assert torch.autograd.gradcheck(loss, leaves(data, own))


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_behavior_cloning(shape):
    data = SHAPES[shape]

    def loss(q, v):
        return objectives.behavior_cloning(replace(data, q=q, v=v), gamma=GAMMA)[0]

    assert torch.autograd.gradcheck(loss, [data.q, data.v])


@each
@pytest.mark.parametrize(
    "actions",
    [[[4]], [[0, 5, 1, 5, 2, 5, 4], [0, 0, 5, 5, 4]], [[0, 1, 2]], [[0, 5], [1, 1, 1, 4]]],
    ids=["length 1", "all backspaces", "truncated", "mixed"],
)
def test_gradients_through_the_policy(name, actions):
    policy = tiny_policy().double().eval()
    t = Trajectories.from_actions(V, [[0]] * len(actions), actions, max_length=6)
    weight = policy.model.transformer.h[0].mlp.c_proj.weight

    def loss(w):
        policy.model.transformer.h[0].mlp.c_proj._parameters["weight"] = w
        own = policy.step_values(tiny_demonstrations(2))
        return objectives.sequence_match(policy.step_values(t), divergence=DIVERGENCES[name](0.3), gamma=GAMMA,
                                         rollouts=own)[0]  # fmt: skip

    assert torch.autograd.gradcheck(loss, [weight.detach().requires_grad_()], fast_mode=True)


@each
@pytest.mark.parametrize("alpha", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_identity_form_is_the_papers_form(name, alpha, shape):
    data, own = SHAPES[shape], values(5, 6, seed=1)
    found = []
    for form in (objectives.sequence_match, objectives.sequence_match_reference):
        loss, parts = form(data, divergence=DIVERGENCES[name](alpha), gamma=GAMMA, rollouts=own)
        assert sum(parts.values()).item() == pytest.approx(loss.item(), abs=1e-12)
        found.append(torch.cat([loss[None], *(g.flatten() for g in gradients(loss, data, own))]))
    assert (found[0] - found[1]).abs().max().item() <= 1e-10 * (1 + found[0].abs().max().item())


def gradients(loss, *many):
    found = torch.autograd.grad(loss, leaves(*many), allow_unused=True)
    return [torch.zeros(1, dtype=torch.float64) if g is None else g for g in found]


@each
def test_small_alpha_is_behavior_cloning(name):
    data = values(4, 5, ended=1.0)
    cloning, _ = objectives.behavior_cloning(data, gamma=GAMMA)
    gaps = []
    for alpha in (1e-3, 1e-5):
        loss, _ = objectives.sequence_match(data, divergence=DIVERGENCES[name](alpha), gamma=GAMMA)
        gaps.append(abs(loss.item() - cloning.item()))
    assert gaps[1] < 1e-4
    assert gaps[1] == pytest.approx(gaps[0] / 100, rel=0.05)


def test_behavior_cloning_at_gamma_1_is_maximum_likelihood():
    policy, clean = tiny_policy().double().eval(), tiny_demonstrations(backspace=False)
    loss, _ = objectives.behavior_cloning(policy.step_values(clean))
    expected, n = 0.0, 0
    for row in range(len(clean)):
        for step in range(int(clean.lengths[row])):
            text = [*clean.prompts[row, :1].tolist(), *clean.actions[row, :step].tolist()]
            p = start(V, [text[:1]], clean.max_length)
            for token in text[1:]:
                p = transition(V, p, torch.tensor([token]))
            expected -= policy.log_probs(p)[0, clean.actions[row, step]].item()
            n += 1
    assert loss.item() == pytest.approx(expected / n, rel=1e-12)


@each
def test_batch_mates_padding_and_order_do_not_matter(name):
    data, own, d = values(4, 5), values(3, 4, seed=7), DIVERGENCES[name](0.2)
    loss, _ = objectives.sequence_match(data, divergence=d, gamma=GAMMA, rollouts=own)

    def pad(x):
        return torch.nn.functional.pad(x, (0, 2), value=float("nan") if x.is_floating_point() else False)

    def change(v):
        order = torch.arange(len(v.ended) - 1, -1, -1)
        return StepValues(*(pad(getattr(v, f))[order] for f in ("q", "v", "v_next", "mask", "imitate")), v.ended[order])

    other, _ = objectives.sequence_match(change(data), divergence=d, gamma=GAMMA, rollouts=change(own))
    assert other.item() == pytest.approx(loss.item(), rel=1e-12)
    assert all(g.isfinite().all() for g in torch.autograd.grad(other, [data.q, data.v_next]))


@each
def test_steps_that_do_not_count_carry_nothing(name):
    data = values(4, 5, ended=0.0)
    loss, _ = objectives.sequence_match(data, divergence=DIVERGENCES[name](0.2), gamma=GAMMA)
    for g in torch.autograd.grad(loss, [data.q, data.v, data.v_next], allow_unused=True):
        assert not g[~data.imitate].any()


@each
@pytest.mark.parametrize("shape", ["nothing counted", "all padding", "no steps"])
def test_nothing_counted_is_zero_with_zero_gradient(name, shape):
    data, own = SHAPES[shape], values(2, 3, seed=5)
    loss, _ = objectives.sequence_match(data, divergence=DIVERGENCES[name](0.2), gamma=GAMMA, rollouts=own)
    assert loss.item() == 0
    assert not any(g.any() for g in gradients(loss, data, own))


def test_rollouts_enter_a_mixture_only():
    data, own = values(4, 5), values(3, 4, seed=7)
    for d in (chi2_mixture(0.5), chi2(0.5)):
        with_them, parts = objectives.sequence_match(data, divergence=d, gamma=GAMMA, rollouts=own)
        without, _ = objectives.sequence_match(data, divergence=d, gamma=GAMMA)
        assert (with_them.item() != without.item()) == d.mixture
        assert with_them.item() - without.item() == pytest.approx(parts["penalty_rollouts"].item())


def test_truncated_rows_drop_the_tail_and_nothing_else():
    data = values(4, 5, ended=1.0)
    cut = replace(data, ended=torch.zeros(4, dtype=torch.bool))
    d = chi2(0.5)
    loss, parts = objectives.sequence_match(data, divergence=d, gamma=GAMMA)
    shorter, _ = objectives.sequence_match(cut, divergence=d, gamma=GAMMA)
    assert parts["penalty_tail"] > 0
    assert shorter.item() == pytest.approx((loss - parts["penalty_tail"]).item(), rel=1e-12)


@each
def test_finite_for_huge_logits(name):
    data, own = values(4, 5), values(3, 4, seed=7)
    big = [StepValues(*((getattr(v, f) * 1e4).float().detach().requires_grad_() for f in ("q", "v", "v_next")),
                      v.mask, v.imitate, v.ended) for v in (data, own)]  # fmt: skip
    loss, _ = objectives.sequence_match(big[0], divergence=DIVERGENCES[name](3.0), gamma=0.998, rollouts=big[1])
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients(loss, *big))


def test_powers_of_gamma_are_exact_enough():
    T = 4000
    one = torch.ones(1, T, dtype=torch.float64)
    data = StepValues(-one, 0 * one, 0 * one, one.bool(), torch.arange(T)[None] == T - 1, torch.zeros(1).bool())
    half = replace(data, imitate=one.bool())
    loss, _ = objectives.behavior_cloning(half, gamma=0.999)
    assert loss.item() == pytest.approx(1.0, rel=1e-14)
    assert objectives._weight(data, 0.999).sum().item() == pytest.approx(0.999 ** (T - 1), rel=1e-12)


@pytest.mark.parametrize("field", ["q", "v", "v_next"])
def test_what_is_not_finite_is_named(field):
    data = values(3, 4, ended=1.0)
    row, step = data.mask.nonzero()[2].tolist()
    broken = getattr(data, field).detach().clone()
    broken[row, step] = torch.nan
    with pytest.raises(
        NonFiniteError, match=rf"^{field} of the demonstrations is not finite at row {row}, step {step};"
    ):
        objectives.behavior_cloning(replace(data, **{field: broken}))


@pytest.mark.parametrize("form", [objectives.sequence_match, objectives.sequence_match_reference])
def test_rollouts_that_are_not_finite_are_named(form):
    data = values(3, 4, ended=1.0)
    row, step = data.mask.nonzero()[0].tolist()
    broken = data.q.detach().clone()
    broken[row, step] = torch.inf
    with pytest.raises(
        NonFiniteError, match=rf"^q of the rollouts is not finite at row {row}, step {step}; the model has div"
    ):
        form(data, divergence=chi2_mixture(0.1), gamma=GAMMA, rollouts=replace(data, q=broken))


def test_one_counted_step_among_many_rows_is_its_own_average():
    data = values(5, 3, seed=2)
    row, step = data.mask.nonzero()[1].tolist()
    alone = torch.zeros_like(data.mask)
    alone[row, step] = True
    loss, parts = objectives.behavior_cloning(replace(data, imitate=alone))
    assert loss.item() == pytest.approx((data.v - data.q)[row, step].item())
    assert parts["likelihood"] == loss


def test_the_parts_are_named_and_add_up():
    data = SHAPES["ragged"]
    loss, parts = objectives.sequence_match(data, divergence=chi2_mixture(0.1), rollouts=values(2, 4, seed=5))
    assert set(parts) == {"likelihood", "penalty_data", "penalty_tail", "penalty_rollouts"}
    assert sum(parts.values()).item() == pytest.approx(loss.item())
    longer, _ = objectives.sequence_match_reference(
        data, divergence=chi2_mixture(0.1), rollouts=values(2, 4, seed=5)
    )  # both forms have the same gamma where none is given
    assert longer.item() == pytest.approx(loss.item())


@pytest.mark.parametrize("gamma", [0.0, 1.0, -0.5, 2.0])
def test_a_bad_gamma_is_named(gamma):
    with pytest.raises(InvalidInputError, match=f"gamma={gamma}"):
        objectives.sequence_match(values(2, 2), divergence=chi2(), gamma=gamma)


@each
@pytest.mark.parametrize("shape", SHAPES)
def test_without_the_next_value_the_penalties_are_those_of_the_logits(name, shape):
    data, own, d = SHAPES[shape], values(5, 6, seed=1), DIVERGENCES[name](0.3)
    weight = torch.where(data.imitate & data.mask, GAMMA ** torch.arange(data.mask.shape[1], dtype=torch.float64), 0)
    per_row = weight * (d.penalty(0.3 * data.q) / 0.3 - torch.where(data.mask, data.q - data.v, 0))
    expected = per_row.sum(1).mean()
    if d.mixture:
        counted = torch.where(own.imitate & own.mask, GAMMA ** torch.arange(6, dtype=torch.float64), 0)
        expected = expected + (counted * d.penalty(0.3 * own.q) / 0.3).sum(1).mean()
    unit = weight.sum(1).mean()
    loss, parts = objectives.sequence_match(data, divergence=d, gamma=GAMMA, rollouts=own, next_value=False)
    assert loss.item() == pytest.approx((expected / unit).item() if unit > 0 else 0, abs=1e-12)
    assert parts["penalty_tail"] == 0
    assert all(
        g is None or not g.any() for g in torch.autograd.grad(loss, [data.v_next, own.v_next], allow_unused=True)
    )


@each
def test_gradients_without_the_next_value(name):
    data, own = SHAPES["ragged"], values(2, 3, seed=9)

    def loss(*tensors):
        d, r = replace(data, q=tensors[0], v=tensors[1]), replace(own, q=tensors[2], v=tensors[3])
        options = {"divergence": DIVERGENCES[name](0.3), "gamma": GAMMA, "next_value": False}
        return objectives.sequence_match(d, rollouts=r, **options)[0]

    assert torch.autograd.gradcheck(loss, [data.q, data.v, own.q, own.v])
