"""What training converges to, on a task whose law is known: minutes, so they are marked slow."""

import pytest
import torch

from seqil import rollout
from seqil.metrics.reported import evaluation
from seqil.runs.experiment import make_task, make_training
from seqil.runs.settings import Settings

HORIZON = 16


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [{"agent": "bc", "backspace": False}, {"agent": "sequence_match", "agent_options": {"gamma": 0.9}}],
    ids=["maximum likelihood", "SequenceMatch"],
)
def test_training_reaches_the_law_of_the_data(chosen):
    """On the automaton: the teacher's law at the data's prefixes and at the policy's own, where errors compound."""
    chosen = {**chosen, "steps": 1200, "batch_size": 64, "learning_rate": 5e-3}
    settings = Settings.of({"task_options": {"horizon": HORIZON}, **chosen})
    task = make_task(settings)
    training = make_training(settings, task)
    before = measured(task, training.policy)
    for _ in training.run():
        pass
    after = measured(task, training.policy)
    for name in ("off_policy_step_error", "on_policy_step_error"):
        assert after[name].high < 0.1 < before[name].low
    assert after["hazard"].high < 0.02 < before["hazard"].low


def measured(task, policy):
    own = rollout(
        policy,
        task.prompts(400, "test", 0),
        max_length=HORIZON,
        min_length=HORIZON,
        generator=torch.Generator().manual_seed(0),
    )
    return evaluation(task, policy, task.demonstrations(400, "test", 0), own)
