"""The large study, and the larger one of the same questions."""

from __future__ import annotations

from dataclasses import replace

from ..study import Arm, Decoding, Place, Study
from .base.parts import (
    AVERAGED,
    EXACT_PLACES,
    IMITATED,
    MASKED,
    MIN_P,
    MLE,
    NOT_THE_ANSWER,
    PYDOC,
    SEQUENCE_MATCH,
    TABU,
    UNDEFINED,
)
from .base.questions import QUESTIONS

NOT_STAR = ("automaton", "add_in_base", "chain", "ngram", "hmm-order-1", "pydoc")
WITH_TEACHER = ("automaton", "add_in_base", "chain", "ngram", "hmm-order-1", "star")
BASELINES = (
    replace(MLE, decodings=(MIN_P,)),
    AVERAGED,
    replace(MASKED, decodings=(TABU, Decoding("exact detector .6", detector=0.6))),
    replace(IMITATED, places=NOT_STAR),
    Arm("BC + backspace, model's noise", {**MASKED.settings, "noise": "model"}),
    Arm(
        "BC + backspace, wrong arms",
        {**MASKED.settings, "noise": "task", "noise_rate": 0.3, "burst": 2},
        places=("star",),
    ),
)


def _sequence_match(divergence: str, name: str) -> tuple[Arm, Arm]:
    """With a backspace and without."""
    options = {**SEQUENCE_MATCH.settings["agent_options"], "divergence": divergence}
    arm = Arm(name, {"agent": "sequence_match", "agent_options": options})
    return arm, Arm(f"{name} without backspace", {**arm.settings, "backspace": False})


CONTRASTS = (
    *_sequence_match("chi2_mixture", "SequenceMatch"),
    *(replace(arm, places=NOT_STAR) for arm in _sequence_match("jensen_shannon", "SequenceMatch (JS)")),
    *(replace(arm, places=NOT_STAR) for arm in _sequence_match("forward_kl", "SequenceMatch (forward KL)")),
)
ARMS = (
    *BASELINES,
    *CONTRASTS,
    Arm("GAIL", {"agent": "gail", "agent_options": {"warm_up": 0.85}}),
    Arm("DAgger", {"agent": "dagger", "agent_options": {"expert": "teacher", "warm_up": 0.5}}, places=WITH_TEACHER),
    Arm(
        "DAgger (reference)",
        {"agent": "dagger", "agent_options": {"expert": "reference", "warm_up": 0.5}},
        places=("automaton", "ngram", "pydoc"),  # with one right answer it is DAgger
    ),
)
HORIZONS = (16, 32, 128, 256, 512)  # beside the 64 of the training


def _short(place: Place) -> Place:
    """At a budget that five seeds of all arms can afford; where the length is free, at all horizons."""
    horizons = HORIZONS if place.name == "automaton" else ()
    return replace(place, budget=min(place.budget, 3e6), horizons=horizons, horizon_samples=64)


CPU = Study(
    "cpu",
    "Does a backspace change the constant or the exponent?",
    arms=ARMS,
    places=(
        *map(_short, EXACT_PLACES),
        Place(
            "ngram",
            {"task": "ngram", "task_options": {"order": 1}, "learning_rate": 5e-3, "demonstrations": 8000},
            budget=1.5e6,
            samples=1000,
            error=UNDEFINED,
            horizons=HORIZONS,
            horizon_samples=64,
        ),
        Place(
            "hmm-order-1",  # a student without layers
            {
                **{"task": "hmm", "layers": 0, "learning_rate": 1e-2},
                **{"demonstrations": 8000, "sampling_actions": 96},
            },
            budget=1.5e6,
            samples=1000,
            error="a token that no hidden path explains",
            realizable=False,
        ),
        Place(
            "star",
            {
                **{"task": "star", "task_options": {"arms": 2, "length": 2}, "learning_rate": 3e-3},
                **{"demonstrations": 20_000},
            },
            budget=5e6,
            samples=1000,
            error=NOT_THE_ANSWER,
            max_actions=12,
        ),
        replace(PYDOC, budget=2e6),
    ),
    seeds=5,
    questions=QUESTIONS,
)


def _larger(place: Place) -> Place:
    """For a GPU or a cluster: models of 3 million parameters on fifty times the positions."""
    settings = {
        **place.settings,
        "layers": 4 if place.realizable else 0,
        "width": 256,
        "demonstrations": 8000 if place.settings["task"] == "pydoc" else 50_000,  # the snapshot has no more
        "learning_rate": 1e-3,
    }
    return replace(place, settings=settings, budget=50 * place.budget, samples=4000, horizon_samples=1000)


FULL = replace(CPU, name="full", places=tuple(map(_larger, CPU.places)))
