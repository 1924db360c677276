"""Held-out items while a run goes on."""

import pytest
import torch

from envs.tasks import Automaton
from seqil import TokenPolicy
from seqil.cli.validation import MEASURE, Validation, validated
from seqil.errors import InvalidInputError
from seqil.metrics.positions import negative_log_likelihood
from seqil.revision import MaskedPolicy
from seqil.runs.checkpoint import RunFolder
from seqil.runs.experiment import make_policy
from seqil.runs.settings import ModelSettings, Settings
from seqil.testing.agents import tiny_whole_text


@pytest.fixture
def task():
    return Automaton(horizon=4)


@pytest.fixture
def policy(task):
    return make_policy(Settings(model=ModelSettings(layers=1, width=8, heads=1)), task.vocabulary, 8)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


def test_every_so_many_steps_and_the_last_are_measured(run, task):
    validation = Validation(run, task, every=4)
    assert [step for step in range(1, 11) if validation.due(step, total=10)] == [4, 8, 10]


def test_the_best_is_kept_and_no_worse_one(run, task, policy):
    shown = []
    validation = Validation(run, task, every=1, show=lambda step, policy: shown.append(step))
    first = validation.measured(1, policy)[MEASURE]
    assert first == pytest.approx(float(negative_log_likelihood(policy, task.demonstrations(256, "valid", 0)).mean()))
    kept = policy.weight.detach().clone()
    with torch.no_grad():
        policy.weight.mul_(9)
    assert validation.measured(2, policy)[MEASURE] > first
    assert run.best() == {"step": 1, MEASURE: first}
    assert shown == [1, 2]
    assert torch.equal(TokenPolicy.from_pretrained(run.path / "best", task.vocabulary).weight, kept)
    with torch.no_grad():
        policy.weight.copy_(kept / 2)
    again = validation.measured(3, policy)[MEASURE]
    assert run.best() == ({"step": 3, MEASURE: again} if again < first else {"step": 1, MEASURE: first})


def test_patience_counts_measurements_since_the_best(run, task, policy):
    patient = Validation(run, task, every=5, patience=2)
    assert not patient.over(100)  # there is no best yet
    patient.measured(5, policy)
    assert [step for step in (5, 10, 14, 15, 20) if patient.over(step)] == [15, 20]
    assert not any(Validation(run, task, every=5).over(step) for step in (5, 10**6))


def test_a_split_without_items_is_refused(run, task, monkeypatch):
    monkeypatch.setattr(Automaton, "at_most", lambda self, n, split: 0)
    with pytest.raises(InvalidInputError, match="the valid split of automaton is empty: --evaluate-every needs more"):
        Validation(run, task, every=1)


def test_it_is_made_where_it_is_asked_for_and_where_the_run_is_ours(run, task, policy):
    assert validated(run, task, policy, None, None) is None
    assert isinstance(validated(run, task, policy, 3, 1), Validation)
    with pytest.raises(InvalidInputError, match=r"--evaluate-every measures .* which a MaskedPolicy does not have"):
        validated(run, task, tiny_whole_text(MaskedPolicy), 3, None)
    run.ours = False
    assert validated(run, task, policy, 3, 1) is None
