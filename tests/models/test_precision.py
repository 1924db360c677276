"""A model trains in float32 whatever precision its file holds, and computes in bfloat16 where it is asked to."""

import copy

import pytest
import torch
from small_llama import V, demonstrations, generator, llama

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import TokenPolicy, rollout, train
from seqil.errors import InvalidInputError


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", [BehaviorCloning, SequenceMatch])
def test_a_file_of_16_bits_trains_as_its_float32_twin(make, dtype):
    coarse = TokenPolicy(llama().to(dtype), V)
    twin = copy.deepcopy(coarse).float()
    losses, moved = [], []
    assert {p.dtype for p in coarse.parameters()} == {dtype}
    for policy in (coarse, twin):
        before = [p.detach().float().clone() for p in policy.parameters()]
        agent = make(policy, steps=10, learning_rate=1e-5)
        losses.append([m["loss"] for _, m in train(agent, demonstrations(), generator=generator(), average=0.9)])
        moved.append([p.detach() - b for p, b in zip(policy.parameters(), before, strict=True)])
        assert {p.dtype for p in policy.parameters()} == {torch.float32}
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(*moved, strict=True))
    assert all(bool(m.any()) for m in moved[0])  # norms too


def test_an_autocast_around_training_trains_as_one_inside():
    losses = []
    for inside in (True, False):
        agent = BehaviorCloning(TokenPolicy(llama(), V, dtype="bfloat16" if inside else None), steps=6)
        with torch.autocast("cpu", torch.bfloat16, enabled=not inside):
            losses.append([m["loss"] for _, m in train(agent, demonstrations(), generator=generator(), steps=6)])
    torch.testing.assert_close(*losses, rtol=1e-6, atol=0)
    exact = BehaviorCloning(TokenPolicy(llama(), V), steps=6)
    plain = [m["loss"] for _, m in train(exact, demonstrations(), generator=generator(), steps=6)]
    torch.testing.assert_close(losses[0], plain, rtol=1e-2, atol=0)
    assert losses[0] != plain


@pytest.mark.parametrize("around", [False, True])
def test_a_deep_model_may_compute_in_bfloat16(around):
    """Its rounding there is as large as what reading another prefix changes: it is compared in float32."""
    deep = llama(num_hidden_layers=24, initializer_range=0.3)
    with torch.autocast("cpu", torch.bfloat16, enabled=around):
        policy = TokenPolicy(deep, V, dtype=None if around else "bfloat16")
    assert policy.computation == (None if around else torch.bfloat16)


@pytest.mark.parametrize("agent", [BehaviorCloning, SequenceMatch])
def test_rollouts_inside_the_same_autocast_leave_the_gradients_alone(agent):
    """Autocast keeps the casts of weights that were made without gradient."""
    with torch.autocast("cpu", torch.bfloat16):
        policy = TokenPolicy(llama(), V)
        rollout(policy, [[0]], max_length=4)
        policy.step_values(demonstrations(2)).q.sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in policy.parameters())


def test_values_and_rollouts_in_bfloat16_are_those_of_float32_nearly():
    exact, coarse = TokenPolicy(llama(), V).eval(), TokenPolicy(llama(), V, dtype=torch.bfloat16).eval()
    t = rollout(coarse, [[0], [1, 2]], max_length=8, generator=generator())
    found, expected = coarse.step_values(t), exact.step_values(t)
    assert found.q.dtype == torch.float32
    assert not torch.equal(found.v, expected.v)
    torch.testing.assert_close(found.log_prob, expected.log_prob, rtol=0, atol=0.05)
    torch.testing.assert_close(found.log_prob[t.inside], t.log_prob[t.inside], rtol=0, atol=0.05)


def test_float16_is_no_dtype_of_computation():
    with pytest.raises(InvalidInputError, match=r"dtype=torch.float16 is no dtype to compute in; known: float32, bf"):
        TokenPolicy(llama(), V, dtype=torch.float16)


@pytest.mark.parametrize(
    "ask",
    [
        lambda policy: rollout(policy, [[0]], max_length=4),
        lambda policy: policy.step_values(demonstrations(2)),
        lambda policy: policy.log_probs(demonstrations(2).replay()),
    ],
)
def test_weights_that_are_nowhere_are_named(ask):
    with pytest.raises(InvalidInputError, match="weights are on the device meta, which holds no values"):
        ask(TokenPolicy(llama(), V).to("meta"))
