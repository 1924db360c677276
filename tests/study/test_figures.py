"""Figures can be read by those who do not see all colours, and show where one run more would lie."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from small_studies import PLACE, STUDY, synthetic

from benchmarks.compounding_error.analysis.results import Results, next_run
from benchmarks.compounding_error.page import figures, report
from benchmarks.compounding_error.page.figures import BAD, COLOURS, GOOD, styles
from benchmarks.compounding_error.page.panels import PANELS
from benchmarks.compounding_error.page.training_curve import TRAINING, curves
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.study import Arm, Highlight, Questions

# Machado, Oliveira and Fernandes (2009), full severity, for linear RGB.
BLINDNESS = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, blindness):
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.array(BLINDNESS[blindness]) @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_are_told_apart(blindness):
    assert len(COLOURS) == 12
    for a, b in combinations(COLOURS, 2):
        assert np.linalg.norm(lab(a, blindness) - lab(b, blindness)) > 20, (a, b)
    assert np.linalg.norm(lab(GOOD, blindness) - lab(BAD, blindness)) > 20


def test_colours_are_seen_on_white_and_on_black():
    for colour in COLOURS:
        lightness = lab(colour, "none")[0]
        assert 30 < lightness < 82, colour


def test_the_test_finds_colours_that_are_not_told_apart():
    blue, violet = (lab(colour, "deuteranopia") for colour in ("#4f74e0", "#8a63d2"))
    assert np.linalg.norm(blue - violet) < 12


def test_no_two_rows_look_alike_without_their_colour():
    arms = tuple(Arm(f"arm {i}", {"agent": "bc", "noise_rate": i / 100}) for i in range(12))
    study = replace(STUDY, arms=arms)
    looks = styles(Results(study, synthetic(study))).values()
    assert len({(str(look.dashes), look.marker) for look in looks}) == 12
    assert len({(look.colour, str(look.dashes), look.marker) for look in looks}) == 12


def test_where_one_run_more_would_lie():
    values = np.random.default_rng(0).normal(5, 2, (4000, 6))
    held = [low <= more <= high for *seen, more in values for low, high in [next_run(seen)]]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)
    low, high = next_run([0.83, 0.92, 0.56])
    assert (low, high) == (0.0, 1.0)  # shares
    half = stats.t.ppf(0.975, 2) * np.std([3, 4, 5], ddof=1) * np.sqrt(4 / 3)
    assert next_run([3, 4, 5]) == pytest.approx((4 - half, 4 + half))
    assert np.isnan(next_run([0.1, 0.2])).all()


def test_success_is_drawn_against_the_cost_of_training():
    arms = tuple(Arm(f"{name}, x {x:g}", {"agent": "bc"}, share=x) for name in ("A", "B") for x in (2, 0.5, 1))
    study = replace(STUDY, arms=arms, questions=Questions(sections=(TRAINING,)))
    records = synthetic(study)
    for record in records:
        record["cost"] = 1e6 * float(record["arm"].split("x ")[1])
    results = Results(study, records)
    found = curves(results, PLACE)
    assert {name: [runs[0]["arm"] for runs in shares] for name, shares in found.items()} == {
        name: [f"{name}, x {x}" for x in ("0.5", "1", "2")] for name in ("A", "B")
    }
    page = report.page(results, {})
    assert "Success against cost of training, seeds as ticks" in page
    assert page.count("<figcaption>") == 1
    names = {arm.name.partition(", x ")[0] for arm in PRESETS["referee-training"].arms}
    assert len(names) * 5 == len(PRESETS["referee-training"].arms) == 20


def test_the_referees_study_asks_of_rows_that_it_has():
    rows = set(PRESETS["referee"].rows)
    for hypothesis in PRESETS["referee"].questions.hypotheses:
        row, _, rest = hypothesis.statement.partition(" is better than ")
        assert row in rows
        assert rest.rpartition(" (")[0] in rows
    biased = [arm for arm in PRESETS["referee"].arms if arm.settings.get("backspace", True)]
    assert all({"bias", "tabu", "restart"} <= {how.name for how in arm.decodings} for arm in biased)


def with_budgets(study):
    """Of the best of two draws nothing fits into 6 actions."""
    records = synthetic(study)
    for record in records:
        for sample in (record, *record["decoded"]):
            sample["by_budget"] = {"budgets": [4, 6, 12], "right": [0, 1, 2], "ended": [0, 3, 4], "spent": [], "n": 4}
        if record["decoded"]:
            record["decoded"][-1]["by_budget"] = sample["by_budget"] | {"right": [0, 0, 2], "ended": [0, 0, 4]}
    return Results(study, records)


def lines(results):
    whole = figures.figure(results, PANELS["by_budget"])
    drawn = [one for one in whole.axes[0].lines if one.get_drawstyle() == "steps-post"]
    return {int(one.get_gid().split("-")[1]): one.get_xdata().tolist() for one in drawn}


def test_success_is_drawn_from_the_first_budget_that_a_text_fits_into():
    """Rows of `STUDY`: 0 is maximum likelihood, 2 the best of two of its draws."""
    found = lines(with_budgets(STUDY))
    assert found[0] == [6, 12]
    assert found[2] == [12]


def test_the_figure_of_success_is_of_the_highlights_and_names_them_so(tmp_path):
    study = replace(STUDY, highlights=(Highlight("the first", ("MLE",)), Highlight("the other", ("B", "B elsewhere"))))
    results = with_budgets(study)
    assert set(lines(results)) == {STUDY.rows.index("MLE"), STUDY.rows.index("B")}
    whole = figures.figure(results, PANELS["by_budget"])
    figures.write({"by_budget": whole}, results, tmp_path)
    assert [text.get_text() for text in whole.legends[0].get_texts()] == ["the first", "the other"]


def test_the_highlights_of_the_memory_study_are_rows_of_it_and_look_alike_on_its_tasks():
    memory = PRESETS["memory"]
    assert {row for one in memory.highlights for row in one.rows} <= set(memory.rows)
    arms = tuple(Arm(row, {"agent": "bc"}) for one in memory.highlights for row in one.rows)
    looks = styles(
        Results(replace(STUDY, arms=arms, highlights=memory.highlights), synthetic(replace(STUDY, arms=arms)))
    )
    for one in memory.highlights:
        assert len({(looks[row].colour, str(looks[row].dashes), looks[row].marker) for row in one.rows}) == 1
    assert len({looks[one.rows[0]].colour for one in memory.highlights}) == len(memory.highlights)
