"""A model whose actions are positions has room for the budget of its task."""

import pytest

from seqil.runs.experiment import make_task, make_training
from seqil.runs.settings import Settings


@pytest.mark.parametrize("memory", ["prefix", "history"])
def test_a_new_model_has_positions_for_what_will_be_sampled_of_it(memory):
    small = {"layers": 1, "width": 16, "heads": 2, "demonstrations": 20, "steps": 2}
    settings = Settings.of({**small, "task": "chain", "agent": "bc", "memory": memory})
    task = make_task(settings)
    room = make_training(settings, task).agent.policy.max_positions
    prompt = max(map(len, task.prompts(20, "train", 0)))
    assert room >= prompt + (task.budget() if memory == "history" else task.max_length + 1)
