"""A batch that is differentiated in ragged parts gives the loss and the gradient of the batch."""

import copy
import math
import re

import pytest
import torch
from built_in_agents import MAKERS
from tiny_models import FAMILIES, V, with_exact_norms
from tiny_models import tiny_policy as of_family

from agents.behavior_cloning import BehaviorCloning, BehaviorCloningLoss
from agents.gail import GAIL
from agents.sequence_match import SequenceMatch
from seqil import Agent, Trajectories, TrajectoryLoss, rollout, train
from seqil.errors import InvalidInputError
from seqil.learning.accumulation import Division
from seqil.learning.training import Sampling, Training
from seqil.policy.shared_prompts import SharedPrompts
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy

SPREADS = re.compile("gail|occupancy")  # divide by a spread over the batch


def rows():
    """Texts of unequal lengths, some of which count for little."""
    data = tiny_demonstrations(7)
    data.imitate[1], data.imitate[4, 2:] = False, False
    return data


def own_texts(agent, data):
    """As many as `Training` would give it."""
    n = len(data) * agent.samples if agent.fresh else max(1, round(len(data) * agent.rollout_share))
    asked, g = data.repeat(agent.samples).select(slice(0, n)), torch.Generator().manual_seed(0)
    own = rollout(agent.policy, asked.prompts, max_length=6, generator=g, rules=agent.rules(asked))
    return agent.label(own, asked, g)


def updated(agent, data, own, microbatch):
    """Metrics, and gradients as the optimizer had them."""
    agent.divide(Division(microbatch))
    agent.policy.eval()
    with seeded(3):
        metrics = agent.update(data, own)
    return metrics, [p.grad for p in agent.loss.parameters() if p.grad is not None]


def same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        torch.testing.assert_close(other[0][name], value, rtol=1e-12, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    assert len(one[1]) == len(other[1]) > 0
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in MAKERS if not SPREADS.search(name)])
def test_microbatches_add_up_to_the_batch_for_every_agent(name):
    """In the warm-up and after it; of two or three parts, and of single texts."""
    whole, parts = (MAKERS[name](tiny_policy().double()) for _ in range(2))
    whole.clip = parts.clip = 1e9
    data = rows()
    for update, microbatch in {0: 5, math.ceil(whole.warm_up * 6): 3, 5: 1}.items():
        whole.updates = update
        own = own_texts(whole, data) if whole.needs_rollouts else None
        parts.load_state_dict(copy.deepcopy(whole.state_dict()))
        same(updated(whole, data, own, None), updated(parts, data, own, microbatch))
    assert not whole.warming


@pytest.mark.parametrize("name", [name for name in MAKERS if SPREADS.search(name)])
def test_a_loss_that_is_no_sum_over_texts_is_refused_by_name(name):
    agent = MAKERS[name](tiny_policy())
    wanted = f"{type(agent).__name__} measures every step against the spread of the whole batch.* leave out microbatch"
    with pytest.raises(InvalidInputError, match=wanted):
        Training(agent, tiny_demonstrations(), generator=torch.Generator(), microbatch=2)


@pytest.mark.parametrize("memory", ["tried", "history"])
def test_microbatches_add_up_under_every_memory(memory):
    policies = (tiny_policy(memory=memory).double() for _ in range(2))
    whole, parts = (SequenceMatch(policy, steps=4, warm_up=0, anneal=0, clip=1e9) for policy in policies)
    data = tiny_demonstrations(7, memory=memory)
    own = own_texts(whole, data.repeat(8)).select(slice(0, 5))
    same(updated(whole, data, own, None), updated(parts, data, own, 2))


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_that_a_batch_shares_change_nothing(family):
    """A prompt is fed once per microbatch, and where few share it with every text."""
    made = with_exact_norms(copy.deepcopy(of_family(family))).requires_grad_(True)
    g = torch.Generator().manual_seed(0)
    texts = [[int(x) for x in torch.randint(0, 6, (1 + k % 6,), generator=g)] for k in range(22)]
    data = Trajectories.from_actions(V, torch.randint(0, 7, (2, 24), generator=g).repeat(11, 1), texts)
    assert SharedPrompts.where_worthwhile(data) is not None
    assert SharedPrompts.where_worthwhile(data.select(slice(0, 14))) is not None
    assert SharedPrompts.where_worthwhile(data.select(slice(14, 22))) is None
    whole, parts = (BehaviorCloning(copy.deepcopy(made), clip=1e9) for _ in range(2))
    one, other = updated(whole, data, None, None), updated(parts, data, None, 14)
    assert one[0]["loss"] == pytest.approx(other[0]["loss"], rel=1e-10)
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(b, a, rtol=1e-8, atol=1e-10)


