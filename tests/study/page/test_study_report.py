"""What is made of the records of a study: figures, growth, correlations, verdicts, and texts that quote them."""

import copy
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_studies import ARM, PLACE, STUDY, stored, synthetic

from benchmarks.compounding_error.analysis import fits, predicted
from benchmarks.compounding_error.analysis import regret as growth
from benchmarks.compounding_error.analysis.correlation import likelihood_against_quality
from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.analysis.tables import markdown
from benchmarks.compounding_error.page import figures, report
from benchmarks.compounding_error.page.panels import PANELS, survival_curves
from benchmarks.compounding_error.running.cells import Cell, rows_of, run
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.base.parts import MASKED
from benchmarks.compounding_error.studies.base.questions import QUESTIONS
from benchmarks.compounding_error.study import Study
from benchmarks.compounding_error.verification import verify
from seqil import metrics
from seqil.errors import InvalidInputError, MissingExtraError, SeqilError
from seqil.statistics import Estimate

HORIZONS = replace(PLACE, horizons=(3, 12), horizon_samples=10)
PAIR = Study("pair", "Which?", (replace(ARM, decodings=ARM.decodings[:1]), MASKED), (HORIZONS,), seeds=1)


@pytest.fixture(scope="module")
def measured():
    """Records of two agents, as a file holds them."""
    return [stored(run(Cell(arm, HORIZONS, 0))) for arm in PAIR.arms]


# -- records


def test_a_record_holds_what_the_page_is_made_of(measured):
    mle, masked = measured
    assert [h["horizon"] for h in masked["horizons"]] == [3, 12]
    assert [h["extrapolation"] for h in masked["horizons"]] == [False, True]
    assert masked["threads"] == 1
    assert masked["horizon"] == 6
    counts, (curve, _) = masked["counts"], masked["survival"]
    hazards = np.array(counts["errors"]) / np.maximum(counts["at_risk"], 1)
    assert np.cumprod(1 - hazards) == pytest.approx(curve, abs=1e-5)
    assert 0 < masked["estimates"]["teacher_forced_accuracy"]["value"] < 1
    assert 0 < masked["entropy"]["own"][0]["value"] < np.log(16)
    assert mle["decoded"][0]["decoding"] == "greedy"
    for text in masked["trajectories"]:
        assert len({len(text[name]) for name in ("written", "backspace", "value", "reward", "depth")}) == 1
        assert all(0 <= p <= 1 for p in text["backspace"])
    assert all(p == 0 for text in mle["trajectories"] for p in text["backspace"])


def test_a_decoding_is_known_by_its_name_and_one_that_the_arm_has_lost_is_left_out(measured):
    greedy, best = ARM.decodings
    record = measured[0]
    assert [row["arm"] for row in rows_of(record, replace(ARM, decodings=(best, greedy)))] == ["MLE", "MLE, greedy"]
    assert [row["arm"] for row in rows_of(record, replace(ARM, decodings=(best,)))] == ["MLE"]
    assert all("trajectories" not in row for row in list(rows_of(record, ARM))[1:])


def test_a_task_without_errors_has_a_record_and_a_page_too(monkeypatch, tmp_path):
    monkeypatch.setattr("envs.tasks.markov.automaton.Automaton.judged", False)
    study = replace(PAIR, arms=(MASKED,))
    (record,) = (stored(run(Cell(arm, HORIZONS, 0))) for arm in study.arms)
    assert record["survival"] == record["profile"] == []
    assert "hazard" not in record["estimates"]
    assert record["estimates"]["regret"]["value"] > 0
    page = report.page(Results(study, [record]), {})
    assert "regret" in page
    assert set(figures.drawn(Results(study, [record]))) == {PLACE.name, "entropy"}


# -- growth


def survival_of(hazard, T):
    return {
        "survival": [list((1 - hazard) ** np.arange(1, T + 1)), [0.0] * T],
        "estimates": {"unfinished": {"n": 100}},
        "horizon": T,
    }


