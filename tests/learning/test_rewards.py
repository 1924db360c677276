"""Rewards of whole texts: against sums written out, what they refuse, and where settings find them."""

import functools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_policy

from envs.tasks import Automaton, Chain, PyDoc
from seqil import Settings, Trajectories, Vocabulary, rewards
from seqil.errors import InvalidInputError
from seqil.runs.experiment import make_task, make_training

V = Vocabulary(5, 4)
TEXTS = st.lists(st.integers(0, 3), max_size=5)


def states(*texts, prompt=(0,)):
    return Trajectories.from_actions(V, [list(prompt)] * len(texts), [list(t) for t in texts], max_length=6).replay()


def of_task(task, prompt, *texts):
    limits = {"max_length": task.max_length, "min_length": task.min_length}
    return Trajectories.from_actions(task.vocabulary, [prompt] * len(texts), list(texts), **limits).replay()


@functools.cache
def distance(a, b):
    """Levenshtein's recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


@given(pairs=st.lists(st.tuples(TEXTS, TEXTS, st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_the_edit_reward_is_levenshteins_recursion(pairs):
    one = [[*a, 4] if end else a for a, _, end, _ in pairs]
    other = [[*b, 4] if end else b for _, b, _, end in pairs]
    found = rewards.edit(states(*one), states(*other))
    for a, b, value in zip(one, other, found.tolist(), strict=True):
        assert value == pytest.approx(1 - distance(tuple(a), tuple(b)) / max(len(a), len(b), 1))


def test_common_blocks_of_some_texts():
    found = rewards.common_blocks(states([1, 2, 3, 4], [1, 2, 4], [1, 4]), states([1, 2, 3, 4], [1, 4], [2]))
    assert found.tolist() == pytest.approx([1.0, 4 / 5, 0.0])


def test_success_and_the_first_error_are_those_of_the_task():
    task = Chain(delay=2)
    prompt = task.prompts(1, "test", 0)[0]
    right = task.demonstrations(1, "test", 0).actions[0].tolist()
    wrong = [right[0], (right[1] + 1) % 10, *right[2:]]
    written = of_task(task, prompt, right, wrong, right[:2], [])
    assert rewards.success(task)(written, written).tolist() == [1, 0, 0, 0]
    at = task.first_error(prompt, wrong)
    most = task.max_length + 1
    assert at is not None
    assert rewards.first_error(task)(written, written).tolist() == pytest.approx([1, at / most, 2 / most, 0])


def test_the_teachers_likelihood_is_the_mean_of_its_logarithms():
    task = Automaton(horizon=6)
    data = task.demonstrations(4, "train", 0)
    found = rewards.teacher_likelihood(task)(data.replay(), data.replay())
    for row in range(4):
        text, sum_of_logs = data.actions[row].tolist(), 0.0
        for step in range(len(text)):
            law = task.next_distribution(data.before(torch.tensor([row]), torch.tensor([step])))[0]
            sum_of_logs += math.log(law[text[step]])
        assert float(found[row]) == pytest.approx(sum_of_logs / len(text))


def test_a_forbidden_token_counts_for_little_and_a_missing_end_for_one():
    task, least = Automaton(horizon=3), math.log(rewards.LEAST)
    data = task.demonstrations(1, "train", 0)
    prompt, text = data.prompts[0].tolist(), data.actions[0].tolist()
    law = task.next_distribution(data.before(torch.tensor([0]), torch.tensor([2])))[0]
    forbidden = int((law[:-1] == 0).nonzero()[0, 0])
    written = of_task(task, prompt, text, [*text[:2], forbidden, text[3]], text[:2], [])
    whole, wrong, cut, empty = rewards.teacher_likelihood(task)(written, written).tolist()
    assert wrong == pytest.approx(whole + (least - math.log(law[text[2]])) / 4)
    assert empty == pytest.approx(least)
    first = [task.next_distribution(data.before(torch.tensor([0]), torch.tensor([k])))[0][text[k]] for k in (0, 1)]
    assert cut == pytest.approx((sum(map(math.log, first)) + least) / 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [(rewards.success, "does not say which texts are right; choose another"),
     (rewards.first_error, "has no judge of errors; choose another"),
     (rewards.teacher_likelihood, "has no exact teacher; choose another")],
)  # fmt: skip
def test_a_task_without_a_judge_is_refused_by_name(make, message):
    with pytest.raises(InvalidInputError, match=f"the task 'pydoc' {message}"):
        make(PyDoc())


@pytest.mark.parametrize(
    ("reward", "message"),
    [(lambda references, texts: 3.0, r"the reward <lambda> returned 3.0; return a tensor of 2 numbers"),
     (lambda references, texts: torch.zeros(2, 1), r"returned a tensor of shape \[2, 1\]"),
     (lambda references, texts: torch.tensor([0.0, math.nan]), "is not finite at text 1")],
)  # fmt: skip
def test_a_reward_that_is_no_number_per_text_is_refused_by_name(reward, message):
    two = states([1, 4], [2, 4])
    with pytest.raises(InvalidInputError, match=message):
        rewards.paid(reward, two, two)


def settings(**options):
    small = {"layers": 0, "width": 4, "heads": 1, "demonstrations": 8, "batch_size": 4, "steps": 2}
    own = {"task": "chain", "agent": "slic", "agent_options": {"warm_up": 0.0, **options}}
    return Settings.of({**small, **own})


def test_latent_likeness_against_loops_over_spans():
    """Texts of one prompt, an empty one and one that was cut among them, under a policy of two layers."""
    policy = tiny_policy("gpt2")
    v = policy.vocabulary
    one, other = [[1, 2, 3, 1, v.eos], [2], [3, 3, 1], []], [[1, 2, 3, 2, v.eos], [2, 1], [], []]
    prompt = [0, 1]

    def prefixes(texts):
        return Trajectories.from_actions(v, [prompt] * len(texts), texts, max_length=6).replay()

    def means(text, span):
        cells = torch.tensor([[*prompt, *text]])
        states = policy.model.transformer(cells).last_hidden_state[0, len(prompt) :].double().tolist()
        windows = [states[i : i + span] for i in range(len(states) - span + 1)]
        return [[sum(column) / span for column in zip(*window, strict=True)] for window in windows]

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    def likeness(a, b):
        found = []
        for span in (1, 3):
            first, second = means(a, span), means(b, span)
            if first and second:
                recall = sum(max(0, *(cosine(x, y) for y in second)) for x in first) / len(first)
                precision = sum(max(0, *(cosine(x, y) for y in first)) for x in second) / len(second)
                found.append(2 * precision * recall / (precision + recall))
        return sum(found) / len(found)

    with torch.no_grad():
        expected = [*(likeness(a, b) for a, b in zip(one[:2], other[:2], strict=True)), 0, 1]
    assert len(set(expected[:2]) - {1.0}) == 2
    found = rewards.latent(policy, (1, 3))(prefixes(one), prefixes(other))
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    assert rewards.latent(policy)(prefixes(one), prefixes(one)).tolist() == pytest.approx([1] * 4)


@pytest.mark.parametrize("name", rewards.REWARDS)
def test_settings_name_a_reward(name):
    chosen = settings(similarity=name, calibration="listwise")
    for _, metrics in make_training(chosen, make_task(chosen)).run():
        assert math.isfinite(metrics["loss_calibration"])


def test_a_reward_of_ones_own_stands_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "def mine(task, learner):\n    return lambda references, texts: texts.generated.double()\n"
    (tmp_path / "own.py").write_text(text)
    chosen = settings(similarity="own.py:mine")
    agent = make_training(chosen, make_task(chosen)).agent
    two = states([1, 4], [1, 2, 4])
    assert agent.loss.similarity(two, two).tolist() == [2, 3]


def test_an_unknown_reward_is_asked_about():
    with pytest.raises(InvalidInputError, match=r"unknown reward 'sucess'; known: .*did you mean 'success'"):
        make_training(settings(similarity="sucess"), make_task(settings()))
