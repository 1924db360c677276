"""What a policy that deletes must remember: the prefix alone, what it has tried there, or everything.

The same mistakes and the same cost of training under each memory; of the memory `tried` what it is worth at sampling
alone (`tabu`); on `chain`, where a guess shows only later, and on `automaton`, where an error shows at once.
"""

from __future__ import annotations

from dataclasses import replace

from ...hypotheses.over_controls import wins
from ...study import Arm, Decoding, Highlight, Place, Questions, Study
from ..base.parts import EXACT_PLACES, MASKED, MIN_P, MLE, TABU
from ..search import OWN_BURSTS

MEMORIES = ("prefix", "tried", "history")
BIAS = Decoding("bias", candidates=((), *((f"backspace_bias={b}",) for b in ("-1", "1", "2"))))
REPLACED = (TABU, Decoding("restart", ("restart",)), Decoding("restart, min-p .1", ("restart", "min_p=0.1")))
"""What may do without a memory in the model: the memory at sampling alone, and a new start."""

BUDGETS = (4, 6, 8, 12, 20, 40, 80, 200)
_MATCHING = {"divergence": "jensen_shannon", "gamma": 0.995, "warm_up": 0.5}


def cloned(memory: str, places: tuple[str, ...] = ()) -> Arm:
    """Cloning of bursts of its own mistakes."""
    settings = {**MASKED.settings, **OWN_BURSTS, "memory": memory}
    return Arm(f"BC, {memory}", settings, (MIN_P, BIAS, *REPLACED * (memory == "prefix")), places=places)


def matched(memory: str, places: tuple[str, ...] = (), alpha: float = 0.03) -> Arm:
    """Occupancy matching from the same mistakes: at this `alpha` near cloning, at 1 far from it."""
    options = {**_MATCHING, "alpha": alpha}
    settings = {"agent": "sequence_match", "agent_options": options, **OWN_BURSTS, "memory": memory}
    name = f"SequenceMatch (JS, alpha {f'{alpha:g}'.lstrip('0')}), {memory}"
    return Arm(name, settings, (MIN_P,), places=places)


def _uniform(memory: str) -> tuple[Arm, Arm]:
    """Where texts are stochastic own samples are mostly no mistakes: the mistakes and the settings of `cpu`."""
    options = {"divergence": "jensen_shannon", "alpha": 0.01, "gamma": 0.995}
    return (
        Arm(f"BC, uniform noise, {memory}", {**MASKED.settings, "memory": memory}, (MIN_P,), places=("automaton",)),
        Arm(
            f"SequenceMatch (JS), uniform noise, {memory}",
            {"agent": "sequence_match", "agent_options": options, "memory": memory},
            places=("automaton",),
        ),
    )


def roomy(place: Place, actions: int = 200) -> Place:
    """With positions for all that a text may take: under `history` an action is one."""
    settings = {**place.settings, "sampling_actions": actions}
    budgets = tuple(budget for budget in BUDGETS if budget <= actions)
    return replace(place, settings=settings, max_actions=actions, budgets=budgets)


_CLONED = {memory: (f"BC, {memory}", f"BC, uniform noise, {memory}") for memory in MEMORIES}
_ALPHA = "SequenceMatch (JS, alpha .03), "
HIGHLIGHTS = (
    Highlight("maximum likelihood", ("MLE",)),
    *(Highlight(f"cloning, {memory}", rows) for memory, rows in _CLONED.items()),
    *(
        Highlight(f"SequenceMatch, {memory}", (_ALPHA + memory, f"SequenceMatch (JS), uniform noise, {memory}"))
        for memory in MEMORIES[1:]
    ),
    Highlight("cloning, prefix, a bias", ("BC, prefix, bias",)),
    Highlight("cloning, prefix, restart", ("BC, prefix, restart",)),
    Highlight("no backspace, min-p .1", ("MLE, min-p .1",)),
)
"""The rows of the table that the README shows."""

AUTOMATON, _, CHAIN = EXACT_PLACES
MEMORY = Study(
    "memory",
    "What must a policy that deletes remember?",
    (
        replace(MLE, decodings=(MIN_P, Decoding("best of 4", best_of=4))),
        *(cloned(memory, ("chain",)) for memory in MEMORIES),
        *(matched(memory, ("chain",)) for memory in MEMORIES),
        *(arm for memory in MEMORIES for arm in _uniform(memory)),
    ),
    (roomy(CHAIN), roomy(AUTOMATON)),
    5,
    Questions(
        (
            wins("BC, tried", "BC, prefix", "success", "the same mistakes without the memory"),
            wins("BC, tried", "BC, prefix, tabu", "success", "the memory at sampling alone"),
            wins("BC, tried", "MLE, best of 4", "success", "no backspace"),
            wins("BC, history", "BC, prefix", "success", "the same mistakes without the memory"),
            wins("BC, tried", "BC, history", "success", "the other memory"),
            wins("BC, history", "BC, prefix, restart", "success", "a new start without a memory"),
            wins("BC, history, min-p .1", "BC, prefix, restart, min-p .1", "success", "a new start without a memory"),
            *(
                wins(f"SequenceMatch (JS, alpha .03), {memory}", f"BC, {memory}{bias}", "success", "cloning there")
                for memory in MEMORIES
                for bias in ("", ", bias")
            ),
            *(wins(f"BC, uniform noise, {memory}", "MLE", "success", "no backspace") for memory in MEMORIES),
            *(
                wins(
                    f"SequenceMatch (JS), uniform noise, {memory}",
                    f"BC, uniform noise, {memory}",
                    "success",
                    "cloning in that memory",
                )
                for memory in MEMORIES
            ),
        ),
        "Written down after prototypes of one or two seeds, before these runs.",
    ),
    HIGHLIGHTS,
)


def _longer(arm: Arm) -> Arm:
    return replace(arm, share=3.0, decodings=(MIN_P,))


MEMORY_LONGER = Study(
    "memory-longer",
    "Does the history do harm where errors show at once, or was it trained too little?",
    tuple(_longer(arm) for arm in (MLE, *(_uniform(memory)[0] for memory in ("prefix", "history")))),
    (roomy(AUTOMATON),),
    3,
    Questions(
        (
            wins("BC, uniform noise, history", "MLE", "success", "no backspace, trained as long"),
            wins("BC, uniform noise, history", "BC, uniform noise, prefix", "success", "the same, without the history"),
        ),
        "Three times the training of `memory`. Written down after one seed of `history`, before its controls were run.",
    ),
)

_AGAIN = {"MLE", *(f"BC, {memory}" for memory in MEMORIES), _ALPHA + "tried"}
MEMORY_SEEDS = replace(
    MEMORY,
    name="memory-seeds",
    question="What must a policy that deletes remember, on ten seeds?",
    arms=tuple(arm for arm in MEMORY.arms if arm.name in _AGAIN),
    places=MEMORY.places[:1],
    seeds=10,
    questions=replace(
        MEMORY.questions,
        remark="The five seeds of `memory`, and five more that were run when two new ones had come out far below them.",
    ),
    highlights=(),
)
