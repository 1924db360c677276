"""Options of agents and of training that cannot be honoured, each named with what it must be."""

import copy
import math

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.grpo import GRPO
from agents.on_policy_distillation import OnPolicyDistillation
from agents.scheduled_sampling import mix
from agents.sequence_match import SequenceMatch
from agents.slic import SLiC
from agents.unlikelihood import UnlikelihoodTraining
from agents.unlikelihood.mutual_exclusivity import MutualExclusivity
from seqil import Training, Vocabulary, experts, noise, start
from seqil.errors import InvalidInputError
from seqil.learning.training import Sampling
from seqil.randomness import seeded
from seqil.testing.agents import tiny_demonstrations, tiny_policy


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"steps": 0}, "BehaviorCloning: steps=0 must be positive"),
        ({"steps": -3}, "BehaviorCloning: steps=-3 must be positive"),
        ({"learning_rate": 0.0}, "BehaviorCloning: learning_rate=0.0 must be positive"),
        ({"learning_rate": math.inf}, "BehaviorCloning: learning_rate=inf must be positive"),
        ({"learning_rate": math.nan}, "BehaviorCloning: learning_rate=nan must be positive"),
        ({"clip": 0.0}, "BehaviorCloning: clip=0.0 must be positive"),
        ({"weight_decay": -0.1}, "BehaviorCloning: weight_decay=-0.1 must not be negative"),
        ({"weight_decay": math.inf}, "BehaviorCloning: weight_decay=inf must not be negative"),
        ({"smoothing": 1.5}, r"smoothing=1\.5 must lie in \[0, 1\)"),
    ],
)
def test_an_agent_names_its_option(options, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        BehaviorCloning(tiny_policy(), **{"steps": 4, **options})


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(InvalidInputError, match=r"SequenceMatch: warm_up=.* must lie in \[0, 1\]"):
        SequenceMatch(tiny_policy(), steps=4, warm_up=share)


def test_the_policy_of_an_agent_stays():
    agent = BehaviorCloning(tiny_policy(), steps=4)
    agent.policy = agent.policy  # the same one
    with pytest.raises(InvalidInputError, match="loss and optimizer hold the first policy; make an agent of the other"):
        agent.policy = tiny_policy()


def test_another_optimizer_follows_the_schedule_of_the_first():
    agent = BehaviorCloning(tiny_policy(), steps=8, learning_rate=1e-2)
    agent.optimizer = torch.optim.SGD(agent.policy.parameters(), lr=0.5)
    rates = []
    with seeded(0):
        for _ in range(8):
            rates.append(agent.optimizer.param_groups[0]["lr"])
            agent.update(tiny_demonstrations())
    assert max(rates) == pytest.approx(0.5, rel=0.1)
    assert rates[-1] < 0.2 * max(rates)
    assert agent.updates == 8


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"every": 0}, "Sampling: every=0 must be at least 1"),
        ({"rows": 0}, "Sampling: rows=0 must be at least 1"),
        ({"capacity": -1}, "Sampling: capacity=-1 must be at least 1"),
        ({"max_actions": 0}, "Sampling: max_actions=0 must be at least 1, or None"),
        ({"temperature": -1.0}, r"temperature=-1\.0"),
        ({"every": 1.5}, r"Sampling: every=1\.5 is not a whole number"),
    ],
)
def test_sampling_names_its_field(options, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        Sampling(**options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"demonstrations": [[1, 2]]}, r"demonstrations=\[\[1, 2\]\] is not a"),
        ({"corrupt": "uniform"}, "corrupt='uniform' is not a"),
        ({"sampling": 4}, "sampling=4 is not a"),
        ({"batch_size": 0}, "cannot train on 8 demonstrations in batches of 0"),
        ({"average": 1.0}, r"average=1\.0"),
        ({"microbatch": 0}, "microbatch=0"),
    ],
)
def test_training_names_its_argument(options, complaint):
    given = {"demonstrations": tiny_demonstrations(), **options}
    agent, data = BehaviorCloning(tiny_policy(), steps=4), given.pop("demonstrations")
    before = [p.clone() for p in agent.policy.parameters()]
    with pytest.raises(InvalidInputError, match=complaint):
        Training(agent, data, generator=torch.Generator().manual_seed(0), **given)
    assert all(map(torch.equal, before, agent.policy.parameters()))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"uses_rollouts": "yes"}, "Mine: uses_rollouts='yes' is not a bool"),
        ({"fresh": 1}, "Mine: fresh=1 is not a bool"),
        ({"samples": 0}, "Mine: samples=0 is not a whole number of at least 1"),
        ({"samples": 1.5}, "samples=1.5 is not a whole number"),
        ({"passes": "2"}, "passes='2' is not a whole number"),
        ({"rollout_share": 0}, "rollout_share=0 is not a positive number"),
        ({"rollout_share": math.inf}, "rollout_share=inf is not a positive number"),
    ],
)
def test_what_a_class_says_of_its_agents_is_looked_at(said, complaint):
    agent = type("Mine", (BehaviorCloning,), said)(tiny_policy(), steps=4)
    with pytest.raises(InvalidInputError, match=complaint):
        Training(agent, tiny_demonstrations(), batch_size=2, generator=torch.Generator())


