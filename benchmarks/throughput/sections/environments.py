"""Steps per second of the environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential
from torch.distributions import Categorical
from torchrl.envs import TicTacToeEnv

from envs import TextGenerationEnv, TextGenerationVectorEnv
from envs.torchrl import TorchTextGenerationEnv
from seqil import Trajectories, Vocabulary, legal_actions, start, transition
from seqil.randomness import seeded
from seqil.runs.experiment import make_policy
from seqil.runs.settings import Settings

from ..subjects.measure import Ratio, compare, interleaved, ratio, timed

_V = Vocabulary(size=16, eos=15)
_STEPS = 32


def measure(repetitions: int, sizes: Sequence[int] = (1, 64, 1024)) -> Iterator[Ratio]:
    """The vector environment against Gymnasium's over single ones, and TorchRL's rollouts."""
    for rows in sizes:
        ours = TextGenerationVectorEnv(
            _V, num_envs=rows, max_length=32, prompts=[[0, 1]], autoreset_mode=AutoresetMode.SAME_STEP
        )
        peer = SyncVectorEnv([_single] * rows, autoreset_mode=AutoresetMode.SAME_STEP)
        name = f"vector env / SyncVectorEnv, {rows} rows"
        ways = timed(partial(walk, ours, rows, 200)), timed(partial(walk, peer, rows, 20))
        yield compare(name, "steps/s", *ways, repetitions)
    for rows in sizes:
        yield from _torch(rows, repetitions)
    for rows in sizes[1:]:
        yield from _fused(rows, repetitions)


def _torch(rows: int, repetitions: int) -> Iterator[Ratio]:
    """TorchRL's rollouts of random actions, of ours and of its own, and the transitions without them."""
    ours = TorchTextGenerationEnv(_V, max_length=_STEPS, max_actions=_STEPS, batch_size=rows, prompts=[[0, 1]])
    ways = partial(_rolled, ours, rows), partial(_tic_tac_toe, TicTacToeEnv(), rows), partial(_transitions, rows)
    found, peer, bare = interleaved([timed(way) for way in ways], repetitions)
    yield ratio(f"TorchTextGenerationEnv.rollout / TicTacToeEnv.rollout, {rows} rows", "steps/s", found, peer)
    yield ratio(f"loop of transition / TorchTextGenerationEnv.rollout, {rows} rows", "steps/s", bare, found)


def _fused(rows: int, repetitions: int) -> Iterator[Ratio]:
    """Random actions replayed at once, and a small GPT-2 with its keys and values, against TorchRL's loop."""
    env = TorchTextGenerationEnv(_V, max_length=_STEPS, max_actions=_STEPS, batch_size=rows, prompts=[[0, 1]])
    tokens = torch.randint(0, _V.eos, (rows, _STEPS), generator=torch.Generator().manual_seed(0))
    t = Trajectories.from_actions(_V, [[0, 1]] * rows, tokens, max_length=_STEPS)
    policy = make_policy(Settings(), _V, 64).eval()
    actor = ProbabilisticTensorDictSequential(
        policy, ProbabilisticTensorDictModule(["logits"], ["action"], distribution_class=Categorical)
    )
    ways: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "replay of random actions": (lambda: env.replay(t).numel(), partial(_rolled, env, rows)),
        "fused_rollout of a GPT-2": (
            lambda: env.fused_rollout(_STEPS, policy).numel(),
            partial(_until_all_are_over, env, actor),
        ),
    }
    for name, pair in ways.items():
        found, peer = interleaved([timed(way) for way in pair], repetitions)
        yield ratio(f"{name} / TorchTextGenerationEnv.rollout, {rows} rows", "steps/s", found, peer)


@torch.no_grad()
def _until_all_are_over(env: TorchTextGenerationEnv, actor: Callable[[TensorDictBase], TensorDictBase]) -> float:
    with seeded(0):
        return float(env.rollout(_STEPS, actor, break_when_any_done=False, break_when_all_done=True).numel())


def _rolled(env: TorchTextGenerationEnv, rows: int) -> float:
    with seeded(0):
        return float(env.rollout(_STEPS, _pushes(rows), break_when_any_done=False).numel())


def _tic_tac_toe(env: TicTacToeEnv, rows: int) -> float:
    """It ends after nine moves at most, and takes its rows from the reset."""
    with seeded(0):
        begun = env.reset(TensorDict(batch_size=[rows]))
        return float(env.rollout(9, auto_reset=False, tensordict=begun, break_when_any_done=False).numel())


def _transitions(rows: int) -> float:
    """The states and legal actions alone, which is what `seqil.rollout` makes trajectories of."""
    with seeded(0):
        states, act = start(_V, [[0, 1]] * rows, max_length=_STEPS), _pushes(rows)
        for _ in range(_STEPS):
            legal = legal_actions(_V, states)
            states = transition(_V, states, act(TensorDict({"action_mask": legal}))["action"])
    return _STEPS * rows


def _pushes(rows: int) -> Callable[[TensorDictBase], TensorDictBase]:
    def act(tensordict: TensorDictBase) -> TensorDictBase:  # TorchRL reads the name of the argument
        return tensordict.set("action", torch.randint(0, _V.eos, (rows,)))

    return act


def _single() -> TextGenerationEnv:
    return TextGenerationEnv(_V, max_length=32, prompts=[[0, 1]])


def walk(env: TextGenerationVectorEnv | SyncVectorEnv, rows: int, steps: int) -> float:
    """Random actions from a reset on."""
    actions = np.random.default_rng(0).integers(0, _V.num_actions, (steps, rows))
    env.reset(seed=0)
    for row in actions:
        env.step(row)
    return steps * rows
