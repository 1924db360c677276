"""All agents at equal cost, an adversary at three times it, calibrated likelihoods, and sources of mistakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..hypotheses.over_controls import is_no_better, wins
from ..study import Arm, Decoding, Questions, Study
from .base.parts import AVERAGED, EXACT_PLACES, MASKED, MIN_P, MLE, SEQUENCE_MATCH, TABU, with_backspace
from .base.questions import QUESTIONS

_TOLD = (
    with_backspace("DAgger", "dagger", expert="teacher", warm_up=0.5),
    with_backspace("Distillation (forward KL)", "on_policy_distillation", expert="teacher", divergence="forward_kl"),
)


def _without(arm: Arm) -> Arm:
    """The same teacher's say at own states, and nothing to delete with."""
    return Arm(f"{arm.name} without backspace", {**arm.settings, "backspace": False}, places=("chain",))


AGENTS = Study(
    "agents",
    "Which agent makes the fewest errors at equal cost?",
    arms=(
        replace(
            MLE,
            decodings=(
                MIN_P,
                Decoding("top-p .95", ("top_p=0.95",)),
                Decoding("best of 4", best_of=4),
            ),
        ),
        AVERAGED,
        replace(MASKED, decodings=(TABU, Decoding("loop guard 2", ("loop_guard=2",)))),
        SEQUENCE_MATCH,
        Arm("SequenceMatch without backspace", {**SEQUENCE_MATCH.settings, "backspace": False}),
        _TOLD[0],
        replace(with_backspace("GAIL", "gail", warm_up=0.85), stages=1),
        with_backspace("Occupancy gradient", "occupancy_gradient"),
        with_backspace("Unlikelihood of mistakes", "unlikelihood", candidates="mistakes"),
        with_backspace("Scheduled sampling", "scheduled_sampling"),
        with_backspace("GOLD", "gold"),
        with_backspace("SLiC", "slic"),
        _TOLD[1],
        *(
            with_backspace(f"Distillation ({name})", "on_policy_distillation", expert="teacher", divergence=divergence)
            for name, divergence in (
                ("reverse KL", "reverse_kl"),
                ("JS", "jensen_shannon"),
            )
        ),
        with_backspace("SQIL", "sqil"),
        *map(_without, _TOLD),
    ),
    places=EXACT_PLACES,
    seeds=3,
    questions=QUESTIONS,
)

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

BEST = tuple(Decoding(f"best of {n}", best_of=n) for n in (2, 4, 8))
_RANKED = tuple(
    Arm(
        f"SLiC, {similarity}",
        {"agent": "slic", "agent_options": {"similarity": similarity, "samples": 4}, "backspace": False},
        BEST,
    )
    for similarity in ("edit", "latent")
)
_ORDERED = (EXACT_PLACES[1], EXACT_PLACES[2])
CALIBRATION = Study(
    "calibration",
    "Does quality fall as the likeliest of more samples is taken, and does calibration prevent it?",
    arms=(replace(MLE, decodings=BEST), *_RANKED),
    places=_ORDERED,
    seeds=3,
    questions=Questions(
        (
            *(
                is_no_better(
                    arm, f"{arm}, best of 8", "success", "one sample, not chosen", tuple(p.name for p in _ORDERED)
                )
                for arm in ("MLE", *(arm.name for arm in _RANKED))
            ),
            *(wins(f"{arm.name}, best of 8", "MLE, best of 8", "success", "not calibrated") for arm in _RANKED),
        ),
        "Zhao et al. (2022) say that quality falls as beams widen before calibration and not after it. Here they are "
        "samples, without a backspace. What `latent` reads is not counted in its cost. Written down before these runs.",
    ),
)
