"""Studies small enough for tests, and records of them that nothing had to run for."""

import json
import math

from benchmarks.compounding_error.running.cells import cells_of
from benchmarks.compounding_error.studies.base.parts import MLE
from benchmarks.compounding_error.study import Arm, Decoding, Place, Study
from seqil.runs import strict_json
from seqil.statistics import Estimate

SMALL = {"task": "automaton", "task_options": {"horizon": 6}, "demonstrations": 64, "width": 16, "layers": 1}
PLACE = Place("automaton", SMALL, budget=2e4, samples=20, error="a token that the law forbids")
ARM = Arm("MLE", MLE.settings, (Decoding("greedy", ("top_k=1",)), Decoding("best of 2", best_of=2)))
STUDY = Study(
    "small", "Which?", (ARM, Arm("B", {"agent": "bc"}), Arm("C", {"agent": "bc", "noise_rate": 0.1})), (PLACE,), seeds=3
)


def synthetic(study, spread=0.01, own=1e-6):
    """Records in which arm k has success .2 + .1 k on every place, give or take `spread` from seed to seed.

    `own` is a spread that each arm but the first has for itself.
    """
    records = []
    for cell in cells_of(study):
        samples = []
        for k, row in enumerate(study.rows):
            if row in cell.arm.rows:
                wobble = own * (k > 0) * math.sin(37 * (k + 1) * (cell.seed + 1))
                value = 0.2 + 0.1 * k + spread * (cell.seed - 1) + wobble
                one = Estimate(value, value - 0.01, value + 0.01, 100_000, "sequences").to_json()
                names = ("success", "actions_per_net_token", "forwards_per_net_token", "unfinished")
                samples.append(
                    {
                        "estimates": {"hazard": {**one, "value": 1 - value}, **dict.fromkeys(names, one)},
                        "samples": [["1 2", [["3 4", False], ["5", True]]]],
                    }
                )
        records.append(
            {
                **{"key": cell.key, "arm": cell.arm.name, "task": cell.place.name, "seed": cell.seed, "cost": 2e6},
                **{"training_positions": 6e5},
                **{"versions": dict.fromkeys(("seqil", "torch", "transformers"), "1"), "seconds_training": 1.0},
                **{"seconds_evaluation": 0.0, "steps": 9},
                **{"profile": [], "settings": cell.settings.to_json()},
                **samples[0],
                "decoded": samples[1:],
            }
        )
    return records


def stored(record):
    """As a file gives it back."""
    return strict_json.loads(strict_json.dumps(record))


def spelt(record):
    """As a file spells it: what is not a number equals itself."""
    return json.loads(strict_json.dumps(record))
