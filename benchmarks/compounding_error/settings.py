"""The first study, as data: what is trained on what, and how much it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One agent of the comparison: `settings` of `seqil.experiment.Settings`."""

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """One task of the comparison.

    Attributes:
        name: of the task.
        settings: of `seqil.experiment.Settings`, common to all arms.
        budget: cost of training in forward positions (a trained position counts three), the same for all arms.
        samples: evaluation texts per seed; fewer where the test split has fewer.
        error: what an error is here, for captions.
    """

    name: str
    settings: dict[str, Any]
    budget: float
    samples: int
    error: str


ARMS = (
    Arm("MLE", {"agent": "bc", "backspace": False}),
    Arm("BC + backspace, noise masked", {"agent": "bc", "mask_noise": True}),
    Arm("BC + backspace, noise imitated", {"agent": "bc", "mask_noise": False}),
    Arm(
        "SequenceMatch",
        {
            "agent": "sequence_match",
            "agent_options": {"divergence": "chi2_mixture", "alpha": 0.01, "gamma": 0.995},
        },
    ),
)

PLACES = (
    Place(
        "automaton",
        {"task": "automaton", "learning_rate": 5e-3, "demonstrations": 8000},
        budget=4.5e6,
        samples=1000,
        error="a token that the law forbids",
    ),
    Place(
        "pydoc",
        {"task": "pydoc", "learning_rate": 3e-3, "demonstrations": 8000},
        budget=6e6,
        samples=1000,
        error="a word that the snapshot lacks",
    ),
)
