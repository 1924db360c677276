"""Modules around a loss or a policy are honoured, or refused by name."""

import pytest
import torch

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.sequence_match import SequenceMatch
from seqil import train
from seqil.errors import InvalidInputError, UnsupportedModelError
from seqil.testing.agents import tiny_demonstrations, tiny_policy

accelerate = pytest.importorskip("accelerate", reason="comes with the extra `peft`")


def losses(agent, **options):
    g = torch.Generator().manual_seed(0)
    return [m["loss"] for _, m in train(agent, tiny_demonstrations(), generator=g, batch_size=4, **options)]


def agent(**options):
    return SequenceMatch(tiny_policy(), steps=6, warm_up=0.3, anneal=0.2, **options)


class Autocast(torch.nn.Module):
    """A wrapper of a stranger: it hides the attributes of what it wraps."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, data):
        self.calls += 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.inner(data)


@pytest.mark.parametrize("microbatch", [None, 2])
def test_a_wrapper_of_the_loss_is_what_every_update_calls(microbatch):
    """In the warm-up, too; attributes of the loss are found behind it, and the state is that of the loss."""
    plain, wrapped = agent(), agent()
    names = wrapped.state_dict()["loss"].keys()
    wrapped.loss = door = Autocast(wrapped.loss)
    found = losses(wrapped, microbatch=microbatch)
    assert door.calls == (6 if microbatch is None else 24)
    assert all(a != b for a, b in zip(losses(plain), found, strict=True))
    assert losses(agent()) == pytest.approx(found, rel=0.03)
    assert wrapped.state_dict()["loss"].keys() == names


def test_mixed_precision_of_accelerate_is_honoured_around_the_loss_and_refused_around_the_policy():
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)  # another test may have left one
    accelerator = accelerate.Accelerator(mixed_precision="bf16", cpu=True)
    try:
        prepared = agent()
        prepared.loss = accelerator.prepare(prepared.loss)
        found = losses(prepared)
        assert all(a != b for a, b in zip(losses(agent()), found, strict=True))
        assert losses(agent()) == pytest.approx(found, rel=0.03)
        with pytest.raises(UnsupportedModelError, match="dtype='bfloat16', or prepare the loss"):
            accelerator.prepare(tiny_policy())
    finally:
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


def test_accelerate_without_mixed_precision_leaves_a_policy_as_it_is():
    try:
        policy = tiny_policy()
        assert accelerate.Accelerator(cpu=True).prepare(policy) is policy
        assert losses(BehaviorCloning(policy, steps=2)) == losses(BehaviorCloning(tiny_policy(), steps=2))
    finally:
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


def test_what_averages_over_processes_is_refused(tmp_path):
    made = agent()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        distributed = torch.nn.parallel.DistributedDataParallel
        with pytest.raises(UnsupportedModelError, match=r"DistributedDataParallel averages .* give Training ranks"):
            made.loss = distributed(made.loss)
        around = distributed(tiny_policy())
        for cls in (BehaviorCloning, SequenceMatch, GAIL):
            with pytest.raises(UnsupportedModelError, match="DistributedDataParallel is no TokenPolicy"):
                cls(around)
        with pytest.raises(UnsupportedModelError, match="DistributedDataParallel is no TokenPolicy"):
            made.policy = around
    finally:
        torch.distributed.destroy_process_group()
    with pytest.raises(UnsupportedModelError, match="DataParallel averages"):
        made.loss = torch.nn.DataParallel(made.loss)
    assert len(losses(made, steps=1)) == 1  # what was refused has changed nothing


class Compiled(torch.nn.Module):
    """What torch.compile makes, whose import takes seconds: as far as it is looked at."""

    def __init__(self, inner):
        super().__init__()
        self._orig_mod = inner


def test_a_compiled_loss_is_not_divided():
    made = agent()
    made.loss = Compiled(made.loss)
    with pytest.raises(InvalidInputError, match=r"a compiled loss does not hear .* leave out microbatch"):
        losses(made, microbatch=2)


def test_what_is_neither_loss_nor_policy_is_named():
    made = agent()
    with pytest.raises(UnsupportedModelError, match="Identity is no LossModule of TorchRL, and wraps none"):
        made.loss = torch.nn.Identity()
    with pytest.raises(UnsupportedModelError, match="Sequential is no TokenPolicy"):
        made.policy = torch.nn.Sequential(made.policy)
    with pytest.raises(InvalidInputError, match="SequenceMatch: loss and optimizer hold the first policy"):
        made.policy = tiny_policy()
    made.policy = made.policy
