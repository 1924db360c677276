"""Training: resumed runs, averages, the buffer, and what is refused."""

import copy
import math
import random

import numpy as np
import pytest
import torch

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.sequence_match import SequenceMatch
from envs.tasks import HMM
from seqil import Trajectories, Vocabulary, mistype, noise, rollout, train
from seqil.errors import CheckpointError, InvalidInputError, NonFiniteError
from seqil.learning.training import Sampling, Training
from seqil.mdp.prefix import start
from seqil.policy import evaluating
from seqil.rollouts import rollout_reference
from seqil.runs.experiment import make_training
from seqil.runs.settings import Chosen, ModelSettings, Settings
from seqil.testing.agents import tiny_demonstrations, tiny_policy


def training(seed=0, rows=9, memory="prefix", **options):
    agent = SequenceMatch(tiny_policy(memory=memory), steps=12, warm_up=0.2, anneal=0.3)
    v = agent.policy.vocabulary
    source = noise.uniform(v)
    return Training(
        agent,
        tiny_demonstrations(rows, backspace=False),
        generator=torch.Generator().manual_seed(seed),
        corrupt=lambda t, g: mistype(v, t, 0.2, source, g),
        **{"batch_size": 4, "sampling": Sampling(every=2, rows=3, capacity=7), **options},
    )


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


@pytest.mark.parametrize("at", [1, 5, 11])
def test_a_resumed_run_equals_an_undisturbed_one_bit_by_bit(at):
    one, other = training(average=0.9), training(seed=99, average=0.9)
    curve = []
    for step, metrics in one.run():
        if step == at:
            state = copy.deepcopy(one.state_dict())
        if step > at:
            curve.append(metrics)
    other.load_state_dict(state)
    assert [metrics for _, metrics in other.run()] == curve
    assert torch.equal(weights(one.policy), weights(other.policy))
    assert torch.equal(weights(one.agent.policy), weights(other.agent.policy))


FOREIGN = {
    "demonstrations": ({"rows": 10}, {}),
    "batch_size": ({"batch_size": 5}, {}),
    "sampling.capacity": ({"sampling": Sampling(every=2, rows=3, capacity=6)}, {}),
    "memory": ({"memory": "tried"}, {}),
    "average": ({"average": 0.9}, {}),
    "holds no average": ({"average": 0.9}, {"made": {}}),
    "does not fit": ({}, {"agent": {}}),
    "step=nan": ({}, {"step": math.nan}),
    "buffer_cursor": ({}, {"buffer_cursor": 3}),
    "buffer=": ({}, {"buffer": None}),
    "order": ({}, {"order": torch.arange(8)}),
    "training_positions": ({}, {"training_positions": -1.0}),
    "generator": ({}, {"generator": torch.zeros(3)}),
    "updates": ({}, {"agent": {"updates": "x"}}),
}


@pytest.mark.parametrize("culprit", FOREIGN)
def test_the_state_of_another_run_is_refused_and_changes_nothing(culprit):
    options, changes = FOREIGN[culprit]
    one, other = training(), training(seed=1, **options)
    list(one.run(6))
    state, before = {**one.state_dict(), **changes}, other.state_dict()
    with pytest.raises(CheckpointError, match=culprit):
        other.load_state_dict(state)
    assert torch.equal(weights(other.agent.loss), weights(training(**options).agent.loss))
    assert torch.equal(other.generator.get_state(), before["generator"])


@pytest.mark.parametrize("key", ["agent", "order", "buffer_generator"])
def test_a_state_that_lacks_something_is_refused(key):
    run = training()
    with pytest.raises(CheckpointError, match=f"the state has no {key}"):
        run.load_state_dict({name: value for name, value in run.state_dict().items() if name != key})


def test_a_state_from_before_states_said_what_they_are_of_is_taken():
    one, other = training(), training(seed=1)
    list(one.run(6))
    other.load_state_dict({name: value for name, value in one.state_dict().items() if name != "made"})
    assert [metrics for _, metrics in other.run()] == [metrics for _, metrics in one.run()]


@pytest.mark.parametrize("steps", [2.5, math.nan, -1, True, "x"])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    with pytest.raises(InvalidInputError, match="steps="):
        training().run(steps)


def test_equal_seeds_equal_weights_and_others_differ():
    runs = [training(seed) for seed in (3, 3, 4)]
    for run in runs:
        list(run.run())
    assert torch.equal(weights(runs[0].policy), weights(runs[1].policy))
    assert not torch.equal(weights(runs[0].policy), weights(runs[2].policy))


def test_no_global_random_state_is_touched():
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    list(training().run())
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_average_follows_its_formula():
    run = training(average=0.5)
    expected = None
    for _ in run.run(4):
        now = weights(run.agent.policy)
        expected = now.clone() if expected is None else 0.5 * expected + 0.5 * now
    assert torch.allclose(weights(run.policy), expected, atol=1e-6)
    assert not torch.equal(weights(run.policy), weights(run.agent.policy))


def test_every_demonstration_is_seen_once_per_epoch():
    seen = []

    class Spy(BehaviorCloning):
        def update(self, demonstrations, rollouts=None):
            seen.extend(demonstrations.prompts[:, 0].tolist())
            return super().update(demonstrations)

    data = Trajectories.from_actions(Vocabulary(5, 4), [[0], [1], [2], [3]], [[4]] * 4)
    list(Training(Spy(tiny_policy()), data, generator=torch.Generator().manual_seed(0), batch_size=2).run(4))
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


