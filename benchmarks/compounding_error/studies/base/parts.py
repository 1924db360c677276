"""What studies share: agents as arms, tasks as places, ways to sample."""

from __future__ import annotations

from typing import Any

from ...study import Arm, Decoding, Place

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
MIN_P, TABU = Decoding("min-p .1", ("min_p=0.1",)), Decoding("tabu", ("tabu",))

PYDOC = Place(
    "pydoc",
    {"task": "pydoc", "learning_rate": 3e-3, "demonstrations": 8000},
    budget=3e6,
    samples=1000,
    error="a word that the snapshot lacks",
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
    ),
)


def with_backspace(name: str, agent: str, **options: Any) -> Arm:
    """An agent with a backspace and masked noise, as it comes but for `options`."""
    return Arm(name, {"agent": agent, "agent_options": options})
