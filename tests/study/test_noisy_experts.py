"""The study of a noisy expert: its lock, its arms, and the closed form on its page."""

import math

import pytest
import torch

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.running.cells import cells_of
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.noisy_expert import Lock, beside_the_closed_form
from seqil import closed_forms, experts
from seqil.runs.experiment import make_task, make_training
from seqil.testing import check_task

STUDY = PRESETS["noisy-expert"]


def test_a_lock_is_a_task():
    check_task(Lock(horizon=6))


def test_noisy_demonstrations_are_those_of_the_noisy_expert():
    """What stands before each step, on the right path and off it, is followed by what `experts.noisy` says."""
    task = Lock(horizon=6, noise=0.4)
    v, data = task.vocabulary, task.demonstrations(4000, "train", 0)
    law = experts.laws(experts.noisy(v, experts.teacher(task, False), 0.4, False), data, data, False)
    for step in range(6):
        lost = task.has_error(data.before(torch.arange(4000), torch.full((4000,), step)))
        for off in (False, True):
            rows = (lost == off).nonzero()[:, 0]
            if not len(rows):
                continue
            one = law[rows, step, 1]
            assert bool((one == one[0]).all())
            assert float(one[0]) == pytest.approx(0.5 if off else 0.8 if task.bits[step] else 0.2)
            drawn = (data.actions[rows, step] == 1).double().mean()
            assert float(drawn) == pytest.approx(float(one[0]), abs=4 * math.sqrt(0.25 / len(rows)))
    right = [task.success(p, t) for p, t in zip(data.prompts.tolist(), data.replay().texts(), strict=True)]
    assert sum(right) / 4000 == pytest.approx(0.8**6, abs=0.03)


@pytest.mark.parametrize("arm", [arm.name for arm in STUDY.arms])
def test_every_arm_trains_at_the_shortest_horizon(arm):
    cell = next(c for c in cells_of(STUDY) if c.arm.name == arm and c.place.name == "lock-8")
    training = make_training(cell.settings, make_task(cell.settings))
    losses = [metrics["loss"] for _, metrics in training.run(2)]
    assert all(map(math.isfinite, losses))


def test_the_closed_form_stands_on_the_page_without_a_record():
    shown = beside_the_closed_form(Results(STUDY, []), {})
    known = closed_forms.NoisyExpert(0.2)
    for horizon in (8, 64):
        assert f"{known.offline(1000, horizon):.4f}" in shown
    assert f"{known.online(1000, 128):.4f}" in shown
