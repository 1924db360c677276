"""What is reported of whom: who is judged, and what a teacher adds."""

import numpy as np
import pytest
import torch

from envs.tasks import PyDoc
from seqil import Task, Trajectories, Vocabulary, metrics, rollout
from seqil.metrics.reported import evaluation
from seqil.metrics.samples import judge_of, step_errors
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)
TEXTS = Trajectories.from_actions(V, [[0], [1]], [[1, 2, 5, 3, 4], [2, 2, 5, 5, 1, 4]], max_length=6)
JUDGED = {"hazard", "backspace_precision", "backspace_recall"}


class Unjudged(Task):
    vocabulary, max_length = V, 6

    def prompts(self, n, split, seed):
        raise AssertionError("an evaluation asks for no items")

    demonstrations = prompts


class Judged(Unjudged):
    def first_error(self, prompt, tokens):
        return tokens.index(2) if 2 in tokens else None


class Proxy(Unjudged):
    def first_unknown_word(self, prompt, tokens):
        return None


class Doubtful(Judged):
    judged = False


class Both(Judged, Proxy):
    pass


class Teacher(Unjudged):
    def next_distribution(self, prefixes):
        return torch.tensor([[0.25] * 4 + [0.0]], dtype=torch.float64).expand(len(prefixes), -1)


@pytest.mark.parametrize(
    ("cls", "reported"),
    [(Unjudged, set()), (Judged, JUDGED), (Proxy, {"hazard"}), (Doubtful, set()), (Both, JUDGED)],
)
def test_errors_are_reported_of_tasks_that_judge_them(cls, reported):
    found = evaluation(cls(), tiny_policy(), tiny_demonstrations(backspace=False), TEXTS)
    assert JUDGED & set(found) == reported
    if reported == JUDGED:
        assert found["backspace_precision"].value == 1
        assert (found["backspace_delay"].value, found["backspace_loops"].value) == (0.5, 0)


def test_a_proxy_is_not_an_exact_judge():
    task = PyDoc()
    assert judge_of(task) == task.first_unknown_word
    assert not task.judged


def test_of_texts_of_one_length_the_excess_is_that_of_the_regret():
    policy = tiny_policy()
    own = rollout(policy, [[i % 4] for i in range(40)], max_length=3, min_length=3, max_actions=200)
    data = Trajectories.from_actions(V, [[0]] * 40, [[i % 3, 1, 2, 4] for i in range(40)], min_length=3)
    assert own.ended.all()
    found = evaluation(Teacher(), policy, data, own)
    on, off = (step_errors(Teacher(), policy, sample) for sample in (own, data))
    assert found["regret"].value == pytest.approx(3 * on.mean())
    excess = metrics.excess_accumulated_error(found["regret"].value, off.mean(), 3)
    e = found["excess_accumulated_error"]
    assert e.value == pytest.approx(excess)
    assert e.low < e.value < e.high


def test_the_teacher_reads_the_samples():
    found = evaluation(Teacher(), tiny_policy(), tiny_demonstrations(backspace=False), TEXTS)
    assert found["teacher_nll_per_token"].value == float("inf")  # it never writes eos
    own = Trajectories.from_actions(V, [[0], [1], [1]], [[1, 2, 5], [2], [3, 5]], max_length=6)
    found = evaluation(Teacher(), tiny_policy(), tiny_demonstrations(backspace=False), own)
    assert found["teacher_nll_per_token"].value == pytest.approx(np.log(4))
    assert found["teacher_nll_per_token"].n == 2  # the third text is empty


def test_the_regret_of_a_text_is_its_step_error_times_its_length():
    found = evaluation(Teacher(), tiny_policy(), tiny_demonstrations(backspace=False), TEXTS)
    errors = step_errors(Teacher(), tiny_policy(), TEXTS)
    assert found["regret"].value == pytest.approx((2 * errors[0] + errors[1]) / 2)


def test_the_interval_of_a_share_stays_where_shares_are():
    """One text of ten repeats itself a little: Student's interval of the mean goes below zero."""
    texts = [[0, 1, 2, 3, 0, 1, 2, 3, 4], *[[0, 1, 2, 3, 4]] * 9]
    own = Trajectories.from_actions(V, [[0]] * 10, texts, max_length=8)
    found = evaluation(Teacher(), tiny_policy(), tiny_demonstrations(backspace=False), own)["rep_4"]
    assert found.low == 0 < found.value < found.high < 1