def test_regret_and_its_slopes_of_a_constant_hazard():
    runs = [survival_of(1e-5, 64)] * 3
    found = growth.points(runs)
    assert [p.horizon for p in found] == [4, 8, 16, 32, 64]
    assert found[-1].regret.value == pytest.approx(1e-5 * 64 * 65 / 2, rel=1e-3)
    assert [slope for _, slope, _ in growth.slopes(found)] == pytest.approx([2] * 4, abs=1e-3)
    at_once = growth.points([survival_of(1.0, 64)] * 3)
    assert [p.regret.value for p in at_once] == [4, 8, 16, 32, 64]
    assert growth.slopes(growth.points([survival_of(0.0, 64)] * 3)) == []
    # Texts that ended without an error stay without one.
    early = {**survival_of(0.0, 8), "survival": [[0.9, 0.8], [0.0, 0.0]]}
    assert growth.points([early] * 3)[-1].regret.value == pytest.approx(0.1 + 7 * 0.2)


def test_regret_at_other_horizons_is_that_of_their_own_samples(measured):
    found = growth.points(measured[1:])
    assert [(p.horizon, p.extrapolation) for p in found] == [(3, False), (6, False), (12, True)]
    curve = np.array(measured[1]["horizons"][1]["survival"][0])
    at_end = curve[-1] * (12 - len(curve)) if len(curve) < 12 else 0
    assert found[2].regret.value == pytest.approx(12 - curve[:12].sum() - at_end, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20))
def test_texts_are_found_again_in_their_table_of_risks(texts):
    survived, wrong = (np.array(x) for x in zip(*texts, strict=True))
    first = np.where(wrong, survived, -1)
    at_risk, errors = metrics.risk_table(first, survived)
    found = fits.first_errors_of({"errors": errors.tolist(), "at_risk": at_risk.tolist()})
    seen = wrong | (survived > 0)  # a text without a token was never at risk
    assert sorted(zip(*found, strict=True)) == sorted(zip(first[seen], survived[seen], strict=True))


def test_fits_of_a_constant_hazard_and_of_one_that_falls():
    T, t = 64, np.arange(64)
    for falling, shape in ((False, 1.0), (True, 0.6)):
        curve = np.exp(-(((t + 1) / 200) ** shape))
        alive = np.append(1.0, curve[:-1])
        counts = {"errors": np.round(1e5 * (alive - curve)).astype(int), "at_risk": None}
        counts["at_risk"] = (100_000 - np.append(0, counts["errors"].cumsum()[:-1])).tolist()
        counts["errors"] = counts["errors"].tolist()
        run = {**survival_of(0.0, T), "survival": [curve.tolist(), [0.0] * T], "counts": counts}
        found = fits.fit([run] * 3)
        assert found.shape.value == pytest.approx(shape, rel=0.02)
        assert (found.recover.value > 0.01) == falling
        assert falling or found.leak.value == pytest.approx(1 / 200, rel=0.01)
    assert fits.fit([survival_of(0.1, 8)] * 3) is None
    flawless = {**survival_of(0.0, 8), "counts": {"errors": [0] * 8, "at_risk": [9] * 8}}
    assert fits.fit([flawless] * 3).leak is None


# -- the page's other tables


