"""A search for settings of SequenceMatch that win: random draws from a grid, measured on validation items.

Each draw has its control, cloning with a backspace on the same mistakes, because a good source of mistakes serves both.
What is found here is to be confirmed on test items with more seeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..study import Arm, Decoding, Place, Study
from .base.parts import AVERAGED, EXACT_PLACES, MASKED, MIN_P, MLE, TABU
from .base.questions import QUESTIONS

GRID: dict[str, tuple[Any, ...]] = {
    "divergence": ("chi2_mixture", "jensen_shannon", "forward_kl"),
    "alpha": (0.01, 0.1, 0.3, 1.0),
    "gamma": (0.95, 0.98, 0.995),
    "warm_up": (0.25, 0.5, 0.75),
    "beta": (0.0, 0.2),
    "noise": ("uniform", "task", "model"),
    "noise_rate": (0.02, 0.05, 0.15),
    "burst": (1, 4),
}
DRAWS = 15  # five per divergence
BOTH, COOL = Decoding("tabu, min-p .1", ("tabu", "min_p=0.1")), Decoding("temperature .7", temperature=0.7)
_MISTAKES = ("noise", "noise_rate", "burst")


def drawn(number: int) -> tuple[Arm, Arm]:
    """SequenceMatch at the settings of one draw and its control, with and without the rules that cost no training."""
    rng = np.random.default_rng(number)
    options = {name: choices[rng.integers(len(choices))] for name, choices in GRID.items()}
    options["divergence"] = GRID["divergence"][number % 3]
    mistakes = {name: options.pop(name) for name in _MISTAKES}
    same = ", ".join(str(value) for value in mistakes.values())
    name = ", ".join(str(value) for value in options.values())
    settings = {"agent": "sequence_match", "agent_options": options, **mistakes}
    return _arm(f"SequenceMatch ({name}; {same})", settings), _arm(f"BC ({same})", {**MASKED.settings, **mistakes})


def _arm(name: str, settings: dict[str, Any]) -> Arm:
    return Arm(name, settings, decodings=(COOL, TABU, BOTH))


def scarce(place: Place, texts: int, budget: float) -> Place:
    """With few demonstrations."""
    return replace(
        place, name=f"{place.name}-{texts}", settings={**place.settings, "demonstrations": texts}, budget=budget
    )


def _tried(place: Place) -> Place:
    """On validation items."""
    return replace(place, samples=600, split="valid")


AUTOMATON, _, CHAIN = EXACT_PLACES


SEARCH = Study(
    "search",
    "Is there a setting at which occupancy matching wins?",
    arms=(
        replace(MLE, decodings=(COOL, MIN_P)),
        AVERAGED,
        _arm(MASKED.name, MASKED.settings),
        *{arm.name: arm for number in range(DRAWS) for arm in drawn(number)}.values(),
    ),
    places=(
        _tried(replace(CHAIN, budget=CHAIN.budget / 2)),
        _tried(scarce(AUTOMATON, 600, 3e6)),
    ),
    seeds=1,
    questions=QUESTIONS,
)

TASKS_BURSTS = {"noise": "task", "noise_rate": 0.15, "burst": 4}
OWN_BURSTS, OWN = {"noise": "model", "noise_rate": 0.05, "burst": 4}, {"noise": "model", "noise_rate": 0.15}


def _cloned(name: str, mistakes: dict[str, Any], *decodings: Decoding) -> Arm:
    return Arm(f"BC + backspace, {name}", {**MASKED.settings, **mistakes}, decodings)


def _matched(name: str, mistakes: dict[str, Any], *decodings: Decoding, **options: Any) -> Arm:
    """With Jensen-Shannon, which needs no rollouts."""
    settings = {"agent": "sequence_match", "agent_options": {"divergence": "jensen_shannon", **options}, **mistakes}
    return Arm(f"SequenceMatch (JS){name}", settings, decodings)


CONFIRM = Study(
    "confirm",
    "Does what the search found on chain hold for five seeds and test items?",
    arms=(
        replace(MLE, decodings=(COOL, MIN_P, Decoding("best of 4", best_of=4))),
        AVERAGED,
        replace(MASKED, decodings=(COOL, TABU, BOTH)),
        _cloned("its own mistakes", OWN, COOL, TABU, BOTH),
        _cloned("bursts of 4 of its own", OWN_BURSTS, COOL, TABU, BOTH),
        _cloned("bursts of 4", TASKS_BURSTS, TABU, BOTH),
        _matched(", its own mistakes", OWN, COOL, TABU, BOTH, alpha=1.0, gamma=0.995, warm_up=0.5),
        _matched(", bursts of 4 of its own", OWN_BURSTS, COOL, TABU, BOTH, alpha=1.0, gamma=0.995, warm_up=0.5),
        _matched(", bursts of 4", TASKS_BURSTS, TABU, BOTH, alpha=0.1, gamma=0.995, warm_up=0.75),
    ),
    places=(CHAIN,),
    seeds=5,
    questions=QUESTIONS,
)

_REGULARISED = {"agent_options": {"weight_decay": 1.0}}
_LARGE = {"alpha": 1.0, "gamma": 0.98, "beta": 0.0}
_FEW = _matched("", {}, COOL, MIN_P, **_LARGE)
SCARCE = Study(
    "scarce",
    "Does occupancy matching help where demonstrations are few?",
    arms=(
        replace(MLE, decodings=(COOL, MIN_P)),
        Arm("MLE, a quarter of the steps", MLE.settings, share=0.25),
        Arm("MLE, weight decay", {**MLE.settings, **_REGULARISED}),
        AVERAGED,
        replace(MASKED, decodings=(COOL, MIN_P)),
        Arm("BC + backspace, weight decay", {**MASKED.settings, **_REGULARISED}, decodings=(COOL, MIN_P)),
        _FEW,
        Arm("SequenceMatch (JS) without backspace", {**_FEW.settings, "backspace": False}),
        Arm(
            "SequenceMatch",
            {
                "agent": "sequence_match",
                "agent_options": {"divergence": "chi2_mixture", **_LARGE, "alpha": 0.3},
            },
        ),
    ),
    places=(scarce(AUTOMATON, 200, 3e6),),
    seeds=5,
    questions=QUESTIONS,
)
