"""Verdicts follow the numbers, and say undecided where the seeds cannot tell."""

import math
from dataclasses import replace

import numpy as np
import pytest
from small_studies import PLACE

from benchmarks.compounding_error.analysis.contrasts import FEWEST, compared
from benchmarks.compounding_error.analysis.predicted import Rarity
from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.hypotheses.claims import Claim, either, judged, status, verdicts
from benchmarks.compounding_error.hypotheses.written_down import HYPOTHESES
from benchmarks.compounding_error.running.cells import Cell
from benchmarks.compounding_error.studies.base.parts import IMITATED, MASKED, MLE
from benchmarks.compounding_error.study import Arm, Decoding, Questions, Study
from envs.tasks import NGram
from seqil.statistics import Estimate, holm

AVERAGED = Arm("averaged", {**MLE.settings, "average": 0.99})
BURST = Arm("burst", {**MASKED.settings, "burst": 2})
CUT = replace(MLE, decodings=(Decoding("cut", ("min_p=0.1",)),))
STAR = replace(PLACE, name="star", settings={"task": "star", "task_options": {"arms": 2, "length": 2}})
NGRAM = replace(PLACE, name="ngram", settings={"task": "ngram", "task_options": {"order": 1, "size": 9, "horizon": 8}})
SEEDS = 5


def estimate(value, n=1000, half=0.01):
    return Estimate(value, value - half, value + half, n, "tokens").to_json()


def wobbled(value, seed, wobble, phase):
    return value * math.exp(wobble * math.sin(3 * seed + phase))


def run(
    arm, place, seed, phase=0.0, wobble=0.02, per_token=1e-4, predicted=0.5, measured=0.5, depth=0.1, n=500, **values
):
    """A record of one run; `values` are estimates, which `wobble` moves from seed to seed."""
    hazard = wobbled(per_token, seed, wobble, phase)
    found = {name: estimate(wobbled(value, seed, wobble, phase), 10**6) for name, value in values.items()}
    return {
        **{"arm": arm.name, "task": place.name, "seed": seed, "settings": Cell(arm, place, seed).settings.to_json()},
        "counts": {
            "errors": [round(10**4 * wobbled(values.get("hazard", 0.0), seed, wobble, phase))] * 48 + [10**3] * 16,
            "at_risk": [10**4] * 64,
        },
        "survival": [list((1 - hazard) ** np.arange(1, 65)), [0.0] * 64],
        "horizon": 64,
        "estimates": {"unfinished": estimate(0.0), "off_policy_step_error": estimate(0.1), **found},
        "profile": [estimate(depth, n)] * 16,
        "ever_deleted": [predicted, estimate(wobbled(measured, seed, wobble, phase), n)],
    }


def runs(arm, place=PLACE, seeds=SEEDS, **values):
    return [run(arm, place, seed, phase=2.3 * len(arm.name), **values) for seed in range(seeds)]


def verdict(statement, records, arms, place=PLACE):
    study = Study("some", "?", arms, (place,), SEEDS, Questions(HYPOTHESES))
    (found,) = (v for v in verdicts(Results(study, records)) if statement in v.statement)
    return found


LOW, HIGH = {"hazard": 0.005, "per_token": 5e-5}, {"hazard": 0.01, "per_token": 1e-4}


@pytest.mark.parametrize(
    ("mle", "masked", "outcome"),
    [
        (HIGH, LOW, "holds"),
        (LOW, HIGH, "fails"),
        (HIGH, {**LOW, "per_token": 0.5}, "fails"),  # a regret that is saturated from the start on grows linearly
        (HIGH, {**HIGH, "hazard": 0.0099}, "fails"),  # no effect is no lower hazard
        (HIGH, {**HIGH, "hazard": 0.009}, "undecided"),
        ({**HIGH, "wobble": 1.0}, {**LOW, "wobble": 1.0}, "undecided"),
        (HIGH, {**LOW, "per_token": 0.0}, "open"),  # no slope without an error
        ({**HIGH, "seeds": FEWEST - 1}, LOW, "undecided"),
    ],
)
def test_a_lower_hazard_with_the_same_exponent(mle, masked, outcome):
    records = [*runs(MLE, **mle), *runs(MASKED, **masked)]
    assert verdict("leaves the exponent alone", records, (MLE, MASKED)).status == outcome


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ({"measured": 0.5}, "holds"),
        ({"measured": 0.51}, "holds"),
        ({"measured": 0.4}, "fails"),
        ({"measured": 0.5, "wobble": 0.4}, "undecided"),
        ({"measured": 0.4, "n": 10}, "open"),
    ],
)
def test_the_share_of_errors_ever_deleted_is_predicted(values, outcome):
    assert verdict("predicts the share", runs(MASKED, **values), (MASKED,)).status == outcome