def test_the_closed_form_of_a_wrong_class_stands_on_the_pages_of_our_studies(tmp_path):
    ratios = [cloned / best for _, cloned, best in predicted.coin_distances()]
    assert ratios == pytest.approx([1.118, 2.130, 5.534, 16.278, 27.464], rel=1e-3)
    report.write(Results(replace(STUDY, questions=QUESTIONS), synthetic(STUDY)), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert all(f"<td>{ratio:.2f}</td>" in page for ratio in ratios)
    assert "Total variation of the cloned and of the best coin" in page
    own = ("memory", "referee", "scale", "noisy-expert", "revise", "real", "calibration", "density")
    assert all(study.questions == QUESTIONS for name, study in PRESETS.items() if not name.startswith(own))


def test_rows_are_compared_with_the_first_where_there_are_seeds_enough():
    page = report.page(Results(STUDY, synthetic(STUDY)), {})
    assert "automaton: 8 better, 0 worse, 0 undecided" in page
    assert "<td>1.00</td><td>0.6000</td><td>0.2000</td>" in page
    few = [r for r in synthetic(STUDY) if r["seed"] < 2]
    assert "Compared seed by seed" not in report.page(Results(STUDY, few), {})


# -- likelihood against quality


def test_rank_correlations_are_scipys_and_infinite_values_rank_last():
    records = synthetic(STUDY)
    rng = np.random.default_rng(0)
    for i, record in enumerate(records):
        record["estimates"]["nll_per_token"] = Estimate(rng.random(), 0, 1, 9, "sequences").to_json()
        record["estimates"]["hazard"]["value"] = "inf" if i == 4 else float(rng.random())
    found = likelihood_against_quality(Results(STUDY, records), PLACE)
    everyone = next(c for c in found if (c.quality, c.among) == ("hazard", "all runs"))
    x, y = ([float(r["estimates"][m]["value"]) for r in records] for m in ("nll_per_token", "hazard"))
    y = [100.0 if v == float("inf") else v for v in y]
    assert everyone.n == 9
    assert everyone.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
    assert everyone.kendall_p == pytest.approx(stats.kendalltau(x, y).pvalue)
    assert {c.among for c in found} == {"all runs", "bc"}  # six runs of cloning, three of MLE are too few
    success = next(c for c in found if (c.quality, c.among) == ("success", "all runs"))
    right = [-float(r["estimates"]["success"]["value"]) for r in records]
    assert success.spearman == pytest.approx(stats.spearmanr(x, right).statistic)


# -- figures


def test_every_panel_draws_every_row_and_survives_the_infinite(measured):
    records = copy.deepcopy(measured)
    records[0]["estimates"]["hazard"].update(value="inf", low="nan", high="nan")
    counts = {"budgets": [4, 9], "right": [1, 2], "ended": [3, 4], "spent": [4.0, 8.0], "n": 20}
    for record in (sample for r in records for sample in (r, *r.get("decoded", ()))):
        record["by_budget"] = counts
    for record in records:
        half = {"steps": 1, "cost": record["cost"] / 2, "estimates": record["estimates"]}
        for sample in (record, *record.get("decoded", ())):
            sample["course"] = [half]
    results = Results(PAIR, records)
    drawn = figures.drawn(results)
    assert set(drawn) == {PLACE.name, *PANELS} - {"guesses"}  # which is of another task
    svg = figures.inlined("cost", drawn["cost"])
    assert {f'data-row="{i}"' in svg for i in range(3)} == {True}
    assert "currentColor" in svg
    assert figures.INK not in svg
    assert ' id="axes' not in svg


def test_an_agent_that_never_errs_is_drawn_without_logarithms(measured):
    records = copy.deepcopy(measured)
    for record in records:
        for sample in (record, *record["horizons"]):
            sample["survival"] = [[1.0] * 6, [0.0] * 6]
            sample["estimates"]["hazard"].update(value=0.0, low=0.0)
    for whole in figures.drawn(Results(PAIR, records)).values():
        assert "<svg" in figures.svg("flawless", whole)


def test_files_are_the_same_bytes_again(tmp_path):
    results = Results(STUDY, synthetic(STUDY))
    first, second = ([p.read_bytes() for p in report.write(results, tmp_path)] for _ in range(2))
    assert first == second
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.html", "table.md", "automaton.png", "automaton.svg"} <= names
    page = (tmp_path / "report.html").read_text()
    assert "<td class=better>0.300±0.025 ✓</td>" in page
    assert "{{" not in page.partition("<script")[0]


def test_older_records_without_counts_and_steps_are_rendered(tmp_path):
    results = Results(STUDY, synthetic(STUDY))
    report.write(results, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<h4>") == len(STUDY.rows)
    assert 'id="viewer"' not in page


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    results = Results(STUDY, synthetic(STUDY))
    with pytest.raises(MissingExtraError, match=r"pip install 'seqil\[study\]'"):
        figures.overview(results, PLACE)


# -- a text that quotes records


@pytest.fixture
def quoting(tmp_path, monkeypatch):
    monkeypatch.setitem(verify.__globals__["PRESETS"], "small", STUDY)
    folder = tmp_path / "results" / "small"
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in synthetic(STUDY)))
    (folder / "table.md").write_text(markdown(Results(STUDY, synthetic(STUDY))))
    readme = tmp_path / "README.md"
    readme.write_text(
        "# Text\n<!-- study:small -->\n<!-- /study -->\n<!-- table:small/automaton -->\n<!-- /table -->\n"
        "Success is 0<!-- small/automaton/MLE, greedy/success --> and 0.00<!-- small/automaton/C/hazard -->.\n"
    )
    return readme, tmp_path / "results"


