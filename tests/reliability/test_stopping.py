"""A run that is asked to stop while a step is under way."""

import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from agents.behavior_cloning import BehaviorCloning
from agents.gail import GAIL
from agents.sequence_match import SequenceMatch
from seqil import Training, divergences
from seqil.learning.training import Sampling
from seqil.testing.agents import tiny_demonstrations
from seqil.testing.agents import tiny_policy as small_policy

BUSY = """
import sys, time
from seqil.runs.stopping import stoppable

def save(number):
    print(f"saved at {number}", flush=True)
    time.sleep(float(sys.argv[1]))

with stoppable(save) as stop:
    print("ready", flush=True)
    time.sleep(120)  # as a backward pass would, it ends for no signal
"""


def started(seconds, ignored=None):
    def heeding():
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which these tests may have been told to ignore, by nohup
        if ignored:
            signal.signal(ignored, signal.SIG_IGN)

    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heeding,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_within_seconds(number):
    process = started(0)
    began = time.monotonic()
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == f"saved at {number.value}\n"
    assert process.returncode == 128 + number
    assert time.monotonic() - began < 60  # of the 120 that the loop would take


def test_nohup_is_honoured():
    """A terminal that closes ends no run that was told not to mind; another signal does."""
    process = started(0, ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == f"saved at {signal.SIGTERM.value}\n"


def test_the_second_signal_ends_it_while_it_saves():
    process = started(100)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == f"saved at {signal.SIGTERM.value}\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT


def training(agent=SequenceMatch, **options):
    policy = small_policy(backspace=True)
    made = agent(policy, steps=8, **options)
    return Training(
        made,
        tiny_demonstrations(),
        generator=torch.Generator().manual_seed(5),
        batch_size=2,
        sampling=Sampling(every=2, rows=3, capacity=4),
        average=0.9,
    )


AGENTS = pytest.mark.parametrize(
    ("agent", "options"),
    [
        (BehaviorCloning, {}),
        (SequenceMatch, {"divergence": divergences.chi2_mixture(0.1), "warm_up": 0.0}),
        (GAIL, {"warm_up": 0.0}),
    ],
)


def losses(run, steps=None):
    return [metrics["loss"] for _, metrics in run.run(steps)]


@AGENTS
@pytest.mark.parametrize("step", [1, 4, 5])
def test_the_state_that_a_step_began_from_can_be_taken_until_weights_change(agent, options, step):
    whole = losses(training(agent, **options))
    run, taken = training(agent, **options), []
    forward, calls = run.agent.loss.forward, []

    def watched(data):
        found = forward(data)
        if run.step == step and not calls:
            calls.append(0)
            thread = threading.Thread(target=lambda: taken.append((run.step, run.state_dict())))
            thread.start()
            thread.join()
        return found

    run.agent.loss.forward = watched
    losses(run, 7)
    if not taken:
        pytest.skip("the agent only clones so early, without its loss")
    other = training(agent, **options)
    other.load_state_dict(taken[0][1])
    assert other.step == step
    assert losses(other) == whole[step:]


def test_a_thread_waits_for_the_end_of_a_step_that_changes_weights():
    run, seen, taker = training(), [], []

    def took(*_):
        thread = threading.Thread(target=lambda: seen.append((run.unchanging.acquire(timeout=30), run.step)))
        taker.append(thread)
        thread.start()
        time.sleep(0.2)
        assert not seen

    run.agent.optimizer.register_step_post_hook(took)
    next(run.run())
    taker[0].join()
    assert seen == [(True, 1)]


@AGENTS
def test_a_state_is_a_copy_and_a_used_run_takes_it_as_a_fresh_one_does(agent, options):
    run = training(agent, **options)
    losses(run, 4)
    state = run.state_dict()
    expected = losses(run)
    for other in (training(agent, **options), run):
        other.load_state_dict(state)
        assert losses(other) == expected
    live = training(agent, **options)
    losses(live, 4)
    live.load_state_dict(live.state_dict())
    assert losses(live) == expected
