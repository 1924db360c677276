"""What experts say along trajectories, what they refuse, and where settings find them."""

import pytest
import torch
from hypothesis import given

from envs.tasks import Automaton, Chain, PyDoc
from seqil import Trajectories, Vocabulary, experts
from seqil.errors import InvalidInputError
from seqil.mdp.memory import TRIED
from seqil.testing.agents import tiny_policy
from seqil.testing.strategies import trajectories

V = Vocabulary(5, 4)
TEXT = [1, 2, 4]


def walk(*actions):
    return Trajectories.from_actions(V, [[0]] * len(actions), [list(a) for a in actions], max_length=4)


def whole(rows):
    return walk(*[TEXT] * rows)


def wanted(actions, **options):
    """The certain action of the reference expert before every step, None where it says nothing."""
    laws = experts.laws(experts.reference(V), walk(actions), whole(1), **options)[0]
    assert ((laws == 0) | (laws == 1)).all()
    return [int(law.argmax()) if law.any() else None for law in laws]


def test_along_a_trajectory_a_mistake_is_deleted_and_the_text_gone_on_with():
    B = V.backspace
    assert wanted([1, 3, B, 2, 4]) == [1, 2, B, 2, 4]
    assert wanted([3, 3, B, B, 1]) == [1, B, B, B, 1]
    assert wanted([]) == []


def test_where_the_right_token_was_deleted_there_is_nothing_to_say():
    B = V.backspace
    assert wanted([1, B, 3, B], memory=TRIED) == [1, 2, None, B]
    assert wanted([1, B, 3, B]) == [1, 2, 1, B]  # a memory that forbids nothing


@given(t=trajectories(V))
def test_laws_are_the_experts_at_each_state_and_nothing_in_padding(t):
    policy = tiny_policy()
    laws = experts.laws(experts.policy(policy), t, t)
    assert laws.shape == (*t.actions.shape, V.num_actions)
    assert not laws[~t.inside].any()
    rows, steps = t.inside.nonzero(as_tuple=True)
    if len(rows):
        torch.testing.assert_close(laws[rows, steps].sum(-1), torch.ones(len(rows), dtype=torch.float64))
        expected = policy.eval().log_probs(t.before(rows, steps)).double().exp()
        torch.testing.assert_close(laws[rows, steps], expected)


@pytest.mark.parametrize("backspace", [True, False])
@given(t=trajectories(V))
def test_a_noisy_expert_is_the_mixture_with_all_that_is_legal(t, backspace):
    rows, steps = t.inside.nonzero(as_tuple=True)
    if not len(rows):
        return
    before, policy = t.before(rows, steps), tiny_policy(backspace=backspace).eval()
    clean = experts.policy(policy)
    found = experts.noisy(V, clean, 0.3, backspace)(before, before)
    law, legal = clean(before, before), policy.log_probs(before).isfinite()
    for said, p, may in zip(found, law, legal, strict=True):
        torch.testing.assert_close(said, 0.7 * p + 0.3 * may / int(may.sum()))
    torch.testing.assert_close(found.sum(-1), torch.ones(len(rows), dtype=torch.float64))
    assert torch.equal(experts.noisy(V, clean, 0.0, backspace)(before, before), law)


def test_a_noisy_expert_that_has_nothing_to_say_says_nothing():
    B = V.backspace
    law = experts.laws(experts.noisy(V, experts.reference(V), 0.5), walk([1, B, 3, B]), whole(1), memory=TRIED)[0]
    assert law[0].nonzero()[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert not law[2].any()
    assert law[1].argmax() == 2
    ended = walk(TEXT).replay()
    assert experts.noisy(V, experts.reference(V), 0.5)(ended, ended)[0].nonzero().tolist() == [[V.eos]]


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_of_noise_is_a_share(rate):
    with pytest.raises(InvalidInputError, match=r"rate=.* of a noisy expert must lie in \[0, 1\]"):
        experts.noisy(V, experts.reference(V), rate)


def test_a_demonstration_without_its_end_is_no_reference():
    with pytest.raises(InvalidInputError, match="cut before its eos; the reference expert needs whole ones"):
        experts.laws(experts.reference(V), walk([1]), walk([1, 2]))


def test_an_expert_that_deletes_is_refused_for_a_learner_that_cannot():
    with pytest.raises(InvalidInputError, match="the expert deletes, which the policy cannot"):
        experts.laws(experts.reference(V), walk([3, 2]), whole(1), backspace=False)


def test_a_task_without_a_teacher_has_no_expert():
    with pytest.raises(InvalidInputError, match="the task 'pydoc' has no exact teacher; use the reference as expert"):
        experts.teacher(PyDoc())


def test_names_stand_for_what_the_learner_can_do():
    task = Chain(delay=2)
    (prompt,), right = task.prompts(1, "train", 0), task.demonstrations(1, "train", 0)
    first = right.actions[0, 0].item()
    wrong = Trajectories.from_actions(task.vocabulary, [prompt], [[(first + 1) % 10]], max_length=task.max_length)

    class Learner:
        vocabulary, backspace = task.vocabulary, True

    for name in ("reference", "teacher"):
        law = experts.EXPERTS[name](task, Learner())(wrong.replay(), right.replay())
        assert law.shape == (1, task.vocabulary.num_actions)
    assert law.sum() == pytest.approx(1)
    said = experts.EXPERTS["reference"](task, Learner())(wrong.replay(), right.replay())
    assert said.argmax(1).tolist() == [task.vocabulary.backspace]
    Learner.backspace = False
    said = experts.EXPERTS["reference"](task, Learner())(wrong.replay(), right.replay())
    assert said.argmax(1).tolist() == [right.actions[0, 1].item()]


def test_the_teacher_ends_a_text_of_full_length():
    task = Automaton(horizon=4)
    full = task.demonstrations(3, "train", 0)
    states = full.before(torch.arange(3), torch.full((3,), 4))
    assert experts.teacher(task)(states, states).argmax(1).tolist() == [task.vocabulary.eos] * 3
