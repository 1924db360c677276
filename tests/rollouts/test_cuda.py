"""On CUDA everything is as on the CPU: samples, logits of a prefix tree, and what a step of training does."""

import copy

import pytest
import torch
from tiny_models import tiny_policy as language_model

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import rollout, start
from seqil.decoding import top_k
from seqil.learning.training import Sampling, Training
from seqil.rollouts.lockstep import Lockstep
from seqil.rollouts.sampler import Sampler
from seqil.runs.checkpoint import RunFolder
from seqil.testing.agents import tiny_demonstrations, tiny_policy

DEVICE = torch.device("cuda")
pytestmark = pytest.mark.gpu


def policies():
    """One policy on both devices, in float64, so that rounding decides nothing, and without dropout."""
    return [tiny_policy().double().eval().to(device) for device in ("cpu", DEVICE)]


def weights(policy):
    return torch.cat([p.detach().cpu().flatten() for p in policy.parameters()])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rollouts(temperature):
    prompts = [[i % 4] for i in range(32)]
    one, other = (
        rollout(policy, prompts, max_length=8, temperature=temperature, generator=torch.Generator().manual_seed(3))
        for policy in policies()
    )
    assert torch.equal(one.actions, other.actions.cpu())
    assert torch.allclose(one.log_prob, other.log_prob.cpu(), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"rules": [top_k(4)]}, {"temperature": 0.7}])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_rollouts_of_two_families(family, options):
    """In lockstep, with rows that wait, and, with a rule, by the loop on the host."""
    prompts, limits = [[0], [1, 2, 3], [2, 2], [0, 1], [5, 3], [4]] * 3, {"max_length": 40, "max_actions": 150}
    one, other = (
        rollout(policy, prompts, generator=torch.Generator().manual_seed(1), **limits, **options)
        for policy in (language_model(family), copy.deepcopy(language_model(family)).to(DEVICE))
    )
    assert torch.equal(one.actions, other.actions.cpu())
    assert torch.allclose(one.log_prob, other.log_prob.cpu(), atol=1e-6)


@pytest.mark.parametrize("asking", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_steps_are_captured_unless_they_ask_the_host(family, asking):
    here, policy = language_model(family), copy.deepcopy(language_model(family)).to(DEVICE)
    heard, head = [], policy.head

    def asked(hidden):
        heard.append(float(hidden.sum()) if asking else 0.0)
        return head(hidden)

    policy.head = asked
    found = []
    for each, device in ((here, "cpu"), (policy, DEVICE)):
        initial = start(each.vocabulary, [[0], [1, 2]], 40, 40).to(device)
        decoding = Lockstep(each, initial, Sampler(None, 1.0, torch.arange(2, device=device)), 80, 2)
        with torch.no_grad():
            found.append(decoding.run())
    assert all(torch.allclose(a, b.cpu(), atol=1e-6) for a, b in zip(*found, strict=True))
    assert len(heard) >= 40 if asking else len(heard) == 2  # a step and its capture


def test_values_and_laws_of_a_tree():
    data = tiny_demonstrations(16)
    here, there = policies()
    for one, other in (
        (here.step_values(data).q, there.step_values(data.to(DEVICE)).q),
        (here.step_values(data).v_next, there.step_values(data.to(DEVICE)).v_next),
        (here.step_log_probs(data).exp(), there.step_log_probs(data.to(DEVICE)).exp()),
    ):
        assert other.device.type == DEVICE.type
        assert torch.allclose(one, other.cpu(), atol=1e-9)


@pytest.mark.parametrize("make", [BehaviorCloning, SequenceMatch])
def test_training(make):
    """Data order, noise and rollouts are drawn on the CPU; six steps leave the same weights."""
    left = []
    for policy in policies():
        for module in policy.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # the devices draw other masks
        agent = make(policy, steps=6, warm_up=0.4)
        sampling = Sampling(every=1, rows=4, capacity=8)
        generator = torch.Generator().manual_seed(0)
        training = Training(agent, tiny_demonstrations(9), generator=generator, batch_size=4, sampling=sampling)
        curve = [metrics["loss"] for _, metrics in training.run()]
        left.append((weights(policy), torch.tensor(curve)))
    (one, curve), (other, other_curve) = left
    assert torch.allclose(curve, other_curve, rtol=1e-6)
    assert torch.allclose(one, other, atol=1e-6)


def test_a_run_goes_on_where_it_was(tmp_path):
    """What a checkpoint holds is on the CPU; resumed on CUDA it gives the undisturbed run's weights."""
    folder = RunFolder(tmp_path)
    data = tiny_demonstrations(9)
    runs = [
        Training(
            SequenceMatch(tiny_policy().double().to(DEVICE), steps=8, warm_up=0.3),
            data,
            generator=torch.Generator().manual_seed(0),
            batch_size=4,
        )
        for _ in range(2)
    ]
    list(runs[0].run(4))
    folder.save(4, runs[0].policy, runs[0].state_dict())
    runs[1].load_state_dict(folder.load()[1])
    for run in runs:
        list(run.run())
    assert torch.allclose(weights(runs[0].policy), weights(runs[1].policy), atol=1e-9)