@pytest.mark.parametrize(
    ("off", "complaint"),
    [
        (torch.no_grad, r"gradients are turned off here; train outside torch\.no_grad"),
        (torch.inference_mode, "gradients are turned off here"),
    ],
)
def test_training_without_gradients_is_refused(off, complaint):
    agent = BehaviorCloning(tiny_policy(), steps=4)
    before = [parameter.clone() for parameter in agent.policy.parameters()]
    with seeded(0), off(), pytest.raises(InvalidInputError, match=complaint):
        agent.update(tiny_demonstrations())
    assert all(map(torch.equal, before, agent.policy.parameters()))


def test_a_policy_that_cannot_be_trained_is_refused():
    with pytest.raises(InvalidInputError, match="BehaviorCloning: no parameter of the policy is trainable"):
        BehaviorCloning(tiny_policy().requires_grad_(False), steps=4)
    with torch.inference_mode():
        made = copy.deepcopy(tiny_policy())
    with pytest.raises(InvalidInputError, match=r"made under torch\.inference_mode"):
        BehaviorCloning(made, steps=4)


def test_a_loss_is_told_what_it_reads():
    agent = BehaviorCloning(tiny_policy(), steps=4)
    texts = tiny_demonstrations()
    with pytest.raises(
        InvalidInputError, match=r"give TensorDict\(\{'demonstrations': trajectories.to_tensordict\(\)\}\)"
    ):
        agent.loss(texts)
    with seeded(0):
        said = agent.loss(TensorDict({"demonstrations": texts.to_tensordict()}))
    assert said["loss_behavior_cloning"].requires_grad


V = Vocabulary(5, 4)
FUNCTIONS = {
    "GRPO: reward=3 is not a function of 2 arguments": lambda: GRPO(tiny_policy(), reward=3),
    r"GRPO: reward=<function .* is not a function of 2": lambda: GRPO(tiny_policy(), reward=lambda text: 1.0),
    "GAIL: reward=None is not a function of 1 argument": lambda: GAIL(tiny_policy(), reward=None),
    "OnPolicyDistillation: divergence=3": lambda: OnPolicyDistillation(tiny_policy(), divergence=3),
    "UnlikelihoodTraining: sequence=3": lambda: UnlikelihoodTraining(tiny_policy(), sequence=3),
    "SLiC: calibration=3": lambda: SLiC(tiny_policy(), calibration=3),
    "MutualExclusivity: swap=3": lambda: MutualExclusivity(tiny_policy(), swap=3),
    "uniform: vocabulary='x' is not a Vocabulary": lambda: noise.uniform("x"),
    "policy: expert=3 is not a TokenPolicy": lambda: experts.policy(3),
    "intervention: share=5": lambda: experts.intervention(experts.reference(V), start(V, [[0]], 3), 5),
    "mix: rate=nan": lambda: mix(tiny_policy(), tiny_demonstrations(), float("nan")),
}


@pytest.mark.parametrize("says", FUNCTIONS)
def test_what_is_no_function_is_refused_before_it_is_called(says):
    with pytest.raises(InvalidInputError, match=says):
        FUNCTIONS[says]()


def test_a_weight_may_be_a_number_of_numpy():
    assert GAIL(tiny_policy(), entropy=np.int64(2)).loss.ppo.entropy_coeff == 2.0
