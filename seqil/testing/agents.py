"""Conformance of agents."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.objectives import LossModule
from transformers import GPT2Config, GPT2LMHeadModel

from ..learning.agent import Agent, batch
from ..learning.noise import mistype, uniform
from ..learning.training import Sampling, Training
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..policy.token_policy import TokenPolicy
from ..randomness import seeded
from ..rollouts.rollouts import rollout

_LENGTH = 6
_UPDATES = 3


def check_agent(make_agent: Callable[[TokenPolicy], Agent]) -> None:
    """Prove that an agent keeps the contract of `seqil.Agent`; an AssertionError says in one line where it does not.

    Checked, on a tiny GPT-2: the loss is a TorchRL LossModule whose outputs are its `out_keys`, finite scalars, some
    named `loss_*`, and the same whatever the padding and the order of the rows; `set_keys` is obeyed; an update changes
    the policy and returns finite floats; `state_dict` resumes bit by bit; no global random state is touched;
    `seqil.train` runs it.

    Args:
        make_agent: from a fresh policy to the agent, as `lambda policy: SequenceMatch(policy, steps=6)`; up to six
            updates are made.
    """
    with seeded(0):
        agent = make_agent(tiny_policy())
        assert isinstance(agent, Agent), f"{type(agent).__name__} does not subclass seqil.Agent"
        assert isinstance(agent.loss, LossModule), f"loss is a {type(agent.loss).__name__}, not a TorchRL LossModule"
        _check_loss(agent)
        _check_update(agent)
        _check_resume(make_agent)
        _check_training(make_agent)


def tiny_policy(backspace: bool = True) -> TokenPolicy:
    """A GPT-2 of 1 layer and width 16 over five tokens, always the same."""
    vocabulary = Vocabulary(size=5, eos=4)
    config = GPT2Config(
        vocab_size=5, n_positions=16, n_layer=1, n_embd=16, n_head=2, resid_pdrop=0.1, bos_token_id=4, eos_token_id=4
    )
    with seeded(0):
        return TokenPolicy(GPT2LMHeadModel(config), vocabulary, backspace=backspace)


def tiny_demonstrations(rows: int = 8, backspace: bool = True) -> Trajectories:
    """Counting texts of ragged lengths, with a few mistakes deleted if there is a backspace."""
    v = Vocabulary(size=5, eos=4)
    texts = [[(i + k) % 4 for k in range(1 + i % _LENGTH)] + [v.eos] for i in range(rows)]
    clean = Trajectories.from_actions(v, [[i % 4] for i in range(rows)], texts, max_length=_LENGTH)
    return mistype(v, clean, 0.3, uniform(v), torch.Generator().manual_seed(0)) if backspace else clean


def _check_loss(agent: Agent) -> None:
    data = _data(agent)
    expected = set(map(str, agent.loss.out_keys))
    assert agent.loss.in_keys, "loss.in_keys is empty; name what the loss reads"
    assert any(key.startswith("loss_") for key in expected), "no key of loss.out_keys starts with loss_"
    agent.loss.eval()
    found = agent.loss(data)
    assert set(map(str, found.keys())) == expected, f"the loss writes {sorted(found.keys())}, out_keys say {expected}"
    for key, value in found.items():
        assert value.shape == (), f"{key} has shape {tuple(value.shape)}; it must be a scalar"
        assert bool(value.isfinite()), f"{key} is {float(value)}; it must be finite"
    wider = agent.loss(_wider(data, agent.policy.vocabulary))
    for key, value in found.items():
        assert torch.allclose(value, wider[key], rtol=1e-4, atol=1e-5), f"{key} changes with the padding of its input"
    turned = agent.loss(_reversed(data, agent))
    for key, value in found.items():
        assert torch.allclose(value, turned[key], rtol=1e-4, atol=1e-5), f"{key} changes with the order of the rows"
    keys = agent.loss.tensor_keys
    for name in ("demonstrations", "rollouts"):
        if hasattr(keys, name) and data.get(name, None) is not None:
            agent.loss.set_keys(**{name: f"other_{name}"})
            renamed = data.clone().rename_key_(name, f"other_{name}")
            again = agent.loss(renamed)
            agent.loss.set_keys(**{name: name})
            assert all(torch.equal(again[k], x) for k, x in found.items()), f"set_keys({name}=…) is not obeyed"


def _check_update(agent: Agent) -> None:
    before = copy.deepcopy(agent.policy.state_dict())
    for _ in range(_UPDATES):
        metrics = agent.update(_demonstrations(agent), _rollouts(agent) if agent.needs_rollouts else None)
        assert metrics, "update returned no metrics"
        for name, value in metrics.items():
            sound = isinstance(value, float) and math.isfinite(value)
            assert sound, f"metric {name} is {value!r}; it must be a finite float"
    changed = any(not torch.equal(before[k], x) for k, x in agent.policy.state_dict().items())
    assert changed, "update left every parameter of agent.policy as it was"


def _check_resume(make_agent: Callable[[TokenPolicy], Agent]) -> None:
    one, other = make_agent(tiny_policy()), make_agent(tiny_policy())
    state = None
    for k in range(2 * _UPDATES):
        if k == _UPDATES:
            state = copy.deepcopy(one.state_dict())
        _seeded_update(one, k)
    assert state is not None
    other.load_state_dict(state)
    for k in range(_UPDATES, 2 * _UPDATES):
        _seeded_update(other, k)
    same = all(torch.equal(a, b) for a, b in zip(one.policy.parameters(), other.policy.parameters(), strict=True))
    assert same, "training resumed from state_dict differs from training undisturbed; put all state into state_dict"


def _check_training(make_agent: Callable[[TokenPolicy], Agent]) -> None:
    agent, before = make_agent(tiny_policy()), _global_states()
    training = Training(
        agent, _demonstrations(agent), generator=torch.Generator().manual_seed(0), batch_size=4, sampling=Sampling(1, 4)
    )
    for step, metrics in training.run(2 * _UPDATES):
        assert math.isfinite(metrics.get("loss", 0.0)), f"the loss is not finite at step {step}"
    for name, state in _global_states().items():
        assert state == before[name], f"the global random state of {name} was changed; take a generator"


def _global_states() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
    }


def _seeded_update(agent: Agent, seed: int) -> None:
    with seeded(seed):
        agent.policy.train()
        agent.update(_demonstrations(agent), _rollouts(agent) if agent.needs_rollouts else None)


def _demonstrations(agent: Agent) -> Trajectories:
    return tiny_demonstrations(backspace=agent.policy.backspace)


def _rollouts(agent: Agent) -> Trajectories:
    """From the prompts of the demonstrations, as a fresh agent has them."""
    data = _demonstrations(agent).repeat(agent.samples)
    g = torch.Generator().manual_seed(0)
    own = rollout(agent.policy, data.prompts, max_length=_LENGTH, generator=g, rules=agent.rules(data))
    return agent.label(own, data, g)


def _data(agent: Agent) -> TensorDict:
    return batch(_demonstrations(agent), _rollouts(agent))


def _wider(data: TensorDict, vocabulary: Vocabulary) -> TensorDict:
    parts = {
        name: Trajectories.from_tensordict(vocabulary, part).to_tensordict(
            part["prompts"].shape[1] + 2, part["actions"].shape[1] + 3
        )
        for name, part in data.items()
    }
    return TensorDict(parts, batch_size=[])


def _reversed(data: TensorDict, agent: Agent) -> TensorDict:
    """The rows in reverse; the rollouts of one prompt keep their order."""
    parts = {}
    for name, part in data.items():
        rows = torch.arange(len(part["lengths"]))
        group = agent.samples if name == "rollouts" else 1
        parts[name] = part[rows.reshape(-1, group).flip(0).reshape(-1)]
    return TensorDict(parts, batch_size=[])
