"""A learned term of what was tried: the plain policy at first, then one law along trajectories, states and rollouts."""

import copy
import json
import random
import shutil
import sys

import pytest
import torch
from command_line import refused
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tiny_models import V, tiny_policy

from agents.behavior_cloning import BehaviorCloning
from agents.sequence_match import SequenceMatch
from seqil import TokenPolicy, Trajectories, rollout, start, transition
from seqil.cli.options import main
from seqil.errors import CheckpointError, InvalidInputError, UnsupportedModelError
from seqil.mdp.bans import Bans
from seqil.mdp.memory import PREFIX, TRIED
from seqil.policy.tried_term import TriedTerm
from seqil.rollouts import rollout_reference
from seqil.testing import agents as subjects
from seqil.testing import check_agent

DELETING = 1.5


def newest(run):
    return max((run / "checkpoints").iterdir())


def learned(family="gpt2", scale=0.5):
    """A policy under `tried` that deletes often, with a term of this size."""
    policy = copy.deepcopy(tiny_policy(family))
    policy.memory = TRIED
    policy.tried_term = TriedTerm(policy.weight.shape[1]).to(policy.weight)
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        policy.weight[policy.vocabulary.backspace] += DELETING * policy.weight[:3].mean(0)
        for p in policy.tried_term.parameters():
            p.copy_(scale * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return policy


def sample(how, policy, seed, rows=24, **options):
    prompts = [[k % 3] for k in range(rows)]
    options = {"max_length": 4, "min_length": 1, "max_actions": 24} | options
    return how(policy, prompts, generator=torch.Generator().manual_seed(seed), **options)


def test_at_first_it_is_the_policy_without_it():
    plain, made = (learned(scale=0.0) for _ in range(2))
    plain.tried_term = None
    one, other = (sample(rollout, policy, 0) for policy in (plain, made))
    assert len(Bans.of(one).row) > 20
    assert torch.equal(one.actions, other.actions)
    for a, b in zip(plain.step_values(one).__dict__.values(), made.step_values(one).__dict__.values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("family", ["gpt2", "llama", "large"])
@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), lanes=st.integers(1, 24), temperature=st.sampled_from([1.0, 0.7, 0.0]))
def test_rollouts_equal_the_reference(family, seed, lanes, temperature):
    policy = learned(family)
    slow = sample(rollout_reference, policy, seed, temperature=temperature)
    fast = sample(rollout, policy, seed, temperature=temperature, batch_size=lanes)
    assert torch.equal(fast.actions, slow.actions)
    torch.testing.assert_close(fast.log_prob, slow.log_prob, rtol=0, atol=1e-5)


def test_values_laws_and_states_agree_and_the_term_is_seen():
    policy, close = learned(), {"rtol": 0, "atol": 1e-10}
    policy = policy.double()
    t = sample(rollout, policy, 3)
    assert len(Bans.of(t).row) > 20
    values, laws = policy.step_values(t), policy.step_log_probs(t)
    for row in range(len(t)):
        state = start(V, t.prompts[row : row + 1], t.max_length, t.min_length, TRIED)
        for step in range(int(t.lengths[row])):
            expected = policy.log_probs(state)[0]
            torch.testing.assert_close(laws[row, step], expected, **close)
            torch.testing.assert_close(values.log_prob[row, step], expected[t.actions[row, step]], **close)
            state = transition(V, state, t.actions[row, step : step + 1])
    policy.tried_term = None
    other = policy.step_values(t)
    after = torch.zeros_like(t.inside).index_put((Bans.of(t).row, Bans.of(t).time.clamp(max=23)), torch.tensor(True))
    changed = (other.log_prob - values.log_prob).abs() > 1e-9
    assert changed[after & t.inside].any()
    assert not changed[~after & t.inside].any()


