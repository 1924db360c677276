"""A search for settings of SequenceMatch that win: random draws from a grid, measured on validation items.

What it finds is to be confirmed on test items with other seeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .settings import EXACT_PLACES, MASKED, MLE
from .study import Arm, Decoding, Place, Study

GRID: dict[str, tuple[Any, ...]] = {
    "divergence": ("chi2_mixture", "jensen_shannon", "forward_kl"),
    "alpha": (0.001, 0.01, 0.1, 0.5),
    "gamma": (0.95, 0.98, 0.995),
    "warm_up": (0.25, 0.5, 0.75),
    "noise": ("uniform", "task", "model"),
    "noise_rate": (0.02, 0.05, 0.15),
    "burst": (1, 4),
}
DRAWS = 24  # of each divergence as many
MIN_P, TABU = Decoding("min-p .1", ("min_p=0.1",)), Decoding("tabu", ("tabu",))
BOTH = Decoding("tabu, min-p .1", ("tabu", "min_p=0.1"))
_OF_THE_AGENT = ("divergence", "alpha", "gamma", "warm_up")


def drawn(number: int) -> Arm:
    """SequenceMatch at the settings of one draw, sampled with and without the rules that cost no training."""
    rng = np.random.default_rng(number)
    values = {name: choices[rng.integers(len(choices))] for name, choices in GRID.items()}
    values["divergence"] = GRID["divergence"][number % 3]
    options = {name: values.pop(name) for name in _OF_THE_AGENT}
    name = "SequenceMatch " + " ".join(str(value) for value in (*options.values(), *values.values()))
    settings = {"agent": "sequence_match", "agent_options": options, **values}
    return Arm(name, settings, decodings=(TABU, BOTH))


def _cheaper(place: Place) -> Place:
    """Half of what the other studies train for, on validation items."""
    return replace(place, budget=place.budget / 2, samples=600, split="valid")


SEARCH = Study(
    "search",
    "Is there a setting at which occupancy matching wins?",
    arms=(
        replace(MLE, decodings=(MIN_P,)),
        Arm("MLE + average of weights", {**MLE.settings, "average": 0.99}),
        replace(MASKED, decodings=(TABU, BOTH)),
        *map(drawn, range(DRAWS)),
    ),
    places=tuple(map(_cheaper, EXACT_PLACES)),
    seeds=1,
)
