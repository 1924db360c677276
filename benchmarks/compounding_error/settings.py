"""Studies of minutes and hours, as data: what is trained on what, how it is sampled, and what training may cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .study import Arm, Decoding, Place, Study

MLE = Arm("MLE", {"agent": "bc", "backspace": False})
AVERAGED = Arm("MLE + average of weights", {**MLE.settings, "average": 0.99})
MASKED = Arm("BC + backspace, noise masked", {"agent": "bc", "mask_noise": True})
IMITATED = Arm("BC + backspace, noise imitated", {"agent": "bc", "mask_noise": False})
SEQUENCE_MATCH = Arm(
    "SequenceMatch",
    {"agent": "sequence_match", "agent_options": {"divergence": "chi2_mixture", "alpha": 0.01, "gamma": 0.995}},
)
FORBIDDEN = "a token that the law forbids"
UNDEFINED = "not defined, for no token is impossible"
NOT_THE_ANSWER = "a token that the right answer does not have there"

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
        Place(
            "pydoc",
            {"task": "pydoc", "learning_rate": 3e-3, "demonstrations": 8000},
            budget=3e6,
            samples=1000,
            error="a word that the snapshot lacks",
        ),
    ),
    seeds=2,
)

# Learning rates: the best of three for MLE at the same budget, by success on validation items, one seed.
EXACT_PLACES = (
    Place(
        "automaton",
        {"task": "automaton", "learning_rate": 1.2e-2, "demonstrations": 8000, "sampling_actions": 96},
        budget=4.5e6,
        samples=1000,
        error=FORBIDDEN,
    ),
    Place(
        "add_in_base",
        {
            **{"task": "add_in_base", "task_options": {"low": 1, "high": 2}, "learning_rate": 3e-3},
            **{"demonstrations": 8000, "batch_size": 64, "sampling_rows": 64},
        },
        budget=3e6,
        samples=1000,
        error=NOT_THE_ANSWER,
        max_actions=200,
    ),
    Place(
        "chain",
        {
            **{"task": "chain", "learning_rate": 6e-3},
            **{"demonstrations": 8000, "batch_size": 64, "sampling_rows": 64},
        },
        budget=4e6,
        samples=1000,
        error=NOT_THE_ANSWER,
        max_actions=200,
    ),
)


def _agent(name: str, agent: str, **options: Any) -> Arm:
    """An agent with a backspace and masked noise, as it comes but for `options`."""
    return Arm(name, {"agent": agent, "agent_options": options})


AGENTS = Study(
    "agents",
    "Which agent makes the fewest errors at equal cost?",
    arms=(
        replace(
            MLE,
            decodings=(
                Decoding("min-p .1", ("min_p=0.1",)),
                Decoding("top-p .95", ("top_p=0.95",)),
                Decoding("best of 4", best_of=4),
            ),
        ),
        AVERAGED,
        replace(MASKED, decodings=(Decoding("tabu", ("tabu",)), Decoding("loop guard 2", ("loop_guard=2",)))),
        SEQUENCE_MATCH,
        Arm("SequenceMatch without backspace", {**SEQUENCE_MATCH.settings, "backspace": False}),
        _agent("DAgger", "dagger", expert="teacher", warm_up=0.5),
        replace(_agent("GAIL", "gail", warm_up=0.85), stages=1),
        _agent("Occupancy gradient", "occupancy_gradient"),
        _agent("Unlikelihood of mistakes", "unlikelihood", candidates="mistakes"),
        _agent("Scheduled sampling", "scheduled_sampling"),
        _agent("GOLD", "gold"),
        _agent("SLiC", "slic"),
        *(
            _agent(f"Distillation ({name})", "on_policy_distillation", expert="teacher", divergence=divergence)
            for name, divergence in (
                ("forward KL", "forward_kl"),
                ("reverse KL", "reverse_kl"),
                ("JS", "jensen_shannon"),
            )
        ),
        _agent("SQIL", "sqil"),
    ),
    places=EXACT_PLACES,
    seeds=3,
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
)

GAIL = Study(
    "gail",
    "Does an adversary improve on its warm start?",
    arms=(
        MASKED,
        replace(_agent("GAIL", "gail", warm_up=0.4, pace=0.1), stages=7),
    ),
    places=(replace(EXACT_PLACES[2], budget=12e6),),
    seeds=3,
)
