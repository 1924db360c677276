"""What a referee would ask of our wins: controls, ablations, curves instead of points.

The arms of `confirm` and `scarce`, each that deletes sampled with the standard controls as well: a bias on the
backspace chosen on validation items, `tabu`, `restart`; the best of ten draws of maximum likelihood at equal forwards.
Of each win of occupancy matching the same loss without the next state's value, and with the smallest alpha, which is
cloning.
"""

from __future__ import annotations

from dataclasses import replace

from ..hypotheses.over_controls import wins
from ..page.training_curve import TRAINING
from ..study import Arm, Decoding, Place, Questions, Study
from .base.parts import AVERAGED, EXACT_PLACES, MASKED, MIN_P, MLE, TABU
from .search import CONFIRM, COOL, SCARCE

BIASES = tuple((f"backspace_bias={b}",) for b in ("1", "1.5", "2", "2.5"))
BIAS = Decoding("bias", candidates=BIASES)
CONTROLS = (BIAS, TABU, Decoding("restart", ("restart",)))
ABLATIONS: dict[str, dict[str, float | bool]] = {
    "without the next value": {"next_value": False},
    "alpha .001": {"alpha": 0.001},
}
BUDGETS = (4, 6, 8, 12, 20, 40, 80, 200, 400, 1000)
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)
CHAIN, FEW = "chain", SCARCE.places[0].name
MATCHED, CLONED = "SequenceMatch (JS), bursts of 4 of its own", "BC + backspace, bursts of 4 of its own"
MATCHED_FEW = "SequenceMatch (JS)"


def _on(place: str, arm: Arm) -> Arm:
    """For one place, with the controls where it deletes."""
    decodings = (*CONTROLS, *(how for how in arm.decodings if how not in CONTROLS))
    return replace(arm, places=(place,), decodings=decodings if arm.settings.get("backspace", True) else arm.decodings)


def _ablated(arm: Arm) -> tuple[Arm, ...]:
    options = arm.settings["agent_options"]
    return tuple(
        replace(arm, name=f"{arm.name}, {name}", settings={**arm.settings, "agent_options": {**options, **change}})
        for name, change in ABLATIONS.items()
    )


def _smoothed(arm: Arm, share: float) -> Arm:
    return replace(
        arm,
        name=f"{arm.name}, label smoothing {share}",
        settings={**arm.settings, "agent_options": {"smoothing": share}},
    )


_COMMON = ("MLE", AVERAGED.name, MASKED.name)
_chain = {arm.name: arm for arm in CONFIRM.arms if arm.name not in _COMMON}
_few = {arm.name: arm for arm in SCARCE.arms if arm.name not in _COMMON}
ARMS = (
    replace(MLE, decodings=(COOL, MIN_P, Decoding("best of 10", best_of=10))),
    AVERAGED,
    replace(MASKED, decodings=CONTROLS),
    *(_on(CHAIN, arm) for arm in _chain.values()),
    *(_on(CHAIN, arm) for arm in _ablated(_chain[MATCHED])),
    *(_on(FEW, arm) for arm in _few.values()),
    *(_on(FEW, arm) for arm in _ablated(_few[MATCHED_FEW])),
    *(_on(FEW, _smoothed(arm, share)) for arm in (MLE, replace(MASKED, decodings=())) for share in (0.1, 0.3)),
)
WINS = (
    wins(MATCHED, "MLE, best of 10", "success", "as many forwards"),
    wins(MATCHED, CLONED, "success", "cloning on the same mistakes"),
    wins(MATCHED, f"{CLONED}, bias", "success", "the same, with a bias on its backspace"),
    wins(MATCHED, f"{CLONED}, tabu", "success", "the same, with a memory"),
    *(wins(MATCHED, f"{MATCHED}, {name}", "success", "its ablation") for name in ABLATIONS),
    *(
        wins(MATCHED_FEW, control, "regret", why)
        for control, why in (
            ("MLE", "no backspace"),
            ("MLE, label smoothing 0.1", "another regulariser"),
            ("MLE, label smoothing 0.3", "another regulariser"),
            ("MLE, weight decay", "another regulariser"),
            ("BC + backspace, weight decay", "another regulariser"),
            *((f"{MATCHED_FEW}, {name}", "its ablation") for name in ABLATIONS),
        )
    ),
    wins(MATCHED_FEW, "MLE", "success", "no backspace"),
    wins(MATCHED_FEW, "MLE", "hazard", "no backspace"),
)
REMARK = "Each is a win that we have claimed against a control of it; which controls, an independent reader asked for."
PLACES = (
    replace(EXACT_PLACES[2], budgets=BUDGETS),
    replace(SCARCE.places[0], budgets=tuple(b for b in BUDGETS if b > 64)),
)
REFEREE = Study(
    "referee", "Do the wins of occupancy matching survive their controls?", ARMS, PLACES, 5, Questions(WINS, REMARK)
)


def _trained_longer(arm: Arm) -> tuple[Arm, ...]:
    return tuple(replace(arm, name=f"{arm.name}, x {share:g}", share=share, decodings=()) for share in SHARES)


_CURVE = (
    MLE,
    replace(MASKED, decodings=()),
    *(replace(arm, places=(), decodings=()) for arm in (_chain[CLONED], _chain[MATCHED])),
)
REFEREE_TRAINING = Study(
    "referee-training",
    "Does what an arm wins depend on how long it is trained?",
    tuple(one for arm in _CURVE for one in _trained_longer(arm)),
    (PLACES[0],),
    3,
    Questions(sections=(TRAINING,)),
)


def _small(place: Place) -> Place:
    """Seconds instead of minutes: nothing is learned, everything is run."""
    settings = {**place.settings, "demonstrations": 200}
    budgets = tuple(budget for budget in place.budgets if budget <= 80)
    return replace(place, settings=settings, budget=2e4, samples=20, max_actions=40, budgets=budgets)


REFEREE_SMOKE = replace(REFEREE, name="referee-smoke", places=tuple(map(_small, PLACES)), seeds=1)
