"""What experts do and say at states, and the agents that ask them."""

import pytest
import torch

from agents.dagger import DAgger
from agents.on_policy_distillation import OnPolicyDistillation
from seqil import Trajectories, Vocabulary, experts, rollout
from seqil.errors import InvalidInputError
from seqil.learning.training import Sampling, Training
from seqil.testing.agents import tiny_demonstrations, tiny_policy

V = Vocabulary(5, 4)


def states(*texts, prompt=(0,)):
    p = Trajectories.from_actions(V, [list(prompt)] * len(texts), [list(t) for t in texts], max_length=3)
    return p.replay()


def test_the_reference_expert_deletes_what_has_left_the_reference():
    whole = states([1, 2, 4], [1, 2, 4], [1, 2, 4], [1, 2, 4], [1, 2, 4])
    now = states([], [1], [1, 2], [3], [1, 1])
    expected = torch.tensor([1, 2, 4, V.backspace, V.backspace])
    assert torch.equal(experts.reference(V)(now, whole).argmax(1), expected)
    without = experts.reference(V, backspace=False)(now, whole).argmax(1)
    assert torch.equal(without, torch.tensor([1, 2, 4, 2, 4]))


def test_the_teacher_deletes_errors_and_else_says_its_law():
    from envs.tasks import Chain

    task = Chain(delay=2)
    v, prompt = task.vocabulary, task.prompts(1, "test", 0)[0]
    right = task.demonstrations(1, "test", 0).actions[0].tolist()
    wrong = [(right[0] + 1) % 10, right[1]]
    now = Trajectories.from_actions(v, [prompt] * 3, [[], wrong, right[:2]], max_length=task.max_length).replay()
    law = experts.teacher(task)(now, now)
    assert law.argmax(1).tolist() == [right[0], v.backspace, right[2]]
    torch.testing.assert_close(law.sum(1), torch.ones(3, dtype=torch.float64))


def test_the_teacher_ends_what_is_full_where_it_cannot_delete():
    from envs.tasks import AddInBase

    task = AddInBase()
    v, prompt = task.vocabulary, task.prompts(1, "train", 0)[0]
    full = Trajectories.from_actions(v, [prompt], [[0] * task.max_length], max_length=task.max_length).replay()
    assert bool(task.has_error(full))
    for backspace, expected in ((False, v.eos), (True, v.backspace)):
        law = experts.teacher(task, backspace)(full, full)
        assert law[0].nonzero().tolist() == [[expected]]


@pytest.mark.parametrize("make", [DAgger, OnPolicyDistillation])
def test_an_expert_that_deletes_is_refused_by_a_policy_that_cannot(make):
    agent = make(tiny_policy(backspace=False), steps=2, warm_up=0.0, expert=experts.policy(tiny_policy()))
    data = tiny_demonstrations(backspace=False)
    with pytest.raises(InvalidInputError, match="the expert deletes, which the policy cannot"):
        next(Training(agent, data, generator=torch.Generator().manual_seed(0)).run())


def test_a_policy_as_expert_is_without_dropout():
    expert = tiny_policy().train()
    now = tiny_demonstrations().replay()
    law = experts.policy(expert)(now, now)
    torch.testing.assert_close(law, expert.eval().log_probs(now).double().exp())


def test_dagger_labels_are_the_experts_and_interventions_obey_it():
    policy, g = tiny_policy(), torch.Generator().manual_seed(0)
    agent, data = DAgger(policy, steps=8), tiny_demonstrations(backspace=False)
    guided = experts.intervention(agent.expert, data.replay(), share=1.0)
    own = rollout(policy, data.prompts, max_length=6, generator=g, rules=[guided])
    assert own.replay().texts() == data.replay().texts()
    free = rollout(policy, data.prompts, max_length=6, generator=g)
    labelled = agent.label(free, data, g)
    rows, steps = free.inside.nonzero(as_tuple=True)
    wanted = agent.expert(free.before(rows, steps), data.replay().select(rows)).argmax(1)
    assert torch.equal(labelled.labels[rows, steps], wanted)


