"""The first study: minutes on two cores."""

from __future__ import annotations

from ..study import Place, Study
from .base.parts import FORBIDDEN, IMITATED, MASKED, MLE, PYDOC, SEQUENCE_MATCH
from .base.questions import QUESTIONS

QUICK = Study(
    "quick",
    "How does the error grow with the horizon?",
    arms=(MLE, MASKED, IMITATED, SEQUENCE_MATCH),
    places=(
        Place(
            "automaton",
            {"task": "automaton", "learning_rate": 5e-3, "demonstrations": 8000},
            budget=4.5e6,
            samples=1000,
            error=FORBIDDEN,
        ),
        PYDOC,
    ),
    seeds=2,
    questions=QUESTIONS,
)
