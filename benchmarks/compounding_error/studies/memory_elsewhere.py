"""Memories on other tasks, and a search for settings of occupancy matching within each of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ..study import Arm, Decoding, Place, Study
from .memory import CHAIN, MEMORY, cloned, roomy
from .parts import MIN_P, MLE, NOT_THE_ANSWER
from .search import OWN_BURSTS

GRID: dict[str, tuple[Any, ...]] = {
    "alpha": (0.003, 0.03, 0.1, 0.3, 1.0),
    "gamma": (0.95, 0.98, 0.995),
    "warm_up": (0.25, 0.5, 0.75),
}
DIVERGENCES = ("chi2_mixture", "jensen_shannon", "forward_kl")
GENTLE = (0.003, 0.03)
DRAWS = 9  # three per divergence, in each memory
BIASES = tuple(Decoding(f"bias {bias}", (f"backspace_bias={bias}",)) for bias in ("-1", "1", "2"))
_SEARCHED = ("tried", "history")


def drawn(number: int, memory: str) -> Arm:
    """SequenceMatch at the settings of one draw, the same for every memory."""
    rng = np.random.default_rng(number)
    options = {name: choices[rng.integers(len(choices))] for name, choices in GRID.items()}
    options = {"divergence": DIVERGENCES[number % len(DIVERGENCES)], **options}
    return _matched(options, memory)


def _matched(options: dict[str, Any], memory: str) -> Arm:
    settings = {"agent": "sequence_match", "agent_options": options, **OWN_BURSTS, "memory": memory}
    return Arm(f"SequenceMatch ({', '.join(map(str, options.values()))}), {memory}", settings, (MIN_P,))


def _gentle(divergence: str, alpha: float, memory: str) -> Arm:
    """Near cloning, which is what is left as `alpha` goes to 0; of draws most are far from it."""
    options = {"divergence": divergence, "alpha": alpha, "gamma": 0.995, "warm_up": 0.5}
    return _matched(options, memory)


MEMORY_SEARCH = Study(
    "memory-search",
    "Is there a setting at which occupancy matching beats cloning in the same memory?",
    (
        *(replace(cloned(memory), decodings=(MIN_P, *BIASES)) for memory in _SEARCHED),
        *(drawn(number, memory) for number in range(DRAWS) for memory in _SEARCHED),
        *(_gentle(*at, memory) for at in product(DIVERGENCES, GENTLE) for memory in _SEARCHED),
    ),
    (replace(roomy(CHAIN), budget=CHAIN.budget / 2, samples=600, split="valid"),),
    1,
)


def _answered(name: str, task: str, actions: int, budget: float = 3e6, **options: Any) -> Place:
    """A task with right answers, at the learning rate of `star`; nothing was tuned."""
    settings = {
        **{"task": task, "task_options": options, "learning_rate": 3e-3, "demonstrations": 8000},
        **{"batch_size": 64, "sampling_rows": 64},
    }
    return roomy(Place(name, settings, budget, samples=500, error=NOT_THE_ANSWER), actions)


MEMORY_PLACES = Study(
    "memory-places",
    "Where does a memory help?",
    (replace(MLE, decodings=(MIN_P,)), *map(cloned, ("prefix", "tried", "history"))),
    (
        *(_answered(f"chain-{delay}", "chain", 200, delay=delay) for delay in (2, 8)),
        _answered("chains-2x2", "chains", 200, links=2, delay=2),
        _answered("star", "star", 60, arms=2, length=2),
        _answered("sudoku4", "sudoku4", 100),
        _answered("multiplication-2", "multiplication", 100, digits=2),
        _answered("countdown-3", "countdown", 100, numbers=3),
    ),
    3,
    MEMORY.questions,
)