def test_a_takeover_comes_once_and_finishes_the_text():
    """Before it the policy acts, as it would have alone; behind it the expert mends and ends."""
    policy, data = tiny_policy(), tiny_demonstrations(backspace=False).repeat(4)
    times = torch.arange(len(data)) % 5
    expert = experts.reference(V)
    rule = experts.takeover(expert, data.replay(), times)
    limits = {"max_length": 6, "max_actions": 60}
    free = rollout(policy, data.prompts, generator=torch.Generator().manual_seed(0), **limits)
    own = rollout(policy, data.prompts, generator=torch.Generator().manual_seed(0), rules=[rule], **limits)
    taken = times < free.lengths
    assert 0 < int(taken.sum()) < len(data)
    assert [a for a, t in zip(own.replay().texts(), taken, strict=True) if t] == [
        a for a, t in zip(data.replay().texts(), taken, strict=True) if t
    ]
    assert own.select(~taken).replay().texts() == free.select(~taken).replay().texts()
    said = experts.laws(expert, own, data)
    for row, time in enumerate(times.tolist()):
        time = min(time, int(free.lengths[row]))
        assert own.actions[row, :time].tolist() == free.actions[row, :time].tolist()
        theirs = said[row, time : own.lengths[row]].argmax(-1)
        assert own.actions[row, time : own.lengths[row]].tolist() == theirs.tolist()


def test_a_takeover_leaves_the_policy_to_act_where_the_expert_says_nothing():
    policy = tiny_policy(memory="tried")
    data = Trajectories.from_actions(V, [[0]] * 32, [[1, 4]] * 32, max_length=1)

    def fickle(states, references):
        """Deletes what is right, too: then there is nothing left to be said."""
        law = experts.reference(V)(states, references)
        written = (states.generated > 0) & ~states.ended
        law[written] = torch.nn.functional.one_hot(torch.tensor(V.backspace), V.num_actions).double()
        return law

    rule = experts.takeover(fickle, data.replay(), torch.zeros(32, dtype=torch.int64))
    own = rollout(policy, data.prompts, max_length=1, max_actions=4, rules=[rule])
    assert own.actions[:, :2].tolist() == [[1, V.backspace]] * 32
    assert set(own.actions[:, 2].tolist()) >= {0, 2, 3}


def test_the_expert_takes_over_in_a_share_of_the_rollouts_at_all_times_alike():
    data = Trajectories.from_actions(
        V,
        torch.randint(0, 4, (4000, 9), generator=torch.Generator().manual_seed(0)),
        [[0, 1, 2, 3, 4]] * 4000,
        max_length=4,
    )
    agent = DAgger(tiny_policy(), steps=100, switch="once", share=0.6, warm_up=0.0)
    times = agent._times(data, 0.6)
    never = times > 10
    assert float(never.double().mean()) == pytest.approx(0.4, abs=0.03)
    counts = times[~never].bincount(minlength=5) / int((~never).sum())
    assert counts.tolist() == pytest.approx([0.2] * 5, abs=0.03)
    agent.updates = 1
    assert not torch.equal(times, agent._times(data, 0.6))
    agent.updates = 25
    assert not list(agent.rules(data))


def test_dagger_labels_what_a_takeover_has_written():
    agent, g = DAgger(tiny_policy(), steps=8, switch="once", share=1.0), torch.Generator().manual_seed(0)
    data = tiny_demonstrations(backspace=False)
    agent.updates = 2  # past the warm-up
    own = rollout(agent.policy, data.prompts, max_length=6, max_actions=40, generator=g, rules=agent.rules(data))
    labelled = agent.label(own, data, g)
    rows, steps = own.inside.nonzero(as_tuple=True)
    wanted = agent.expert(own.before(rows, steps), data.replay().select(rows)).argmax(1)
    assert torch.equal(labelled.labels[rows, steps], wanted)


def test_an_unknown_switch_is_refused():
    with pytest.raises(InvalidInputError, match="unknown switch 'twice'; known: each, once"):
        DAgger(tiny_policy(), switch="twice")


@pytest.mark.parametrize("make", [DAgger, OnPolicyDistillation])
def test_a_guess_that_the_expert_deletes_half_the_time(make):
    """Two texts, equally likely after one prompt: the reference tells them apart, the policy cannot.

    A step of the demonstrations weighs 1/3 and half of the rows are at the state `[0, 1]`; a walk that deletes with
    probability b has (3 - b) / (1 - b) steps, 1 / (1 - b) of them at a guess. So b = 3 / (12 - 2 b), or .26.
    """
    policy, g = tiny_policy(), torch.Generator().manual_seed(0)
    data = Trajectories.from_actions(V, [[0]] * 16, [[1 + i % 2, 3, 4] for i in range(16)], max_length=3)
    agent = make(policy, steps=120, learning_rate=2e-2, warm_up=0.2)
    for _ in Training(agent, data, generator=g, batch_size=16, sampling=Sampling(1, 32, 256)).run():
        pass
    law = policy.eval().log_probs(Trajectories.from_actions(V, [[0]], [[1]], max_length=3).replay())[0].exp()
    assert float(law[V.backspace].detach()) == pytest.approx(0.26, abs=0.08)
