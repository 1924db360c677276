"""Mistakes that strangers make in agents and tasks of their own: the checks say so, in one line."""

import pytest
import torch

from agents.behavior_cloning import BehaviorCloning, BehaviorCloningLoss
from benchmarks.compounding_error.running.asked_metrics import metrics
from envs.tasks import AddInBase, Automaton
from seqil import Agent
from seqil.errors import InvalidInputError
from seqil.runs.experiment import make_task, make_training
from seqil.runs.settings import Settings
from seqil.testing import check_agent, check_task


class Cloner(BehaviorCloning):
    uses_rollouts = True

    def __init__(self, policy):
        super().__init__(policy, steps=6)


class Bare(Agent):
    def __init__(self, policy):
        self.policy = policy


class Worded(Cloner):
    samples = "3"


class Unlabelling(Cloner):
    def label(self, rollouts, demonstrations, generator):
        return None


class Unmeasured(Cloner):
    def update(self, demonstrations, rollouts=None):
        super().update(demonstrations, rollouts)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (Bare, "Bare: its __init__ does not call that of Agent; end it with"),
        (Worded, "Worded: samples='3' is not a whole number of at least 1"),
        (Unlabelling, "label returned None, not Trajectories"),
        (Unmeasured, "update returned None, not a dict of metrics"),
    ],
)
def test_of_an_agent(make, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_agent(make)


class Averaged(BehaviorCloningLoss):
    """Divides by what a part holds."""

    out_keys = ("loss_own",)
    divides_by = "counts"

    def losses(self, demonstrations, rollouts):
        values = self.policy.step_values(demonstrations)
        return {"loss_own": -(values.log_prob * values.imitate).sum() / values.imitate.sum()}


def test_of_a_loss_in_parts():
    with pytest.raises(AssertionError, match=r"loss_own is .* of a batch and .* of its parts; divide by what"):
        check_agent(lambda policy: Agent(policy, Averaged(policy), steps=6))


class Short(Automaton):
    def __init__(self):
        super().__init__(horizon=12)


class Stacked(Short):
    def prompts(self, n, split, seed):
        return torch.tensor(super().prompts(n, split, seed))


class Boxed(Short):
    def prompts(self, n, split, seed):
        return [torch.tensor(prompt) for prompt in super().prompts(n, split, seed)]


class Lazy(Short):
    def prompts(self, n, split, seed):
        return iter(super().prompts(n, split, seed))


class Numpy(Short):
    def next_distribution(self, prefixes):
        return super().next_distribution(prefixes).numpy()


class Fractional(Short):
    def available(self, split):
        return 10.5


class Slipping(Short):
    """A tenth of every row lies on the token after the right one."""

    def next_distribution(self, prefixes):
        law = super().next_distribution(prefixes)
        moved = law[:, : self.vocabulary.eos].roll(1, 1) * 0.1
        return torch.cat([law[:, : self.vocabulary.eos] * 0.9 + moved, law[:, self.vocabulary.eos :]], 1)


class Scribbling(Short):
    def first_error(self, prompt, tokens):
        found = super().first_error(prompt, tokens)
        prompt.append(0)
        return found


class Marking(Short):
    def success(self, prompt, tokens):
        found = super().success(prompt, tokens)
        tokens.clear()
        return found


class Blind(Short):
    def first_error(self, prompt, tokens):
        return None

    def success(self, prompt, tokens):
        return Short.first_error(self, prompt, tokens) is None


class Alone(Short):
    """Knows the law of one prefix at a time."""

    def next_distribution(self, prefixes):
        return super().next_distribution(prefixes) if len(prefixes) == 1 else None


class Harmless(AddInBase):
    """Its mistakes are none."""

    def confusions(self, prefixes):
        return torch.zeros(len(prefixes), self.vocabulary.size)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (Stacked, "prompts of train are tensor.*; give lists of ids"),
        (Boxed, "prompts of train are .*; give lists of ids"),
        (Lazy, "prompts of train are .*; give lists of ids"),
        (Numpy, "next_distribution is a ndarray, not a tensor"),
        (Fractional, r"available says 10\.5 of train; it must be a number of items, or None"),
        (Slipping, "next_distribution gives token .* after a right text, and first_error calls it an error"),
        (Scribbling, "first_error changes the lists that it is given"),
        (Marking, "success changes the lists that it is given"),
        (Blind, "first_error finds none in 20 altered texts, of which .* are no success"),
        (Alone, "next_distribution is None for several prefixes and not for one of them alone"),
        (Harmless, "confusions give no token a weight beside eos and the demonstrated one: no mistakes"),
    ],
)
def test_of_a_task(make, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_task(make())


class Unheld(Short):
    """Has nothing to hold out."""

    def available(self, split):
        return None if split == "train" else 0


def test_what_these_are_made_of_is_sound():
    check_agent(lambda policy: BehaviorCloning(policy, steps=6))
    for make in (Short, AddInBase, Unheld):
        check_task(make())


def test_of_noise(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def none(task, policy): return lambda p: torch.zeros(len(p), task.vocabulary.size)\n"
        "def ends(task, policy): return lambda p: torch.eye(task.vocabulary.size)[[task.vocabulary.eos] * len(p)]\n"
        "def some(task, policy): return lambda p: torch.ones(len(p), task.vocabulary.size)\n"
    )
    for name in ("none", "ends"):
        settings = Settings.of({"task": "automaton", "agent": "bc", "noise": f"{tmp_path}/mine.py:{name}"})
        with pytest.raises(InvalidInputError, match=f"mine.py:{name}' makes no mistake in 64 demonstrations"):
            make_training(settings, make_task(settings))
    make_training(Settings.of({**settings.to_json(), "noise": f"{tmp_path}/mine.py:some"}), make_task(settings))


def test_of_a_metric_that_a_place_asks_for():
    with pytest.raises(InvalidInputError, match=r"a place asks for 'mine.py:odd': .*entry point seqil\.metrics"):
        metrics(("mine.py:odd",))