def test_the_law_of_a_row_that_was_cut_after_a_deletion():
    policy, v = learned().double(), V
    t = Trajectories.from_actions(v, [[0], [1]], [[1, 2, v.backspace], [0]], max_length=4)
    laws, state = policy.step_log_probs(t), start(v, t.prompts[:1], 4, 0, TRIED)
    for action in t.actions[0]:
        state = transition(v, state, action[None])
    final = policy.step_values(t).v_next[0, 2]
    logits = policy.log_probs(state)
    assert logits[0, 2] == -torch.inf
    longer = Trajectories.from_actions(v, [[0]], [[1, 2, v.backspace, 3]], max_length=4)
    torch.testing.assert_close(policy.step_log_probs(longer)[0, 3], logits[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(policy.step_values(longer).v[0, 3], final, rtol=0, atol=1e-12)
    assert laws.shape == (2, 3, v.num_actions)


def test_gradients_are_right():
    policy, B = learned().double().requires_grad_(True), V.backspace
    t = Trajectories.from_actions(V, [[0], [1]], [[1, B, 2, B, 3, 0, B], [2, 1, B, 3, B, 0]], max_length=4)
    inputs = [p.detach().clone().requires_grad_() for p in policy.tried_term.parameters()]
    names = [f"policy.tried_term.{name}" for name, _ in policy.tried_term.named_parameters()]

    class Values(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = policy

        def forward(self, t):
            values = self.policy.step_values(t)
            return values.q, values.v, values.v_next

    def values(*given):
        return torch.func.functional_call(Values(), dict(zip(names, given, strict=True)), (t,))

    assert torch.autograd.gradcheck(values, inputs, fast_mode=True, atol=1e-6)


@pytest.mark.parametrize("make", [BehaviorCloning, SequenceMatch])
def test_agents_keep_their_contract(make):
    def with_term(**options):
        policy = subjects.tiny_policy(memory=TRIED)
        return TokenPolicy(policy.model, policy.vocabulary, memory=TRIED, tried_term=True)

    check_agent(lambda policy: make(policy, steps=6), make_policy=with_term, memory=TRIED)


def test_it_is_saved_and_a_damaged_one_is_named(tmp_path):
    policy = learned()
    policy.save_pretrained(tmp_path)
    again = TokenPolicy.from_pretrained(tmp_path)
    for name, value in policy.tried_term.state_dict().items():
        assert torch.equal(again.tried_term.state_dict()[name], value)
    assert torch.equal(sample(rollout, again, 1).actions, sample(rollout, policy, 1).actions)
    assert not (tmp_path / "custom_generate").exists()
    assert json.loads((tmp_path / "seqil.json").read_text())["tried_term"] is True
    (tmp_path / "tried_term.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"tried_term\.safetensors"):
        TokenPolicy.from_pretrained(tmp_path, verify=False)
    save_file({"mean": torch.zeros(3, 3), "number": torch.zeros(3)}, tmp_path / "tried_term.safetensors")
    with pytest.raises(CheckpointError, match="of another model"):
        TokenPolicy.from_pretrained(tmp_path, verify=False)


def test_where_it_has_no_place_it_is_refused():
    policy = learned()
    with pytest.raises(InvalidInputError, match="part of the memory tried, not of prefix"):
        policy.remember(PREFIX)
    with pytest.raises(InvalidInputError, match="part of the memory tried, not of prefix"):
        TokenPolicy(policy.model, V, tried_term=True)
    with pytest.raises(UnsupportedModelError, match="which no observation holds"):
        policy(None)


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    """Trained, gone on with to the same bits, sampled; begun with again; not exported."""
    monkeypatch.chdir(tmp_path)
    before = random.getstate()
    small = [
        "--layers",
        "1",
        "--width",
        "16",
        "--heads",
        "2",
        "--demonstrations",
        "64",
        "--batch-size",
        "8",
        "--task",
        "chain",
        "--agent",
        "bc",
    ]
    asked = ["train", *small, "--memory", "tried", "--tried-term"]

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    run(*asked, "--steps", 6, "--out", "whole")
    run(*asked, "--steps", 6, "--save-every", 3, "--out", "parts")
    shutil.rmtree(newest(tmp_path / "parts"))
    run("train", "--out", "parts", "--resume")
    one, other = (TokenPolicy.from_pretrained(newest(tmp_path / name)) for name in ("whole", "parts"))
    assert one.tried_term.mean.abs().max() > 0
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert "unfinished" in run("sample", "whole", "-n", 2)
    sizes = [option for option in asked if option not in ("--layers", "1", "--width", "16", "--heads", "2")]
    run(*sizes, "--steps", 2, "--model", newest(tmp_path / "whole"), "--out", "more")
    assert TokenPolicy.from_pretrained(newest(tmp_path / "more")).tried_term.mean.abs().max() > 0
    without = [option for option in sizes if option != "--tried-term"]
    begun = [*without, "--model", str(newest(tmp_path / "whole")), "--out", "no"]
    refused(monkeypatch, capsys, begun, "has learned a term of what was tried")
    refused(monkeypatch, capsys, ["export", "whole", "exported"], "learned term of what was tried")
    refused(
        monkeypatch, capsys, ["train", *small, "--tried-term", "--out", "no"], "--tried-term would do nothing: it is a"
    )
    assert not (tmp_path / "no").exists()
    random.setstate(before)  # which loading a model of transformers advances
