"""Two processes that share every batch do what one does."""

import types
from functools import partial

import pytest
import torch
from built_in_agents import MAKERS
from two_ranks import in_two

from agents.behavior_cloning import BehaviorCloning
from seqil import mistype, noise
from seqil.errors import InvalidInputError, LostRankError
from seqil.learning.accumulation import Division
from seqil.learning.training import Sampling, Training
from seqil.testing.agents import tiny_demonstrations, tiny_policy

KINDS = ("dagger", "gail, airl", "occupancy_gradient", "scheduled_sampling", "slic", "from the first step")
STEPS = 20
DIVISIBLE = tuple(name for name in MAKERS if name != "gail, relativistic")


def made(name, ranks=None, seed=0, **options):
    agent = MAKERS[name](tiny_policy().double())
    agent.steps = STEPS
    for module in agent.loss.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    v = agent.policy.vocabulary
    source = noise.uniform(v)
    return Training(
        agent,
        tiny_demonstrations(9, backspace=False),
        generator=torch.Generator().manual_seed(seed),
        batch_size=5,
        corrupt=lambda t, g: mistype(v, t, 0.2, source, g),
        sampling=Sampling(every=2, rows=3, capacity=7),
        ranks=ranks,
        **options,
    )


def trained(name, ranks=None, **options):
    training = made(name, ranks, **options)
    metrics = [dict(sorted(found.items())) for _, found in training.run(STEPS)]
    return metrics, [p.detach().numpy() for p in training.policy.parameters()]


def all_trained(names, ranks):
    found = {name: trained(name, ranks) for name in names}
    return found | {"microbatches": trained("from the first step", ranks, microbatch=2, average=0.5)}


@pytest.mark.parametrize(
    ("names", "updates"), [(KINDS, 6), pytest.param(DIVISIBLE, 20, marks=pytest.mark.slow)], ids=["kinds", "all"]
)
def test_two_ranks_are_one(names, updates, tmp_path, monkeypatch):
    """Losses, metrics, costs and weights of some updates, with rollouts and noise, for every kind of agent."""
    monkeypatch.setattr("test_ranks.STEPS", updates)
    one, two = in_two(partial(all_trained, names), tmp_path)
    alone = {name: trained(name) for name in names}
    alone["microbatches"] = trained("from the first step", average=0.5)
    for name, (metrics, weights) in alone.items():
        for (found, theirs), other in ((one[name], two[name]), (two[name], one[name])):
            assert found == other[0], f"the ranks differ in {name}"
            for step, expected in enumerate(metrics):
                assert found[step] == pytest.approx(expected, rel=1e-6, abs=1e-9), f"{name}, step {step + 1}"
            for mine, wanted in zip(theirs, weights, strict=True):
                assert mine == pytest.approx(wanted, rel=1e-6, abs=1e-8), name
    losses = [metrics["loss"] for metrics in alone["microbatches"][0]]
    assert len(set(losses)) == updates


def test_pairs_of_steps_are_not_divided_over_ranks():
    agent, others = MAKERS["gail, relativistic"](tiny_policy()), MAKERS["gail, airl"](tiny_policy())
    division = Division(ranks=types.SimpleNamespace(rank=0, size=2))
    others.divide(division)
    with pytest.raises(InvalidInputError, match="relativistic=True judges every step of the data against every one"):
        agent.divide(division)


def apart(ranks):
    training = made("bc", ranks, seed=ranks.rank)
    with pytest.raises(LostRankError, match="the ranks have gone apart; start all with the same settings"):
        list(training.run(1))


def left_alone(ranks):
    if ranks.rank == 1:
        return True
    with pytest.raises(LostRankError, match="another rank has ended; go on from the last checkpoint"):
        list(made("bc", ranks).run(2))
    return True


def too_many(ranks):
    with pytest.raises(InvalidInputError, match="2 ranks cannot share batches of 1 and"):
        Training(
            BehaviorCloning(tiny_policy()),
            tiny_demonstrations(),
            generator=torch.Generator(),
            batch_size=1,
            ranks=ranks,
        )


def what_goes_wrong(ranks):
    too_many(ranks)
    apart(ranks)
    return left_alone(ranks)


def test_ranks_that_differ_or_end_are_named(tmp_path):
    assert in_two(what_goes_wrong, tmp_path) == [True, True]
