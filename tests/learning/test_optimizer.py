"""What owns the step of the optimizer, and what a training run prints."""

import copy
import os
import pickle
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny_models import V, tiny_policy

from agents.sequence_match import SequenceMatch
from seqil import TokenPolicy, Trajectories, train
from seqil.errors import InvalidInputError
from seqil.randomness import borrowed


def agent(steps=40):
    policy = TokenPolicy(copy.deepcopy(tiny_policy("gpt2").model).float(), V)
    return SequenceMatch(policy.requires_grad_(True), steps=steps, learning_rate=1e-3)


DEMONSTRATIONS = Trajectories.from_actions(V, [[0], [1]] * 4, [[1, 2, 6], [2, 3, 6]] * 4)


def rates(agent, steps):
    training = train(agent, DEMONSTRATIONS, generator=torch.Generator().manual_seed(0), steps=steps)
    return [metrics["learning_rate"] for _, metrics in training]


def test_the_schedule_reaches_an_optimizer_of_ones_own():
    expected = rates(agent(), 30)
    other = agent()
    other.optimizer = torch.optim.SGD(other.policy.parameters(), lr=1e-3)
    assert rates(other, 30) == pytest.approx(expected)
    assert expected[0] < max(expected) > expected[-1]


def test_training_prints_nothing(capfd):
    rates(agent(3), 3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("at", [0, 7])
def test_a_copy_of_an_agent_goes_on_as_the_agent_does(at, recwarn):
    first = agent()
    before = rates(first, at)
    other = copy.deepcopy(first)
    assert other.loss.policy is other.policy is not first.policy
    assert rates(other, 5) == rates(first, 5) != before
    for one, two in zip(first.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(one, two)
        assert one is not two
    assert not recwarn


@pytest.mark.parametrize("at", [0, 7])
def test_an_agent_is_pickled_as_it_is(at):
    first = agent()
    rates(first, at)
    other = pickle.loads(pickle.dumps(first))
    assert rates(other, 5) == rates(first, 5)
    for one, two in zip(first.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_wrapper_of_an_optimizer_is_refused():
    class Wrapped(torch.optim.Optimizer):
        def __init__(self, inside):
            self.optimizer, self.param_groups = inside, inside.param_groups

    made = agent()
    with pytest.raises(InvalidInputError, match="Wrapped is no optimizer of torch, or wraps one; give the one inside"):
        made.optimizer = Wrapped(made.optimizer)


def test_threads_that_train_at_a_time_do_what_each_does_alone():
    def losses(made, seed):
        made.loss.train()
        g = torch.Generator().manual_seed(seed)
        return [metrics["loss"] for _, metrics in train(made, DEMONSTRATIONS, generator=g, steps=12)]

    one, two, *others = (agent() for _ in range(4))
    alone, before = [losses(one, 0), losses(two, 1)], torch.get_rng_state()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(losses, others, (0, 1))) == alone
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="is about forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_wait_for_a_thread_that_it_has_not():
    taken, enough = threading.Event(), threading.Event()

    def hold():
        with borrowed():
            taken.set()
            enough.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        child = os.fork()
        if not child:
            signal.alarm(10)
            with borrowed():
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    finally:
        enough.set()
        thread.join()
