"""Sources of mistakes, masked and imitated."""

from __future__ import annotations

from typing import Any

from ..study import Arm, Study
from .base.parts import EXACT_PLACES, MLE
from .base.questions import QUESTIONS

NOISES: dict[str, dict[str, Any]] = {
    "uniform": {"noise": "uniform"},
    "the task's": {"noise": "task"},
    "the model's": {"noise": "model"},
    "bursts of 3": {"noise": "uniform", "burst": 3},
}

NOISE = Study(
    "noise",
    "Which mistakes should a demonstration contain?",
    arms=(
        MLE,
        *(
            Arm(f"{name}, {how}", {"agent": "bc", **noise, "mask_noise": how == "masked"})
            for name, noise in NOISES.items()
            for how in ("masked", "imitated")
        ),
    ),
    places=EXACT_PLACES,
    seeds=3,
    questions=QUESTIONS,
)
