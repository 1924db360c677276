"""What functions of one's own return, where it is not what they should: losses, metrics and rewards are named."""

import math

import pytest
import torch
from command_line import ENVIRONMENT, SMALL, command, typed

from envs import TextGenerationEnv, TextGenerationVectorEnv, TorchTextGenerationEnv
from envs.tasks import Automaton
from seqil import Metric, train
from seqil.errors import InvalidInputError
from seqil.learning.agent import Agent
from seqil.learning.loss import TrajectoryLoss, cloned
from seqil.mdp.rendering import spans
from seqil.metrics.reported import evaluation
from seqil.randomness import seeded
from seqil.rollouts.rollouts import rollout
from seqil.testing.agents import tiny_demonstrations, tiny_policy


def trained(returned, keys=("loss_mine",)):
    class Mine(TrajectoryLoss):
        out_keys = list(keys)  # noqa: RUF012

        def losses(self, demonstrations, rollouts):
            return returned(cloned(self.policy, demonstrations))

    policy = tiny_policy()
    agent = Agent(policy, Mine(policy), steps=1, learning_rate=1e-3)
    for _ in train(agent, tiny_demonstrations(), generator=torch.Generator().manual_seed(0), batch_size=2):
        pass


def test_a_loss_that_is_one_trains():
    trained(lambda loss: {"loss_mine": loss})


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (lambda loss: None, "Mine.losses returned None; return a dict with a scalar tensor for each of out_keys"),
        (lambda loss: loss, r"Mine.losses returned tensor\(.*; return a dict"),
        (lambda loss: {}, r"Mine.losses returned \[\], its out_keys are \['loss_mine'\]; make them equal"),
        (lambda loss: {"mine": loss}, r"returned \['mine'\], its out_keys are \['loss_mine'\]"),
        (lambda loss: {"loss_mine": loss, "loss_more": loss}, r"returned \['loss_mine', 'loss_more'\], its out_keys"),
        (
            lambda loss: {"loss_mine": loss.expand(3)},
            r"Mine.losses: loss_mine is a tensor of shape \[3\]; give a scalar",
        ),
        (lambda loss: {"loss_mine": loss.item()}, r"Mine.losses: loss_mine is \d.*; give a scalar tensor"),
        (lambda loss: {"loss_mine": loss.detach()}, "does not depend on the parameters; leave out detach and item"),
    ],
)
def test_a_loss_that_is_none_is_named(returned, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        trained(returned)


def test_outputs_without_a_loss_are_named():
    with pytest.raises(InvalidInputError, match=r"out_keys \['mine'\] none is minimised; call what is to be loss_"):
        trained(lambda loss: {"mine": loss}, keys=("mine",))


def test_what_is_no_task_and_no_metric_is_named():
    policy, data = tiny_policy(), tiny_demonstrations()
    with pytest.raises(InvalidInputError, match="evaluation: task='automaton' is not a Task"):
        evaluation("automaton", policy, data, data)
    with pytest.raises(InvalidInputError, match="evaluation: 'success' is not a Metric"):
        evaluation(Automaton(horizon=4), policy, data, data, metrics=["success"])


def test_text_that_is_no_string_is_named():
    with pytest.raises(InvalidInputError, match="decode of a task or tokenizer gave None; return a string"):
        spans(tiny_policy().vocabulary, [1, 2], lambda ids: None)


def test_errors_in_a_file_of_ones_own_end_with_its_line(tmp_path):
    """Of a task, of a metric; with all of the way there if that is asked for."""
    (tmp_path / "own.py").write_text(
        "from seqil.metrics.entries import Metric\n\n\ndef inverse(sample):\n    return 1 / 0\n\n\n"
        "MINE = Metric('mine', 'What is mine.', inverse, 'share')\n"
    )
    assert command("train", "--out", "run", *SMALL, "--agent", "bc", cwd=tmp_path).returncode == 0
    asked = ("evaluate", "run", "-n", "4", "--metric", "own.py:MINE")
    ended = command(*asked, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.strip() == (
        "seqil: own.py, line 5, in inverse, failed: ZeroDivisionError: division by zero; SEQIL_TRACEBACK=1 shows the "
        "whole way there"
    )
    whole = typed(*asked, cwd=tmp_path, env={**ENVIRONMENT, "SEQIL_TRACEBACK": "1"})
    assert whole.returncode == 1
    assert "Traceback" in whole.stderr


@pytest.mark.parametrize("value", ["x", 0.5, [1], float("nan")])
def test_a_metric_that_computes_no_estimate_is_named(value):
    own = Metric("mine", "What is mine.", lambda sample: value, "share of texts")
    policy, task = tiny_policy(), Automaton(horizon=4)
    written = rollout(policy, tiny_demonstrations().prompts, max_length=4)
    with pytest.raises(
        InvalidInputError, match=r"metric 'mine' computed .*; return a seqil.statistics.Estimate, or None"
    ):
        evaluation(task, policy, tiny_demonstrations(), written, metrics=[own])


def test_a_direction_of_a_metric_that_is_none_is_named():
    with pytest.raises(InvalidInputError, match="metric 'mine': better='up'; give 'lower', 'higher' or None"):
        Metric("mine", "What is mine.", lambda sample: None, "share of texts", better="up")


@pytest.mark.parametrize("value", [None, "much", [1.0, 2.0], math.nan, torch.ones(2)])
@pytest.mark.parametrize("name", ["reward", "step_reward"])
def test_a_reward_that_is_no_number_is_named(name, value):
    def returned(*_):
        return value

    options = {"vocabulary": {"size": 3, "eos": 2}, "max_length": 2, "prompts": [[0]], name: returned}
    with pytest.raises(InvalidInputError, match=f"^{name} returned .*; return a finite number$"):
        ended(TextGenerationEnv(**options))
    with pytest.raises(InvalidInputError, match=f"^{name} returned .*; return a finite number$"):
        ended(TextGenerationVectorEnv(num_envs=2, **options), torch.tensor([2, 2]).numpy())
    with pytest.raises(InvalidInputError, match=f"^{name} returned .*; return a finite number$"), seeded(0):
        TorchTextGenerationEnv(batch_size=2, backspace=False, **options).rollout(3)


def ended(env, action=2):
    env.reset(seed=0)
    env.step(action)
