"""Do the answers of small models from few texts hold for wider ones from more?

Width 64, 128 and 256, each from the texts of the other studies and from eight times as many with eight times the
training, on `chains`, where a guess shows late and the next one builds on it, and on `automaton`, where an error shows
at once. The guesses of `chains` are as deep as those of `chain`: with two steps instead of four maximum likelihood has
nearly all texts right in the smallest cell, and nothing could be told apart.

What it costs: a cell trains 3e6 (`chains`) or 4.5e6 (`automaton`) forward positions, eight times that of the larger
data, of which a trained position is three; all 144 cells 2.4e9, a third for each width. At the 6e4 positions a second
that records of `memory` show for width 64 these are 4 hours of one core; a position of width 128 is 4 times the
arithmetic, of width 256 15 times (1.6 million parameters against 0.1): some 80 hours in all if time goes as arithmetic.
The 48 cells of widths 64 and 128 from the smaller data took two hours of one busy core, those of 128 twice as long.
Learning rates are those of width 64 over the ratio of the widths; none was tuned.
"""

from __future__ import annotations

from dataclasses import replace

from ..hypotheses.over_controls import wins
from ..study import Arm, Decoding, Place, Questions, Study
from .base.parts import EXACT_PLACES, MASKED, MIN_P, MLE, NOT_THE_ANSWER
from .memories.three_memories import BIAS
from .search import OWN_BURSTS

WIDTHS, DATA = (64, 128, 256), (1, 8)
BUDGETS = {"chains": (12, 16, 24, 40, 80, 200), "automaton": (80, 120, 200)}
_RESTART = Decoding("restart", ("restart",))
_NO_MISTAKES = {"noise": "uniform", "noise_rate": 0.05, "burst": 1}
_MATCHING = {"divergence": "jensen_shannon", "alpha": 0.03, "gamma": 0.995, "warm_up": 0.5}
ARMS = (
    replace(MLE, settings={**MLE.settings, **_NO_MISTAKES}, decodings=(MIN_P, Decoding("best of 3", best_of=3))),
    Arm("BC", MASKED.settings, (MIN_P, BIAS, _RESTART)),
    Arm("BC, tried", {**MASKED.settings, "memory": "tried"}, (MIN_P, BIAS)),
    Arm("SequenceMatch (JS)", {"agent": "sequence_match", "agent_options": _MATCHING}, (MIN_P, BIAS, _RESTART)),
)
_CHAINS = Place(
    "chains",
    {
        **{"task": "chains", "task_options": {"links": 2, "delay": 4}, "learning_rate": 3e-3, "demonstrations": 8000},
        **{"batch_size": 64, "sampling_rows": 64, "sampling_actions": 200},
        **OWN_BURSTS,
    },
    budget=3e6,
    samples=1000,
    error=NOT_THE_ANSWER,
)


def scaled(place: Place, width: int, data: int) -> Place:
    """The same for a wider model from more texts, read as often."""
    s = place.settings
    settings = {
        **s,
        "width": width,
        "heads": width // 16,
        "learning_rate": s["learning_rate"] * WIDTHS[0] / width,
        "demonstrations": data * s["demonstrations"],
    }
    name, budgets = f"{place.name}-{width}-x{data}", BUDGETS[place.name]
    return replace(
        place, name=name, settings=settings, budget=data * place.budget, max_actions=budgets[-1], budgets=budgets
    )


SCALE = Study(
    "scale",
    "Do wider models from more texts give the same answers?",
    ARMS,
    tuple(scaled(place, width, data) for place in (_CHAINS, EXACT_PLACES[0]) for width in WIDTHS for data in DATA),
    3,
    Questions(
        (
            wins("BC", "MLE", "success", "no backspace"),
            wins("BC, tried", "MLE, best of 3", "success", "no backspace"),
            wins("BC, tried", "BC", "success", "the same mistakes without the memory"),
            wins("BC, tried", "BC, restart", "success", "a new start without a memory"),
            wins("SequenceMatch (JS)", "BC", "success", "cloning on the same mistakes"),
            wins("SequenceMatch (JS)", "BC, bias", "success", "the same, with a bias on its backspace"),
            wins("BC", "MLE, min-p .1", "success", "no backspace, sampled with a cut"),
        ),
        "Written down before any of its runs; what matters is whether a finding changes along width and data.",
    ),
)
