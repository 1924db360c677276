"""Every sentence of an agent's contract has a class that breaks it alone, and `check_agent` says so."""

import copy
import itertools
import math
import random

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from agents.behavior_cloning import BehaviorCloning
from seqil import Agent, TrajectoryLoss, objectives
from seqil.errors import InvalidInputError, NonFiniteError, UnsupportedModelError
from seqil.learning.accumulation import batch
from seqil.mdp.trajectory import FIELDS
from seqil.testing import check_agent

COUNT = itertools.count(1)


def cloning(loss, t):
    return objectives.behavior_cloning(loss.policy.step_values(t))[0]


class Given(TrajectoryLoss):
    """What `compute` makes of itself, demonstrations and rollouts."""

    def __init__(self, policy, compute, keys=("loss_a",)):
        super().__init__(policy)
        self.compute, self.out_keys = compute, list(keys)
        self.extra = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

    def losses(self, demonstrations, rollouts):
        return self.compute(self, demonstrations, rollouts)


class Uses(Agent):
    uses_rollouts = True


def one(compute, cls=Agent, keys=("loss_a",)):
    """An agent whose loss is `loss_a`."""
    return lambda policy: cls(policy, Given(policy, lambda *a: {"loss_a": compute(*a)}, keys))


def several(compute, keys, cls=Agent):
    return lambda policy: cls(policy, Given(policy, compute, keys))


def forgets_demonstrations(loss, d, r):
    return {"loss_a": cloning(loss, d), "loss_b": loss.policy.weight.square().sum() if r is None else cloning(loss, r)}


def by_row(loss, d, r):
    values = loss.policy.step_values(d)
    return objectives.weighted_likelihood(values, values.imitate * torch.arange(len(d))[:, None])


def overwrites(loss, d, r):
    found = cloning(loss, d)
    d.actions.fill_(0)
    return found


def moves(loss, d, r):
    loss.extra.data += 1
    return cloning(loss, d)


class Padded(Given):
    """Looks at the width of its input."""

    def __init__(self, policy):
        super().__init__(policy, lambda loss, d, r: {"loss_a": cloning(loss, d)})

    def forward(self, tensordict):
        width = tensordict[self.tensor_keys.demonstrations]["actions"].shape[1]
        return TensorDict({"loss_a": super().forward(tensordict)["loss_a"] * width})


BROKEN_LOSSES = {
    "fails without rollouts": one(lambda loss, d, r: cloning(loss, r), Uses),
    "comes from rollouts alone, and without them": several(forgets_demonstrations, ("loss_a", "loss_b"), Uses),
    "for which the agent has not asked": one(lambda loss, d, r: cloning(loss, d if r is None else r)),
    "its loss is the same without them": one(lambda loss, d, r: cloning(loss, d), Uses),
    r"losses returned \['loss_a'\], its out_keys are \['b', 'loss_a'\]": several(
        lambda loss, d, r: {"loss_a": cloning(loss, d)} | ({} if r is None else {"b": cloning(loss, r)}),
        *(("loss_a", "b"), Uses),
    ),
    r"its out_keys are \['loss_a', 'loss_b'\]": one(lambda loss, d, r: cloning(loss, d), keys=("loss_a", "loss_b")),
    "no key of loss.out_keys": several(lambda loss, d, r: {"a": cloning(loss, d)}, ("a",)),
    r"loss_a is a tensor of shape \[2\]": one(lambda loss, d, r: cloning(loss, d).expand(2)),
    "it must be finite": one(lambda loss, d, r: cloning(loss, d) * math.inf),
    "changes with the order of the rows": one(by_row),
    "changes with the padding": lambda policy: Agent(policy, Padded(policy)),
    "changes its input": one(overwrites),
    "changes its parameters": one(moves),
    "differs between two calls": one(lambda loss, d, r: cloning(loss, d) * next(COUNT)),
}


@pytest.mark.parametrize("complaint", BROKEN_LOSSES)
def test_a_broken_loss_is_found(complaint):
    with pytest.raises((AssertionError, InvalidInputError), match=complaint):
        check_agent(BROKEN_LOSSES[complaint])


class Keyed(Given):
    """Names other keys than those that it reads."""

    named = [("demonstrations", "actions")]  # noqa: RUF012

    @property
    def in_keys(self):
        return self.named


class Unkeyed(Keyed):
    named = []  # noqa: RUF012


class Colourful(Keyed):
    named = [("demonstrations", "colour")]  # noqa: RUF012


class Unmasked(Keyed):
    named = [("demonstrations", k) for k in FIELDS if k != "imitate"]  # noqa: RUF012


class Stubborn(Given):
    """Reads the same keys whatever `set_keys` says."""

    name = "demonstrations"

    def _read(self, tensordict, key):
        name = self.name if key in (self.name, f"other_{self.name}") else key
        return super()._read(tensordict, name)


class StubbornOfRollouts(Stubborn):
    name = "rollouts"


class Detached(Given):
    """Keeps the policy where no optimizer or checkpoint finds it."""

    def __init__(self, policy, compute):
        super().__init__(policy, compute)
        del self.policy
        self.__dict__["policy"] = policy


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (Keyed, "is not among|not among its in_keys"),
        (Unkeyed, "in_keys is empty"),
        (Colourful, "which .* lacks"),
        (Unmasked, "not among"),
        (Stubborn, r"set_keys\(demonstrations=…\) is not obeyed"),
        (StubbornOfRollouts, r"set_keys\(rollouts=…\) is not obeyed"),
        (Detached, "is no parameter of the loss"),
    ],
)
def test_a_loss_of_other_keys_or_parameters_is_found(cls, complaint):
    def both(loss, d, r):
        return {"loss_a": cloning(loss, d) + (0 if r is None else cloning(loss, r))}

    with pytest.raises(AssertionError, match=complaint):
        check_agent(lambda policy: Uses(policy, cls(policy, both)))


