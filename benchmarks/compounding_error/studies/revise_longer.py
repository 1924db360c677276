"""What writes a whole text at a time, trained until it has learned: `revise` stops at a fifteenth of that, or sooner.

All arms alike: learning rate, batches, texts and cost. A masked model comes near the chain with exact conditionals of
`revise` or it does not; where a prompt has one right answer one shot loses nothing and may be as good as appending.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..hypotheses.over_controls import is_no_better, wins
from ..study import Arm, Decoding, Questions, Section, Study
from .base.parts import MIN_P, MLE
from .revise import BEST, BLOCKS, GREEDY, MASK_PREDICT, PLACES, against_cells, at_equal_cells

COST = 3e7
_ALIKE = {"learning_rate": 3e-3, "batch_size": 128, "demonstrations": 100_000, "backspace": False}
_ANSWERED = ("add_in_base",)
_DRAWN = ("automaton-16", "dyck", "add_in_base")
_BY_NAME = {place.name: place for place in PLACES}


def _learner(name: str, agent: str, places: tuple[str, ...], *others: Decoding, **options: Any) -> Arm:
    return Arm(name, {"agent": agent, "agent_options": options, **_ALIKE}, others, places=places)


REVISE_LONGER = Study(
    "revise-longer",
    "What do policies of whole texts reach once they have learned?",
    (
        replace(MLE, settings={**MLE.settings, **_ALIKE}, decodings=(MIN_P, GREEDY, *BEST), places=_DRAWN),
        _learner("masked", "masked", _DRAWN, *BLOCKS, MASK_PREDICT, GREEDY),
        _learner("one shot", "parallel", _ANSWERED, GREEDY),
        _learner("one shot, CTC", "parallel", _ANSWERED, GREEDY, queries=2),
    ),
    tuple(replace(_BY_NAME[name], budget=COST) for name in _DRAWN),
    3,
    Questions(
        (
            is_no_better(
                "MLE, greedy", "one shot, CTC, greedy", "success", "its cells do not depend", ("add_in_base",)
            ),
            wins("MLE", "masked", "success", "as much training, one cell after another", _DRAWN),
            wins("masked, blocks of 1", "masked, blocks of 4", "success", "cells of a block each on their own"),
        ),
        "Written down after one seed of masked models on `automaton-16` and of one shot on `add_in_base`, before the "
        "controls were run.",
        (
            Section("cells", "Right texts against cells fed, and exact ceilings", against_cells),
            Section("equal-cells", "At equal cells", at_equal_cells),
        ),
    ),
)
