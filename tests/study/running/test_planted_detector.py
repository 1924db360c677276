"""A planted detector deletes where the text holds an error and nowhere else, at the rate that it is given."""

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.compounding_error.running.detector import PlantedDetector
from benchmarks.compounding_error.running.measurement import measured
from benchmarks.compounding_error.study import Decoding, Place
from envs.tasks import Automaton
from seqil import metrics, rollout
from seqil.errors import InvalidInputError
from seqil.mdp.prefix import start
from seqil.runs.experiment import make_training
from seqil.runs.settings import Chosen, ModelSettings, Settings

CHANCE = 0.6
MODEL = ModelSettings(layers=1, width=16)
SETTINGS = Settings(task=Chosen("automaton", {"horizon": 24}), agent=Chosen("bc"), model=MODEL, demonstrations=64)


@pytest.fixture(scope="module")
def task():
    return Automaton(horizon=24)


@pytest.fixture(scope="module")
def policy(task):
    return make_training(SETTINGS, task).policy


def test_the_law_is_the_models_own_but_for_the_deletion(task, policy):
    prompt = task.prompts(1, "test", 0)[0]
    right = task.next_distribution(start(task.vocabulary, [prompt], 24))[0].argmax()
    wrong = next(
        t for t in range(task.vocabulary.size) if task.first_error(prompt, [t]) == 0 and t != task.vocabulary.eos
    )
    states = start(task.vocabulary, [[*prompt, int(right)], [*prompt, wrong]], 24)
    states = replace(states, prompt_length=states.prompt_length - 1)
    assert task.has_error(states).tolist() == [False, True]
    logits = torch.randn(2, task.vocabulary.num_actions, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    law = PlantedDetector(task, CHANCE).begin(policy)(states, torch.arange(2), logits).softmax(1)
    assert torch.equal(logits, before)
    torch.testing.assert_close(law[:, task.vocabulary.backspace], torch.tensor([0.0, CHANCE]))
    own = logits[:, : task.vocabulary.size].softmax(1)
    torch.testing.assert_close(law[:, : task.vocabulary.size], own * torch.tensor([[1.0], [1 - CHANCE]]))


def test_every_error_is_deleted_at_the_given_rate_at_every_depth(task, policy):
    written = rollout(
        policy,
        task.prompts(200, "test", 0),
        max_length=24,
        min_length=24,
        max_actions=400,
        generator=torch.Generator().manual_seed(0),
        rules=[PlantedDetector(task, CHANCE)],
    )
    found = metrics.backspaces(written, task.first_error)
    assert found.precision.value == 1
    assert all(abs(b.value - CHANCE) < 4 * math.sqrt(CHANCE * (1 - CHANCE) / b.n) for b in found.profile[:6])
    assert min(b.n for b in found.profile[:6]) > 100


def test_a_study_samples_with_it_and_at_a_temperature(task, policy):
    place = Place("automaton", {"task": "automaton"}, budget=1, samples=20, error="")
    plain, planted, greedy, cold = (
        measured(task, policy, how, place, 0)
        for how in (
            Decoding(),
            Decoding("planted", detector=0.9),
            Decoding("greedy", ("top_k=1",)),
            Decoding("cold", temperature=0),
        )
    )
    assert planted["estimates"]["backspace_precision"]["value"] == 1
    assert planted["estimates"]["hazard"]["value"] < plain["estimates"]["hazard"]["value"]
    assert greedy["samples"] == cold["samples"] != plain["samples"]


def test_later_options_leave_older_keys_as_they_were():
    assert set(Decoding("a", ("tabu",), 2).decisive) == {"name", "rules", "best_of"}
    assert Decoding(temperature=0.5).decisive["temperature"] == 0.5
    assert Decoding(detector=0.5).decisive["detector"] == 0.5


def test_what_cannot_detect_is_refused(task, policy):
    for chance in (0.0, 1.0, 1.5):
        with pytest.raises(InvalidInputError, match=str(chance)):
            PlantedDetector(task, chance)
    mute = make_training(replace(SETTINGS, model=replace(MODEL, backspace=False)), task).policy
    with pytest.raises(InvalidInputError, match="with a backspace"):
        PlantedDetector(task, CHANCE).begin(mute)
