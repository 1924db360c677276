"""What every task is asked for beyond its items: budgets, and how many items there are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.tasks import Automaton, Chain, Sudoku4
from envs.text_generation import TextGenerationEnv
from seqil import Task, Trajectories, Vocabulary
from seqil.errors import InvalidInputError


class Twelve(Task):
    """Has twelve items in every split, of texts of at most five tokens."""

    name, vocabulary, max_length = "twelve", Vocabulary(4, 3), 5

    def prompts(self, n, split, seed):
        return [[0]] * min(n, 12)

    def demonstrations(self, n, split, seed):
        return Trajectories.from_actions(self.vocabulary, self.prompts(n, split, seed), [[1, 3]] * min(n, 12))

    def available(self, split):
        return 12


class Patient(Twelve):
    max_actions = 50


def test_a_budget_is_what_was_asked_for_else_the_tasks_else_four_per_token():
    assert [task.budget() for task in (Twelve(), Patient(), Chain(), Automaton(), Sudoku4())] == [20, 50, 200, 256, 200]
    assert [task.budget(7) for task in (Twelve(), Patient(), Chain())] == [7, 7, 7]
    with pytest.raises(InvalidInputError, match="max_actions=0: allow at least one action"):
        Patient().budget(0)


@given(st.integers(1, 40))
def test_longer_texts_have_at_least_four_actions_per_token(length):
    assert Twelve().budget(max_length=length) == 4 * length
    assert Patient().budget(max_length=length) == (50 if length <= 5 else max(50, 4 * length))


def test_an_environment_asks_the_task():
    env = TextGenerationEnv(Patient.vocabulary, max_length=5, task=Patient())
    env.reset(seed=0)
    ends = [env.step(0 if i % 2 == 0 else Patient.vocabulary.backspace)[2:4] for i in range(50)]
    assert ends == [(False, False)] * 49 + [(False, True)]


def test_no_more_items_than_there_are():
    assert [Twelve().at_most(n, "test") for n in (5, 12, 13)] == [5, 12, 12]
    assert Chain().at_most(10**6, "test") == 10**6


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda task: task.at_most(-5, "test"), "n=-5 must be at least 0"),
        (lambda task: task.at_most(5, "nope"), "unknown split 'nope'"),
        (lambda task: task.available("nope"), "unknown split 'nope'"),
        (lambda task: task.prompts(3, "nope", 0), "unknown split 'nope'"),
        (lambda task: task.budget(float("nan"), 3), "asked=nan is not an int"),
        (lambda task: task.budget(3, 0), "max_length=0"),
        (lambda task: task.decode([99]), "has no token 99; they go from 0 to"),
        (lambda task: task.decode([None]), r"tokens=\[None\] are no ids"),
    ],
)
@pytest.mark.parametrize("task", [Twelve(), Automaton(), Sudoku4()], ids=lambda task: task.name)
def test_what_no_task_can_answer_is_refused(task, call, says):
    with pytest.raises(InvalidInputError, match=says):
        call(task)


@pytest.mark.parametrize("method", ["prompts", "demonstrations"])
def test_more_items_than_fit_into_the_memory_are_refused(method):
    with pytest.raises(InvalidInputError, match=r"items of task 'automaton' would take .* ask for fewer"):
        getattr(Automaton(), method)(10**9, "train", 0)
    assert len(getattr(Twelve(), method)(10**9, "train", 0)) == 12


def test_an_environment_takes_tasks_alone():
    class Duck:
        vocabulary = Patient.vocabulary

    with pytest.raises(InvalidInputError, match="is not a task: subclass"):
        TextGenerationEnv(Patient.vocabulary, max_length=5, task=Duck())


def test_what_a_task_does_not_define_is_none():
    task = Twelve()
    state = task.demonstrations(3, "train", 0).replay()
    assert task.first_unknown_word([0], [1]) is task.attribute(state) is task.next_distribution(state) is None
    assert task.success([0], [1, 3]) is task.confusions(state) is None
    assert task.has_error(state).tolist() == [False] * 3


def test_an_error_of_the_tasks_own_stays_what_it_is():
    class Broken(Twelve):
        def success(self, prompt, tokens):
            return {}[len(tokens)]

    with pytest.raises(KeyError):
        Broken().success([0], [1])
    with pytest.raises(InvalidInputError, match="tokens=None are no ids"):
        Broken().success([0], None)


def test_a_task_may_take_more_than_it_is_given():
    class Strict(Twelve):
        def success(self, prompt, text, strict=False):
            return strict

        def confusions(self, states, temperature=1.0):
            return temperature

    assert Strict().success([0], [1], strict=True)
    assert Strict().success(prompt=[0], text=[1]) is False
    assert Strict().confusions(states=None, temperature=2.0) == 2.0
