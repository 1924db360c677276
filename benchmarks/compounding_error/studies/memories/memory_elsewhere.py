"""Memories on other tasks, under other agents and other mistakes, and a search for settings of occupancy matching."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ...hypotheses.over_controls import wins
from ...study import Arm, Decoding, Place, Questions, Study
from ..base.parts import IMITATED, MASKED, MIN_P, MLE, NOT_THE_ANSWER, TABU, with_backspace
from ..search import OWN_BURSTS
from .three_memories import CHAIN, MEMORIES, MEMORY, cloned, matched, roomy

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


_TOLD: dict[str, tuple[str, dict[str, Any]]] = {
    "DAgger": ("dagger", {"expert": "teacher", "warm_up": 0.5}),
    "distillation": ("on_policy_distillation", {"expert": "teacher", "divergence": "forward_kl"}),
}


def _told(name: str, memory: str) -> Arm:
    """An agent that asks the exact teacher at its own states, at the settings of the study `agents`."""
    agent, options = _TOLD[name]
    arm = with_backspace(f"{name}, {memory}", agent, **options)
    return replace(arm, settings={**arm.settings, "memory": memory}, decodings=(MIN_P, *(TABU,) * (memory == "prefix")))


_ONE_ANSWER = (
    _answered("sudoku4", "sudoku4", 100),
    _answered("multiplication-2", "multiplication", 100, digits=2),
    _answered("countdown-3", "countdown", 100, numbers=3),
)
MEMORY_PLACES = Study(
    "memory-places",
    "Where does a memory help?",
    (
        replace(MLE, decodings=(MIN_P,)),
        *map(cloned, MEMORIES),
        *map(matched, MEMORIES),
        *(matched(memory, alpha=1.0) for memory in MEMORIES),
        *(_told(name, memory) for name in _TOLD for memory in MEMORIES),
    ),
    (
        *(_answered(f"chain-{delay}", "chain", 200, delay=delay) for delay in (3, 8)),
        _answered("chains-2x2", "chains", 200, links=2, delay=2),
        _answered("star-3", "star", 60, arms=2, length=3),
        *_ONE_ANSWER,
    ),
    5,
    MEMORY.questions,
)


def _against(name: str, memory: str) -> tuple[Any, ...]:
    """Over the agent that forgets, over that with the memory at sampling alone, and over cloning in this memory."""
    row = f"{name}, {memory}"
    return (
        wins(row, f"{name}, prefix", "success", "the same agent without the memory"),
        wins(row, f"{name}, prefix, tabu", "success", "the memory at sampling alone"),
        wins(row, f"BC, {memory}", "success", "cloning in that memory"),
    )


MEMORY_EXPERTS = Study(
    "memory-experts",
    "What is a memory worth to an agent that asks a teacher?",
    (
        replace(MLE, decodings=(MIN_P, Decoding("best of 4", best_of=4))),
        *map(cloned, MEMORIES),
        *(_told(name, memory) for name in _TOLD for memory in MEMORIES),
    ),
    (roomy(CHAIN),),
    3,
    Questions(
        tuple(h for name in _TOLD for memory in _SEARCHED for h in _against(name, memory)),
        "Written down before these runs; `agents` has the arms under `prefix`, with fewer actions per text.",
    ),
)


def _injected(kind: Arm, imitated: str, memory: str) -> Arm:
    """Cloning of texts with wrong tokens put in at random, and deleted."""
    told = (MIN_P, *(TABU,) * (memory == "prefix"))
    return Arm(f"BC, {imitated}, {memory}", {**kind.settings, "memory": memory}, told)


MEMORY_INJECTION = Study(
    "memory-injection",
    "Is what was just deleted written again, and does a memory prevent it?",
    (
        replace(MLE, decodings=(MIN_P,)),
        *(_injected(MASKED, "errors masked", memory) for memory in MEMORIES),
        *(_injected(IMITATED, "errors imitated", memory) for memory in MEMORIES),
    ),
    _ONE_ANSWER,
    3,
    Questions(
        (
            *(
                wins(f"BC, {kind}, {memory}", f"BC, {kind}, prefix", metric, "the same errors without the memory")
                for kind in ("errors masked", "errors imitated")
                for memory, metric in (("history", "repetition_rate"), ("history", "success"), ("tried", "success"))
            ),
            *(
                wins(f"BC, errors masked, {memory}", f"BC, errors imitated, {memory}", "success", "errors not learned")
                for memory in MEMORIES
            ),
            *(wins(f"BC, errors masked, {memory}", "MLE", "success", "no backspace") for memory in MEMORIES),
        ),
        "Errors are uniform wrong tokens; `memory-places` has these tasks with bursts of the policy's own. "
        "Under `tried` a token returns only once a prefix before it was deleted. Written down before these runs.",
    ),
)

_LEARNING = "BC, tried, what was tried is learned from"
MEMORY_TERM = Study(
    "memory-term",
    "Is what was tried worth learning from, beside its being forbidden?",
    (
        replace(cloned("tried"), decodings=(MIN_P,)),
        Arm(_LEARNING, {**cloned("tried").settings, "tried_term": True}, (MIN_P,)),
    ),
    (roomy(CHAIN),),
    5,
    Questions(
        tuple(wins(_LEARNING, "BC, tried", metric, "the same without the term") for metric in ("success", "regret")),
        "The term is zero at first and costs no forward. Written down before these runs.",
    ),
)