def test_costs_count_positions():
    run = training()
    cloning = [metrics for _, metrics in run.run(2)]
    assert cloning[-1]["rollout_positions"] == 0
    *_, (_, metrics) = run.run()
    assert metrics["cost"] == 3 * metrics["training_positions"] + metrics["rollout_positions"]
    assert metrics["rollout_positions"] > 0


def test_positions_are_prompt_tokens_and_pushes():
    t = Trajectories.from_actions(Vocabulary(3, 2), [[0, 1], [0]], [[0, 3, 1, 2], [2]])
    assert t.positions == 3 + 3 + 1


def test_rollouts_come_from_the_policy_and_its_prompts():
    got = []

    class Spy(SequenceMatch):
        def update(self, demonstrations, rollouts=None):
            got.append(rollouts)
            return super().update(demonstrations, rollouts)

    agent = Spy(tiny_policy(), steps=6, warm_up=0.5, anneal=0.1)
    data = tiny_demonstrations(8)
    list(Training(agent, data, generator=torch.Generator().manual_seed(0), sampling=Sampling(1, 4)).run())
    assert [r is None for r in got] == [True, True, True, True, False, False]
    assert set(got[-1].prompts[:, 0].tolist()) <= set(data.prompts[:, 0].tolist())


def test_train_is_a_generator_that_the_caller_stops():
    agent = BehaviorCloning(tiny_policy(), steps=100)
    for step, _ in train(agent, tiny_demonstrations(), generator=torch.Generator().manual_seed(0), batch_size=4):
        if step == 3:
            break
    assert agent.updates == 3


def test_a_diverged_model_is_refused_and_left_as_it_is():
    agent = BehaviorCloning(tiny_policy().eval(), steps=4)
    with torch.no_grad():
        agent.policy.model.transformer.wte.weight[0, 0] = torch.nan
    before = weights(agent.policy)
    with pytest.raises(NonFiniteError):
        agent.update(tiny_demonstrations())
    assert torch.equal(before.nan_to_num(7), weights(agent.policy).nan_to_num(7))


OTHER = Trajectories.from_actions(Vocabulary(4, 3), [[0], [1]], [[1, 4, 2, 3], [2, 3]])  # where 4 is the backspace


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sampling(every=0), "every=0"),
        (lambda: training(average=1.0), "average=1.0"),
        (lambda: BehaviorCloning(tiny_policy(), steps=0), "steps=0"),
        (lambda: BehaviorCloning(tiny_policy().eval(), gamma=0.0).update(tiny_demonstrations()), "gamma=0.0"),
        (lambda: Training(BehaviorCloning(tiny_policy()), tiny_demonstrations(), batch_size=0,
                          generator=torch.Generator()), "batches of 0"),
        (lambda: Training(BehaviorCloning(tiny_policy()), OTHER, generator=torch.Generator()), "not over Vocabulary"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_an_agent_that_compares_laws_refuses_another_temperature():
    policy = tiny_policy()
    with pytest.raises(InvalidInputError, match=r"GAIL .* sampling temperature at 1, not 0\.5"):
        Training(
            GAIL(policy, steps=2),
            tiny_demonstrations(),
            generator=torch.Generator(),
            sampling=Sampling(temperature=0.5),
        )


def test_a_student_without_layers_sees_the_last_token_and_its_position_alone():
    task = HMM(horizon=8)
    model = ModelSettings(layers=0, width=16)
    run = make_training(Settings(task=Chosen("hmm"), agent=Chosen("bc"), model=model, demonstrations=32, steps=3), task)
    assert [step for step, _ in run.run()] == [1, 2, 3]
    prompts = task.prompts(6, "test", 0)
    states = [start(task.vocabulary, [[*prompt, *history, 5] for prompt in prompts], 8) for history in ([1], [2])]
    with evaluating(run.policy), torch.no_grad():
        one, other = (run.policy.log_probs(state) for state in states)
        elsewhere = run.policy.log_probs(start(task.vocabulary, [[*prompt, 5] for prompt in prompts], 8))
    assert torch.equal(one, other)
    assert torch.equal(one[:1].expand_as(one), one)
    assert not torch.allclose(one, elsewhere, atol=1e-6)
    options = {"max_length": 8, "min_length": 8}
    sampled, slow = (
        sample(run.policy, prompts, generator=torch.Generator().manual_seed(0), **options)
        for sample in (rollout, rollout_reference)
    )
    assert torch.equal(sampled.actions, slow.actions)


@pytest.mark.parametrize(("share", "rows"), [(None, 1), (0.5, 4), (1.0, 8), (0.01, 1)])
def test_an_update_sees_the_agents_share_of_rollouts(share, rows, monkeypatch):
    options = {} if share is None else {"rollout_share": share}
    agent = SequenceMatch(tiny_policy(), steps=3, warm_up=0, anneal=0, **options)
    seen, update = [], agent.update
    monkeypatch.setattr(agent, "update", lambda data, own=None: seen.append((len(data), len(own))) or update(data, own))
    list(train(agent, tiny_demonstrations(9), generator=torch.Generator().manual_seed(0), batch_size=8))
    assert seen == [(8, rows)] * 3