def test_drift_is_named_written_and_then_gone(quoting):
    readme, results = quoting
    with pytest.raises(SeqilError, match="drift"):
        verify([readme], results)
    verify([readme], results, write=True)
    text = readme.read_text()
    assert "0.30<!--" not in text
    assert "Success is 0<!--" in text  # rounded as it stands there
    assert "and 0.40<!--" in text  # 1 - success of the fifth row, .6
    assert "| MLE, greedy | 0.300±0.025 ✓ | 0.700±0.025 ✓ |" in text
    assert "\n\nautomaton\n" in text
    assert verify([readme], results) == [f"{readme}: 2 blocks and 2 numbers", f"{results}: 1 tables"]


@pytest.mark.parametrize("where", ["results/small/table.md", "README.md", "results/small/results.jsonl"])
def test_any_altered_number_is_drift(quoting, where):
    readme, results = quoting
    verify([readme], results, write=True)
    file = readme.parent / where
    old, new = ('"value": 0.2,', '"value": 0.5,') if where.endswith("jsonl") else ("0.700±0.025", "0.701±0.025")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(SeqilError, match=r"drift: .*says"):
        verify([readme], results)


def test_a_text_that_marks_nothing_is_not_verified(quoting):
    readme, results = quoting
    readme.write_bytes(b"\xff0.001")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        verify([readme], results)
    readme.write_text("All is well: 0.001.\n")
    with pytest.raises(InvalidInputError, match="marks no number"):
        verify([readme], results)
    readme.write_text("0.1<!-- small/automaton/Oracle/success -->\n")
    with pytest.raises(InvalidInputError, match="say nothing of automaton/Oracle/success"):
        verify([readme], results)
    readme.write_text("<!-- study:huge -->\n<!-- /study -->\n")
    with pytest.raises(InvalidInputError, match="no records of a study 'huge'"):
        verify([readme], results)


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ("0.1<!-- small/automaton/MLE -->", "line 2: <!-- small/automaton/MLE --> marks no number"),
        ("0.1<!--small/automaton/MLE/success -->", "marks no number"),
        ("0.1 <!-- small/automaton/MLE/success -->", "marks no number"),
        ("1,000<!-- small/automaton/MLE/success -->", "marks no number"),
        ("<!-- study:small-->\n<!-- /study -->", "<!-- study:small--> marks no number and no block"),
        ("<!-- table:small/automaton -->\n| 1 |", "<!-- table:small/automaton --> marks no number and no block"),
        ("0.1<!-- small/automaton/MLE/success", "marks no number"),
        ("0.1<!-- huge/automaton/MLE/success -->", "no records of a study 'huge'"),
        ("0.1<!-- small/chain/MLE/success -->", "say nothing of chain/MLE/success"),
        ("0.1<!-- small/automaton/MLE/succes -->", "say nothing of automaton/MLE/succes"),
        ("<!-- table:small/chain -->\n<!-- /table -->", "nothing of a task 'chain'"),
    ],
)
def test_a_marker_that_is_none_is_no_marker_of_something_else(quoting, mark, complaint):
    readme, results = quoting
    readme.write_text(f"0.2<!-- small/automaton/MLE/success -->\n{mark}\n")
    with pytest.raises(InvalidInputError, match=re.escape(complaint)):
        verify([readme], results)


def test_survival_is_a_line_per_run_and_from_three_runs_on_their_mean():
    runs = [{"survival": [[0.9, 0.5], [0.1, 0.2]]}, {"survival": [[0.7, 0.3, 0.1], [0.1, 0.2, 0.1]]}]
    (curve, low, high), _ = survival_curves(runs)
    assert curve.tolist() == [0.9, 0.5]
    assert (high - low).tolist() == pytest.approx([2 * 1.96 * 0.1, 2 * 1.96 * 0.2])
    ((curve, low, high),) = survival_curves([*runs, {"survival": [[0.8], [0.1]]}])
    assert curve.tolist() == pytest.approx([0.8, 1.6 / 3, 1.4 / 3])
    half = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert [low[0], high[0]] == pytest.approx([0.8 - half, 0.8 + half])
