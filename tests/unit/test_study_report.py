"""What is made of the records of a study: figures, growth, correlations, verdicts, and texts that quote them."""

import copy
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from small_studies import ARM, PLACE, STUDY, stored, synthetic

from benchmarks.compounding_error import figures, growth, report
from benchmarks.compounding_error.cells import Cell, rows_of, run
from benchmarks.compounding_error.correlation import likelihood_against_quality
from benchmarks.compounding_error.hypotheses import verdicts
from benchmarks.compounding_error.panels import PANELS
from benchmarks.compounding_error.rows import Results
from benchmarks.compounding_error.settings import MASKED, MLE
from benchmarks.compounding_error.study import Study
from benchmarks.compounding_error.tables import markdown
from benchmarks.compounding_error.verification import verify
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
    monkeypatch.setattr("envs.tasks.automaton.Automaton.judged", False)
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


# -- hypotheses


def judged(records, statement):
    study = Study("two", "?", (MLE, MASKED), (PLACE,), seeds=3)
    (found,) = (v for v in verdicts(Results(study, records)) if statement in v.statement)
    return found.status


def two_agents(hazards, survival=(0.01, 0.005), predicted=0.5, deep=0.1, errors=50, average=None, exact=False):
    records = []
    for arm, hazard, per_token in zip((MLE, MASKED), hazards, survival, strict=True):
        for seed in range(3):
            estimate = {"hazard": Estimate(hazard + 1e-5 * seed, 0, 1, 9, "tokens").to_json()}
            estimate["unfinished"] = Estimate(0, 0, 0, 100, "sequences").to_json()
            if exact:
                estimate["off_policy_step_error"] = Estimate(0.1, 0, 1, 9, "prefixes").to_json()
            profile = [Estimate(deep, deep - 0.05, deep + 0.05, 500, "steps").to_json()] * 16
            ever = [predicted, Estimate(0.5 + 0.01 * seed, 0.4, 0.6, errors, "errors").to_json()]
            settings = {**Cell(arm, PLACE, seed).settings.to_json(), "steps": 1, "average": average}
            record = {**survival_of(per_token, 64), "estimates": estimate, "profile": profile, "ever_deleted": ever}
            records.append({**record, "arm": arm.name, "task": PLACE.name, "seed": seed, "settings": settings})
    return records


@pytest.mark.parametrize(
    ("statement", "records", "status"),
    [
        ("leaves the exponent alone", two_agents((0.01, 0.005), (1e-4, 5e-5)), "holds"),
        ("leaves the exponent alone", two_agents((0.005, 0.01), (1e-4, 5e-5)), "fails"),
        ("leaves the exponent alone", two_agents((0.01, 0.005), (0.2, 1e-5)), "fails"),
        ("predicts the share", two_agents((0.01, 0.005)), "holds"),
        ("predicts the share", two_agents((0.01, 0.005), predicted=0.9), "fails"),
        ("down to depth 16", two_agents((0.01, 0.005)), "open"),
        ("down to depth 16", two_agents((0.01, 0.0005), deep=0.7), "holds"),
        ("down to depth 16", two_agents((0.01, 0.005), deep=0.7), "fails"),
        ("On star graphs", two_agents((0.01, 0.005)), "open"),
        ("leaves the exponent alone", two_agents((0.01, 0.005), (1e-4, 0.0)), "open"),  # no slope without an error
        ("predicts the share", two_agents((0.01, 0.005), errors=30), "open"),
        ("averaged weights", two_agents((0.01, 0.005), average=0.99), "open"),  # no teacher
        ("averaged weights", two_agents((0.01, 0.005), average=0.99, exact=True), "fails"),
        ("averaged weights", two_agents((0.005, 0.005), average=0.99, exact=True), "holds"),
    ],
)
def test_verdicts_follow_the_numbers(statement, records, status):
    assert judged(records, statement) == status


# -- figures


def test_every_panel_draws_every_row_and_survives_the_infinite(measured):
    records = copy.deepcopy(measured)
    records[0]["estimates"]["hazard"].update(value="inf", low="nan", high="nan")
    results = Results(PAIR, records)
    drawn = figures.drawn(results)
    assert set(drawn) == {PLACE.name, *PANELS}
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
        verify(readme, results)
    verify(readme, results, write=True)
    text = readme.read_text()
    assert "0.30<!--" not in text
    assert "Success is 0<!--" in text  # rounded as it stands there
    assert "and 0.40<!--" in text  # 1 - success of the fifth row, .6
    assert "| MLE, greedy | 0.700±0.025 ✓ |" in text
    assert "```\nautomaton\n" in text
    assert verify(readme, results) == [f"{readme}: 2 blocks and 2 numbers", f"{results}: 1 tables"]


@pytest.mark.parametrize("where", ["results/small/table.md", "README.md", "results/small/results.jsonl"])
def test_any_altered_number_is_drift(quoting, where):
    readme, results = quoting
    verify(readme, results, write=True)
    file = readme.parent / where
    old, new = ('"value": 0.2,', '"value": 0.5,') if where.endswith("jsonl") else ("0.700±0.025", "0.701±0.025")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(SeqilError, match=r"drift: .*says"):
        verify(readme, results)


def test_a_text_that_marks_nothing_is_not_verified(quoting):
    readme, results = quoting
    readme.write_bytes(b"\xff0.001")
    with pytest.raises(InvalidInputError, match="UTF-8"):
        verify(readme, results)
    readme.write_text("All is well: 0.001.\n")
    with pytest.raises(InvalidInputError, match="marks no number"):
        verify(readme, results)
    readme.write_text("0.1<!-- small/automaton/Oracle/success -->\n")
    with pytest.raises(InvalidInputError, match="say nothing of automaton/Oracle/success"):
        verify(readme, results)
    readme.write_text("<!-- study:huge -->\n<!-- /study -->\n")
    with pytest.raises(InvalidInputError, match="no records of a study 'huge'"):
        verify(readme, results)