def test_only_a_microbatch_is_in_memory_at_once():
    """No tensor that is kept for the backward pass has more rows than that, and the counting feeds nothing."""
    agent, fed = SequenceMatch(tiny_policy(), steps=4, warm_up=0), []
    table = agent.policy.model.get_input_embeddings()
    table.register_forward_hook(lambda module, inputs, output: fed.append(len(inputs[0])))
    data = tiny_demonstrations(7)
    for _ in train(agent, data, generator=torch.Generator().manual_seed(0), batch_size=7, steps=1, microbatch=3):
        pass
    assert fed == [3, 3, 1]


def test_training_in_microbatches_is_training():
    """The same weights after rollouts, corruption and schedules, to the rounding of float64."""

    def trained(microbatch):
        agent = SequenceMatch(tiny_policy().double(), steps=6, warm_up=0.2, anneal=0.2)
        for module in agent.policy.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        g = torch.Generator().manual_seed(0)
        training = Training(
            agent, rows(), generator=g, batch_size=5, sampling=Sampling(2, 4), microbatch=microbatch, average=0.5
        )
        costs = [metrics["cost"] for _, metrics in training.run()]
        return costs, [p.detach() for p in training.policy.parameters()]

    (costs, one), (other_costs, other) = trained(None), trained(2)
    assert costs == other_costs
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-8)


class UnknownLoss(TrajectoryLoss):
    out_keys = ["loss_mean"]  # noqa: RUF012

    def losses(self, demonstrations, rollouts):
        return {"loss_mean": -self.policy.step_values(demonstrations).log_prob.mean()}


class OwnUpdate(Agent):
    def update(self, demonstrations, rollouts=None):
        return self.descend(self.loss.losses(demonstrations, None))


def test_what_nobody_knows_to_add_up_is_refused():
    policy = tiny_policy()
    options = {"generator": torch.Generator(), "microbatch": 2}
    with pytest.raises(InvalidInputError, match=r"Agent: its loss does not say .*divides_by.*leave out microbatch"):
        Training(Agent(policy, UnknownLoss(policy)), tiny_demonstrations(), **options)
    own = OwnUpdate(policy, BehaviorCloning(policy).loss)
    with pytest.raises(InvalidInputError, match=r"OwnUpdate computes a loss of its own .*leave out microbatch"):
        list(train(own, tiny_demonstrations(), steps=1, **options))
    with pytest.raises(InvalidInputError, match="microbatch=0 must be at least 1"):
        Training(GAIL(policy), tiny_demonstrations(), generator=torch.Generator(), microbatch=0)


def test_a_loss_of_ones_own_does_not_inherit_what_another_says_of_its_parts():
    class Own(BehaviorCloningLoss):
        out_keys = ("loss_own",)

        def losses(self, demonstrations, rollouts):
            values = self.policy.step_values(demonstrations)
            return {"loss_own": -(values.log_prob * values.imitate).sum() / values.imitate.sum()}

    class Said(Own):
        divides_by = "counts"

    class Renamed(BehaviorCloningLoss):
        pass

    assert (Own.divides_by, Said.divides_by, Renamed.divides_by) == (None, "counts", "counts")
    policy = tiny_policy()
    agent = Agent(policy, Own(policy), steps=4)
    with pytest.raises(InvalidInputError, match="does not say that parts of a batch add up to it"):
        agent.divide(Division(2))