@pytest.mark.parametrize(
    ("depth", "hazard", "outcome"), [(0.7, 1e-4, "holds"), (0.7, 0.01, "fails"), (0.505, 1e-4, "open")]
)
def test_deep_detection_leaves_no_hazard(depth, hazard, outcome):
    records = runs(MASKED, depth=depth, hazard=hazard, measured=0.3)
    for i, record in enumerate(records):
        record["profile"] = [estimate(depth + 0.01 * (i - 2), 500)] * 16
    assert verdict("down to depth 16", records, (MASKED,)).status == outcome


@pytest.mark.parametrize(
    ("detector", "hazard", "outcome"),
    [(0.7, 1e-4, "holds"), (0.7, 0.0, "holds"), (0.7, 0.01, "fails"), (0.4, 1e-4, "open")],
)
def test_a_planted_detection_needs_no_steps_to_be_known(detector, hazard, outcome):
    arm = replace(MASKED, decodings=(Decoding("planted", detector=detector),))
    samples = zip(runs(MASKED, hazard=0.01), runs(MASKED, hazard=hazard, n=1), strict=True)
    records = [
        plain | {"decoded": [{"decoding": "planted", **{k: deep[k] for k in ("estimates", "profile", "counts")}}]}
        for plain, deep in samples
    ]
    found = verdict("down to depth 16", records, (arm,))
    assert found.status == outcome
    assert all(f"planted b = {detector}" in finding.numbers for finding in found.findings)


@pytest.mark.parametrize(
    ("rival", "outcome"), [(0.01, "holds"), (0.0105, "holds"), (0.008, "fails"), (0.00909, "undecided")]
)
def test_averaged_weights_are_within_a_tenth_of_every_agent(rival, outcome):
    records = [*runs(AVERAGED, hazard=0.01), *runs(MASKED, hazard=rival), *runs(MLE, hazard=0.001)]
    found = verdict("averaged weights", records, (MLE, AVERAGED, MASKED))
    assert found.status == outcome
    assert len(found.findings) == 1  # MLE itself is no imitation agent
    for record in records:
        del record["estimates"]["off_policy_step_error"]
    assert verdict("averaged weights", records, (MLE, AVERAGED, MASKED)).status == "open"


@pytest.mark.parametrize(
    ("rivals", "outcome"),
    [((0.008, 0.012), "holds"), ((0.0105, 0.012), "fails"), ((0.00909, 0.012), "undecided"), ((0.004, 0.008), "holds")],
)
def test_the_gap_opens_where_some_agent_beats_averaged_weights_that_cannot_be_right(rivals, outcome):
    hopeless = replace(PLACE, realizable=False)
    records = [*runs(AVERAGED, hazard=0.01), *runs(MASKED, hazard=rivals[0]), *runs(IMITATED, hazard=rivals[1])]
    arms = (AVERAGED, MASKED, IMITATED)
    found = verdict("that gap opens", records, arms, hopeless)
    assert found.status == outcome
    (finding,) = found.findings
    assert MASKED.name in finding.numbers
    assert verdict("that gap opens", records, arms).status == "open"
    assert verdict("averaged weights", records, arms, hopeless).status == "open"


def test_the_best_of_many_is_no_finding_by_itself():
    rivals = tuple(replace(MASKED, name=f"rival {i}") for i in range(30))
    ours, g = runs(AVERAGED, hazard=0.011), np.random.default_rng(0)
    theirs = {arm.name: runs(arm, hazard=0.01) for arm in rivals}
    for record in (r for own in theirs.values() for r in own):
        record["estimates"]["hazard"] = estimate(0.01 * math.exp(0.1 * g.normal()), 10**6)
    alone = [compared(ours, own, "hazard").above(1.1) for own in theirs.values()]
    assert min(alone) < 0.05
    records = [*ours, *(r for own in theirs.values() for r in own)]
    found = verdict("averaged weights", records, (AVERAGED, *rivals))
    assert "fails" not in {finding.outcome for finding in found.findings}
    beaten = verdict("averaged weights", [*records, *runs(IMITATED, hazard=0.003)], (AVERAGED, *rivals, IMITATED))
    assert [IMITATED.name in f.numbers for f in beaten.findings if f.outcome == "fails"] == [True]