class Cloner(BehaviorCloning):
    """Six updates, the first two of them warm-up."""

    def __init__(self, policy):
        super().__init__(policy, steps=6, warm_up=0.3)


class Copier(Cloner):
    def __init__(self, policy):
        super().__init__(copy.deepcopy(policy))


class Unknown(Cloner):
    choices = {"colour": {"red": 1}}  # noqa: RUF012


class Unnamed(Cloner):
    choices = {"policy": {1: 1}}  # noqa: RUF012


class Positionless(Cloner):
    def positions(self, demonstrations, rollouts):
        return 0.0


class Uncounted(Cloner):
    def update(self, demonstrations, rollouts=None):
        found = super().update(demonstrations, rollouts)
        self.updates = 0
        return found


class Idle(Cloner):
    def update(self, demonstrations, rollouts=None):
        before = copy.deepcopy(self.policy.state_dict())
        found = super().update(demonstrations, rollouts)
        self.policy.load_state_dict(before)
        return found


class Whole(Cloner):
    """Reports whole numbers."""

    def update(self, demonstrations, rollouts=None):
        return super().update(demonstrations, rollouts) | {"rows": len(demonstrations)}


class Unbounded(Cloner):
    def update(self, demonstrations, rollouts=None):
        return super().update(demonstrations, rollouts) | {"ratio": math.inf}


class Silent(Cloner):
    def update(self, demonstrations, rollouts=None):
        return {k: x for k, x in super().update(demonstrations, rollouts).items() if k != "grad_norm"}


class Boastful(Cloner):
    def update(self, demonstrations, rollouts=None):
        found = super().update(demonstrations, rollouts)
        return found | {"loss": found["loss"] / 2}


class Hasty(Cloner):
    """Never ends its warm-up."""

    def update(self, demonstrations, rollouts=None):
        return self.descend(self.loss(batch(demonstrations, rollouts)))


class Reckless(Cloner):
    """Takes NaN for a number."""

    def update(self, demonstrations, rollouts=None):
        try:
            return super().update(demonstrations, rollouts)
        except NonFiniteError:
            return {}


class Late(Cloner):
    """Says that the loss was not finite when all is lost."""

    def update(self, demonstrations, rollouts=None):
        try:
            return super().update(demonstrations, rollouts)
        except NonFiniteError:
            with torch.no_grad():
                self.policy.weight[0] += 1
            raise


class Relabelling(Uses):
    def __init__(self, policy):
        super().__init__(policy, Given(policy, lambda *a: {"loss_a": cloning(*a[:2]) + (a[2] and cloning(a[0], a[2]))}))

    def label(self, rollouts, demonstrations, generator):
        return rollouts.select(torch.arange(len(rollouts)).flip(0))


class Forgetful(Cloner):
    """Its state_dict lacks the optimizer's."""

    def state_dict(self):
        state = super().state_dict()
        return {**state, "optimizer": {**state["optimizer"], "state": {}}}


class Unstorable(Cloner):
    def state_dict(self):
        return super().state_dict() | {"generator": torch.Generator()}


class Gambler(Cloner):
    """Draws from a generator of everyone's, in each update."""

    def __init__(self, policy, draw):
        super().__init__(policy)
        self.draw = draw

    def update(self, demonstrations, rollouts=None):
        self.draw()
        return super().update(demonstrations, rollouts)


class Born(Cloner):
    """Draws where it is made."""

    def __init__(self, policy):
        super().__init__(policy)
        torch.rand(3)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda p: object(), "does not subclass"),
        (Copier, "is not the policy that the agent was given"),
        (Unknown, "'colour', which is no option"),
        (Unnamed, "choices of policy are not all named"),
        (type("Sampleless", (Cloner,), {"samples": 0}), "samples=0"),
        (type("Shareless", (Cloner,), {"rollout_share": 0.0}), r"rollout_share=0\.0"),
        (type("Impatient", (Cloner,), {"needs_rollouts": True}), "rollouts are asked for during the warm-up"),
        (Positionless, r"positions are 0\.0"),
        (Uncounted, "after 1 updates agent.updates is 0"),
        (Idle, "left every parameter"),
        (Whole, "metric rows is 8"),
        (Unbounded, "metric ratio is inf"),
        (Silent, "no grad_norm"),
        (Boastful, "loss is not the sum"),
        (Hasty, "end_warm_up was called 0 times"),
        (Reckless, "is no NonFiniteError"),
        (Late, "changes parameters before it is refused"),
        (Relabelling, "label changes the prompts"),
        (Forgetful, "resumed from state_dict differs"),
        (Unstorable, "does not fit into a checkpoint"),
        (lambda p: Gambler(p, random.random), "global random state of python was changed"),
        (lambda p: Gambler(p, np.random.random), "global random state of numpy was changed"),
        (Born, "global random state of torch was changed"),
    ],
)
def test_a_broken_agent_is_found(make, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_agent(make)


def test_a_loss_that_is_none_is_refused_where_the_agent_is_made():
    with pytest.raises(UnsupportedModelError, match="Linear is no LossModule of TorchRL"):
        check_agent(lambda p: Agent(p, torch.nn.Linear(2, 2)))


def test_what_the_broken_ones_are_made_of_is_sound():
    check_agent(Cloner)
    check_agent(one(lambda loss, d, r: cloning(loss, d)))
    check_agent(one(lambda loss, d, r: cloning(loss, d) + (0 if r is None else cloning(loss, r)), Uses))
