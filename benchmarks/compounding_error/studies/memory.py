"""What a policy that deletes must remember: the prefix alone, what it has tried there, or everything.

The same mistakes and the same cost of training under each memory; of the memory `tried` what it is worth at sampling
alone (`tabu`); on `chain`, where a guess shows only later, and on `automaton`, where an error shows at once.
"""

from __future__ import annotations

from dataclasses import replace

from ..hypotheses.over_controls import wins
from ..study import Arm, Decoding, Place, Questions, Study
from .parts import EXACT_PLACES, MASKED, MIN_P, MLE, TABU
from .search import OWN_BURSTS

MEMORIES = ("prefix", "tried", "history")
BUDGETS = (4, 6, 8, 12, 20, 40, 80, 200)
_MATCHING = {"divergence": "jensen_shannon", "alpha": 0.03, "gamma": 0.995, "warm_up": 0.5}


def _cloned(memory: str) -> Arm:
    settings = {**MASKED.settings, **OWN_BURSTS, "memory": memory}
    return Arm(f"BC, {memory}", settings, (MIN_P, *(TABU,) * (memory == "prefix")))


def _matched(memory: str) -> Arm:
    settings = {"agent": "sequence_match", "agent_options": _MATCHING, **OWN_BURSTS, "memory": memory}
    return Arm(f"SequenceMatch (JS, alpha .03), {memory}", settings, (MIN_P,))


def _roomy(place: Place) -> Place:
    """With positions for all that a text may take: under `history` an action is one."""
    settings = {**place.settings, "sampling_actions": 200}
    return replace(place, settings=settings, max_actions=200, budgets=BUDGETS)


AUTOMATON, _, CHAIN = EXACT_PLACES
MEMORY = Study(
    "memory",
    "What must a policy that deletes remember?",
    (
        replace(MLE, decodings=(MIN_P, Decoding("best of 4", best_of=4))),
        *map(_cloned, MEMORIES),
        *map(_matched, MEMORIES),
    ),
    (_roomy(CHAIN), _roomy(AUTOMATON)),
    5,
    Questions(
        (
            wins("BC, tried", "BC, prefix", "success", "the same mistakes without the memory"),
            wins("BC, tried", "BC, prefix, tabu", "success", "the memory at sampling alone"),
            wins("BC, tried", "MLE, best of 4", "success", "no backspace"),
            wins("BC, history", "BC, prefix", "success", "the same mistakes without the memory"),
            wins("BC, tried", "BC, history", "success", "the other memory"),
            *(
                wins(f"SequenceMatch (JS, alpha .03), {memory}", f"BC, {memory}", "success", "cloning in that memory")
                for memory in MEMORIES
            ),
        ),
        "Written down after prototypes of one or two seeds, before these runs.",
    ),
)