@pytest.mark.parametrize(
    ("mle", "burst", "outcome"),
    [(0.5, 0.9, "holds"), (0.3, 0.45, "undecided"), (0.5, 0.51, "fails"), (0.9, 0.5, "fails")],
)
def test_success_on_star_is_above_mles_and_above_a_guess(mle, burst, outcome):
    records = [*runs(MLE, STAR, success=mle), *runs(BURST, STAR, success=burst)]
    assert verdict("On star graphs", records, (MLE, BURST), STAR).status == outcome
    elsewhere = [*runs(MLE, success=mle), *runs(BURST, success=burst)]
    assert verdict("On star graphs", elsewhere, (MLE, BURST)).status == "open"


@pytest.mark.parametrize(
    ("cut", "outcome"), [(0.005, "holds"), (0.0102, "holds"), (0.013, "fails"), (0.011, "undecided")]
)
def test_min_p_is_within_a_tenth_of_a_backspace(cut, outcome):
    records = runs(MASKED, hazard=0.01)
    for plain, sampled in zip(runs(CUT, hazard=0.02), runs(MASKED, hazard=cut, wobble=0.03), strict=True):
        records.append(plain | {"decoded": [{"decoding": "cut", "estimates": sampled["estimates"]}]})
    assert verdict("hazard of min-p", records, (CUT, MASKED)).status == outcome


@pytest.mark.parametrize(
    ("of", "factor", "outcome"),
    [("cloned", 1.03, "holds"), ("teacher", 0.97, "fails"), ("teacher", 1.1, "fails"), ("cloned", 1.1, "undecided")],
)
def test_rare_tokens_are_lost_as_predicted(of, factor, outcome):
    law = Rarity(NGram(order=1, size=9, horizon=8).law.numpy(), 8)
    shares = {"cloned": law.cloned(0.05), "teacher": law.teacher}
    assert shares["cloned"] < 0.85 * shares["teacher"]
    records = [*runs(MLE, NGRAM, rare_tokens=shares["teacher"]), *runs(MASKED, NGRAM, rare_tokens=factor * shares[of])]
    found = verdict("rare tokens", records, (MLE, MASKED), NGRAM)
    assert found.status == outcome
    assert f"predicted {shares['cloned']:.4f}" in found.findings[0].numbers


@pytest.mark.parametrize("hypothesis", HYPOTHESES)
def test_what_has_no_records_is_open_and_says_what_it_takes(hypothesis):
    found = verdict(hypothesis.statement, runs(MLE, hazard=0.01), (MLE,))
    assert (found.status, found.lacking) == ("open", hypothesis.needs)


# -- what claims decide


def test_outcomes_are_corrected_over_the_claims_with_seeds_enough():
    p_values = [0.004, 0.02, 0.03, 0.9]
    claims = [Claim("a", "", 5, p, 1 - p) for p in p_values]
    outcomes = [finding.outcome for finding in judged(claims)]
    assert outcomes == ["holds" if p < 0.05 else "undecided" for p in holm(p_values)] == ["holds", *["undecided"] * 3]
    against = [Claim("a", "", 5, 1 - p, p) for p in p_values]
    assert [finding.outcome for finding in judged(against)] == ["fails", *["undecided"] * 3]
    few = [claims[0], *(replace(claim, seeds=FEWEST - 1) for claim in claims[1:])]
    assert [f.outcome for f in judged([*few[1:], Claim("b", "", 5, 0.04, 0.96)])] == [*["undecided"] * 3, "holds"]
    assert judged([Claim("a", "", 5, math.nan, math.nan)])[0].outcome == "undecided"
    assert math.isnan(either(0.01, math.nan))


@pytest.mark.parametrize(
    ("outcomes", "whole"),
    [
        ((), "open"),
        (("holds", "holds"), "holds"),
        (("holds", "undecided"), "undecided"),
        (("fails", "undecided"), "fails"),
        (("fails", "holds", "undecided"), "mixed"),
    ],
)
def test_the_status_of_all_findings(outcomes, whole):
    p = {"holds": (0.0, 1.0), "fails": (1.0, 0.0), "undecided": (0.5, 0.5)}
    assert status(judged([Claim("a", "", 5, *p[outcome]) for outcome in outcomes])) == whole
