"""Conformance of losses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.objectives import LossModule

from ..errors import InvalidInputError
from ..learning.accumulation import Division
from ..learning.agent import Agent
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary

Outputs = dict[str, Tensor]
_MICROBATCH = 3  # of eight rows


def check_loss(agent: Agent, data: TensorDict) -> None:
    """What `check_agent` proves of the loss, on `batch(demonstrations, rollouts)`; it leaves the loss in eval mode."""
    assert isinstance(agent.loss, LossModule), f"loss is a {type(agent.loss).__name__}, not a TorchRL LossModule"
    agent.loss.eval()
    _check_parameters(agent)
    found = _check_outputs(agent.loss, data)
    _check_purity(agent.loss, data, found)
    _check_keys(agent.loss, data, found)
    differing = _differing(found, _outputs(agent.loss, _wider(data, agent.policy.vocabulary)))
    assert not (key := next(differing, None)), f"{key} changes with the padding of its input"
    differing = _differing(found, _outputs(agent.loss, _reversed(data, agent.samples)))
    assert not (key := next(differing, None)), f"{key} changes with the order of the rows"
    _check_parts(agent, data, found)


def check_use_of_rollouts(agent: Agent, data: TensorDict, asked: bool) -> None:
    """Rollouts enter the loss of an agent that asks for them, and only there; without them it lacks what they add.

    Args:
        agent: past its warm-up.
        data: with rollouts.
        asked: whether some update has asked for rollouts.
    """
    agent.loss.eval()
    found = _outputs(agent.loss, data)
    without = data.exclude("rollouts")
    try:
        alone = _outputs(agent.loss, without)
    except Exception as error:
        raise AssertionError(
            f"the loss fails without rollouts ({type(error).__name__}: {error}); what they add must be zero then"
        ) from error
    assert alone.keys() == found.keys(), f"without rollouts the loss writes {sorted(alone)}, with them {sorted(found)}"
    enter = set(_differing(found, alone))
    assert asked or not enter, f"{min(enter)} changes with rollouts, for which the agent has not asked"
    assert enter or not agent.needs_rollouts, "the agent needs rollouts, but its loss is the same without them"
    texts = _outputs(agent.loss, data.clone().update({"demonstrations": _ended(data, agent.policy.vocabulary)}))
    for key in enter - set(_differing(found, texts)):
        zero = not key.startswith("loss_") or float(alone[key]) == 0
        assert zero, f"{key} comes from rollouts alone, and without them it is {float(alone[key])}, not zero"


def _check_parts(agent: Agent, data: TensorDict, found: Outputs) -> None:
    """A loss that is said to be a sum over parts of a batch is one."""
    if getattr(agent.loss, "divides_by", None) != "counts":
        return
    read = partial(Trajectories.from_tensordict, agent.policy.vocabulary)
    rollouts = read(data["rollouts"]) if "rollouts" in data else None
    division = Division(_MICROBATCH)
    parts = division.parts(read(data["demonstrations"]), rollouts, agent.samples if agent.fresh else None)
    outputs = division.differentiated(agent.loss, agent.loss, parts, agent.updates)
    agent.loss.zero_grad()
    for key in (key for key in found if key.startswith("loss_")):
        assert torch.isclose(outputs[key].double(), found[key].double(), rtol=1e-4, atol=1e-6), (
            f"{key} is {float(found[key]):.4g} of a batch and {float(outputs[key]):.4g} of its parts; divide by what "
            "seqil.learning.whole_batch.total says, or leave out divides_by"
        )


def _check_parameters(agent: Agent) -> None:
    inside = {id(p) for p in agent.loss.parameters()}
    for name, p in agent.policy.named_parameters():
        assert id(p) in inside, f"{name} of the policy is no parameter of the loss"


def _check_outputs(loss: LossModule, data: TensorDict) -> Outputs:
    expected = set(map(str, loss.out_keys))
    assert any(key.startswith("loss_") for key in expected), "no key of loss.out_keys starts with loss_"
    found = _outputs(loss, data)
    assert set(found) == expected, f"the loss writes {sorted(found)}, out_keys say {sorted(expected)}"
    for key, value in found.items():
        assert value.shape == (), f"{key} has shape {tuple(value.shape)}; it must be a scalar"
        assert bool(value.isfinite()), f"{key} is {float(value)}; it must be finite"
    return found


def _check_purity(loss: LossModule, data: TensorDict, found: Outputs) -> None:
    given, before = data.clone(), [p.detach().clone() for p in loss.parameters()]
    again = {str(key): value.detach() for key, value in loss(given).items()}
    assert not (key := next(_differing(found, again, 0.0), None)), f"{key} differs between two calls with the same data"
    assert bool((given == data).all()), "the loss changes its input"
    assert all(map(torch.equal, loss.parameters(), before)), "a call of the loss changes its parameters"


def _check_keys(loss: LossModule, data: TensorDict, found: Outputs) -> None:
    assert loss.in_keys, "loss.in_keys is empty; name what the loss reads"
    for key in loss.in_keys:
        assert data.get(key, None) is not None, (
            f"loss.in_keys name {key}, which seqil.learning.accumulation.batch lacks"
        )
    read = data.select(*loss.in_keys, "rollouts")
    try:
        differing = _differing(found, _outputs(loss, read), 0.0)
    except (KeyError, InvalidInputError) as error:
        raise AssertionError(f"the loss reads what is not among its in_keys: {error}") from error
    assert not (key := next(differing, None)), f"{key} depends on what is not among loss.in_keys"
    for name in ("demonstrations", "rollouts"):
        if hasattr(loss.tensor_keys, name):
            assert _obeys(loss, data, found, name), f"set_keys({name}=…) is not obeyed"


def _obeys(loss: LossModule, data: TensorDict, found: Outputs, name: str) -> bool:
    loss.set_keys(**{name: f"other_{name}"})
    try:
        again = _outputs(loss, data.clone().rename_key_(name, f"other_{name}"))
    except (KeyError, AssertionError):
        return False
    finally:
        loss.set_keys(**{name: name})
    return not list(_differing(found, again, 0.0))


def _outputs(loss: LossModule, data: TensorDict) -> Outputs:
    return {str(key): value.detach() for key, value in loss(data.clone()).items()}


def _differing(one: Outputs, other: Outputs, tolerance: float = 1e-4) -> Iterator[str]:
    """The keys whose values differ."""
    return (k for k, x in one.items() if not torch.allclose(x, other[k], rtol=tolerance, atol=tolerance / 10))


def _wider(data: TensorDict, vocabulary: Vocabulary) -> TensorDict:
    parts = {
        name: Trajectories.from_tensordict(vocabulary, part).to_tensordict(
            part["prompts"].shape[1] + 2, part["actions"].shape[1] + 3
        )
        for name, part in data.items()
    }
    return TensorDict(parts, batch_size=[])


def _reversed(data: TensorDict, samples: int) -> TensorDict:
    """The rows in reverse; the rollouts of one prompt keep their order."""
    parts = {}
    for name, part in data.items():
        rows = torch.arange(len(part["lengths"]))
        group = samples if name == "rollouts" else 1
        parts[name] = part[rows.reshape(-1, group).flip(0).reshape(-1)]
    return TensorDict(parts, batch_size=[])


def _ended(data: TensorDict, v: Vocabulary) -> TensorDict:
    """Demonstrations of the same prompts that end at once."""
    t = Trajectories.from_tensordict(v, data["demonstrations"])
    return Trajectories.from_actions(v, t.prompts, [[v.eos]] * len(t), max_length=t.max_length).to_tensordict()
