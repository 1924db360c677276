"""An adversary at three times the budget."""

from __future__ import annotations

from dataclasses import replace

from ..study import Study
from .parts import EXACT_PLACES, MASKED, with_backspace
from .questions import QUESTIONS

GAIL = Study(
    "gail",
    "Does an adversary improve on its warm start?",
    arms=(
        MASKED,
        replace(with_backspace("GAIL", "gail", warm_up=0.4, pace=0.1), stages=7),
    ),
    places=(replace(EXACT_PLACES[2], budget=12e6),),
    seeds=3,
    questions=QUESTIONS,
)
