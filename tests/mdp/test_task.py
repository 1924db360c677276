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
