"""The study of density against generation: its task, its claims, and the exact density in its records."""

import numpy as np
import pytest
import torch

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.running import asked_metrics
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.density import DENSITY, SmallAutomaton, _across, _within
from seqil.metrics.samples import Sample
from seqil.revision import EditPolicy, MaskedPolicy
from seqil.revision.final_laws import final_log_probs
from seqil.testing import check_task
from seqil.testing.agents import tiny_whole_text

STUDY = PRESETS["density"]


@pytest.mark.parametrize("order", [2, 3])
def test_its_task_follows_its_law(order):
    task = SmallAutomaton(order)
    check_task(task)
    drawn = task.demonstrations(4000, "train", 1)
    law = task.next_distribution(drawn.before(torch.arange(4000), torch.zeros(4000, dtype=torch.long)))
    first = torch.nn.functional.one_hot(drawn.actions[:, 0], task.vocabulary.size).double()
    error = (law * (1 - law)).sum(0).sqrt()
    held_out = 0.05 * 4000 * law.mean(0)  # the share of texts that no split of training has
    assert bool(((first - law).sum(0).abs() <= 4 * error + held_out).all())
    assert all(task.success(p, t) for p, t in zip(drawn.prompts.tolist(), drawn.replay().texts(), strict=True))


def record(arm, seed, nats, right, settings):
    return {
        **{"task": "order-2", "arm": arm.name, "seed": seed, "cost": arm.share, "settings": settings},
        "estimates": {
            DENSITY: {"value": nats, "low": nats, "high": nats, "n": 100, "unit": "sequences"},
            "success": {"value": right, "low": right, "high": right, "n": 100, "unit": "sequences"},
        },
    }


def test_a_family_is_judged_by_its_runs_and_families_by_their_last_means():
    """Density and success go together within both families, and against each other across four of them."""
    records = []
    for number, name in enumerate(("MLE", "BC, prefix", "one shot", "masked")):
        for step, arm in enumerate(arm for arm in STUDY.arms if arm.name.startswith(f"{name}, x ")):
            for seed in range(3):
                nats = number + 0.5 - 0.2 * step + 0.01 * seed
                right = 0.1 + 0.2 * number + 0.05 * step - 0.002 * seed
                records.append(record(arm, seed, nats, right, {"agent": name, "backspace": False}))
    results = Results(STUDY, records)
    within, across = _within(results, results.places[0]), _across(results, results.places[0])
    assert len(within) == 4
    assert all(claim.seeds == 3 and claim.holds < 0.01 for claim in within)
    [claim] = across
    assert claim.fails == pytest.approx(2 / 24 / 2)  # of all pairings of four points one, and its mirror image
    assert "families: ρ -1.00" in claim.numbers


def test_the_density_is_measured_where_a_place_asks_for_it():
    [metric] = [one for one in asked_metrics.of(STUDY.places[0]) if one.name == DENSITY]
    task = SmallAutomaton()
    texts = task.demonstrations(20, "test", 0)
    policy = tiny_whole_text(MaskedPolicy)
    found = metric.compute(Sample.of(task, policy, texts, texts))
    assert found.value == pytest.approx(float(np.mean(-final_log_probs(policy, texts) / 6)))
    assert metric.compute(Sample.of(task, tiny_whole_text(EditPolicy), texts, texts)) is None
