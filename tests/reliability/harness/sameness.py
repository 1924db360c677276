"""What must not matter to the bits, what must not grow, and what must not hang."""

from __future__ import annotations

import os
import subprocess
import sys

from forks import CHECKOUT

from .subjects import TRAIN, state

ONE_BY_ONE = {
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 2": {"PYTHONHASHSEED": "2"},
    "hash seed 3": {"PYTHONHASHSEED": "3"},
    "the locale C": {"LC_ALL": "C"},
    "the locale C.UTF-8": {"LC_ALL": "C.UTF-8"},
    "the locale tr_TR.UTF-8": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "a time zone": {"TZ": "Pacific/Chatham"},
    "python -O": {"PYTHONOPTIMIZE": "1"},
    "UTF-8 mode off": {"PYTHONUTF8": "0"},
}
TOGETHER = {k: v for name, change in ONE_BY_ONE.items() if name != "python -O" for k, v in change.items()}
"""All but -O, for which the libraries are compiled anew."""


def trained(folder, threads=1, **changes):
    """A run in a process of its own; its state."""
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": str(threads), **changes}
    done = subprocess.run(
        [sys.executable, "-m", "seqil", *TRAIN],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return state(folder / "run")


def equal_bits(subjects, folder, changes):
    """Yield `(kind, what was changed)`: a run elsewhere has the bits of the one that a fork made."""
    for name, change in changes.items():
        found = trained(folder / name.replace(" ", "-"), **change)
        yield ("fine" if found == subjects.state else "other bits"), name


def equal_threads(folder):
    """Two runs of two threads are equal to each other."""
    one, other = (trained(folder / name, threads=2) for name in ("one", "other"))
    yield ("fine" if one == other else "other bits"), "two threads"


SOAK = """
import gc, os, time, torch
import envs.text_generation
from agents.sequence_match import SequenceMatch
from seqil import Training, rollout
from seqil.learning.training import Sampling
from seqil.testing.agents import tiny_demonstrations, tiny_policy
from envs.tasks import Automaton
from envs.text_generation import TextGenerationEnv

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def handles():
    return len(os.listdir("/proc/self/fd"))

env, policy, generator = TextGenerationEnv(task=Automaton(horizon=8)), tiny_policy(), torch.Generator().manual_seed(0)
agent = SequenceMatch(policy, steps=10**9)
sampling = Sampling(every=2, rows=2, capacity=8)
training = Training(agent, tiny_demonstrations(), generator=generator, batch_size=2, sampling=sampling)
steps = training.run()
env.action_space.seed(0)

def work(seed):
    env.reset(seed=seed)
    over = False
    while not over:
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        over = terminated or truncated
    rollout(policy, [[0]] * 2, max_length=4, generator=generator)
    next(steps)

began, seed = time.monotonic(), 0
while time.monotonic() - began < SECONDS / 3 or seed < 20:
    work(seed); seed += 1
before, open_before, warm = resident(), handles(), seed
while time.monotonic() - began < SECONDS or seed < 3 * warm:
    work(seed); seed += 1
print(seed, resident() - before, handles() - open_before)
"""


def soak(forks, folder, seconds):
    """Yield `(kind, what happened)`: episodes, rollouts and updates leave memory and handles as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = forks.python(SOAK.replace("SECONDS", str(seconds)), cwd=folder, limit=3 * seconds + 300)
    if ended.code != 0:
        yield "ended", ended.err[-900:]
        return
    rounds, grown, opened = map(int, ended.out.split()[-3:])
    flat = grown < 8 * 2**20 and opened <= 0
    yield ("fine" if flat else "grown"), f"{rounds} rounds: {grown} bytes and {opened} handles more"


WORKERS = """
import os, signal, sys
import gymnasium
import envs
from multiprocessing import get_context

how = {"vectorization_mode": "async", "vector_kwargs": {"context": "fork"}}
vector = gymnasium.make_vec("envs:seqil/TextGeneration-v0", num_envs=2, task="automaton", **how)
vector.reset(seed=0)
vector.action_space.seed(0)
vector.step(vector.action_space.sample())
os.kill(vector.processes[1].pid, signal.SIGKILL)
try:
    for _ in range(3):
        vector.step_async(vector.action_space.sample())
        vector.step_wait(timeout=10)
except (EOFError, OSError, gymnasium.error.Error, AssertionError) as error:
    print("seen:", type(error).__name__)
vector.close(terminate=True)
print("left:", sum(process.is_alive() for process in vector.processes))
"""


def killed_workers(forks, folder):
    """Yield `(kind, what happened)`: who steps environments in processes hears of one that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    ended = forks.python(WORKERS, cwd=folder, limit=120)
    fine = ended.code == 0 and "seen:" in ended.out and "left: 0" in ended.out
    yield ("fine" if fine else "hang" if ended.code is None else "unseen"), f"{ended.out} {ended.err[-900:]}"
