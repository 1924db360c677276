"""A metric is one entry: registered by somebody else, it stands wherever metrics stand."""

from importlib.metadata import EntryPoint
from itertools import pairwise

import pytest
from small_studies import PLACE, STUDY, synthetic

from benchmarks.compounding_error.analysis import tables
from benchmarks.compounding_error.analysis.contrasts import marks
from benchmarks.compounding_error.analysis.correlation import qualities
from benchmarks.compounding_error.analysis.in_a_sentence import answers
from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.page import report
from benchmarks.compounding_error.running.cells import Cell, run
from benchmarks.compounding_error.study import Arm
from seqil import Metric, Trajectories, Vocabulary, evaluation
from seqil.errors import InvalidInputError
from seqil.metrics.entries import by_difference
from seqil.metrics.reported import METRICS
from seqil.runs import known_metrics, plugins
from seqil.statistics import Estimate, mean
from seqil.testing.agents import tiny_demonstrations, tiny_policy

BLANDNESS = Metric(
    "blandness",
    "Texts that hold a token twice in a row.",
    lambda s: mean([float(any(a == b for a, b in pairwise(t))) for t in s.texts], "sequences"),
    "share of texts",
    better="lower",
    compared=by_difference,
    group="quality",
)
TWICE = Metric("hazard", "Taken.", lambda s: None, "")
NO_METRIC = 3


@pytest.fixture
def registered(monkeypatch):
    """Registers objects of this module as another distribution would."""

    def register(**objects):
        points = [EntryPoint(name, f"{__name__}:{value}", "seqil.metrics") for name, value in objects.items()]
        found = plugins.entry_points
        monkeypatch.setattr(
            plugins, "entry_points", lambda group: [*found(group=group), *points * (group == "seqil.metrics")]
        )
        known_metrics.metrics.cache_clear()

    yield register
    monkeypatch.undo()
    known_metrics.metrics.cache_clear()


def test_an_object_is_measured_beside_the_others():
    v = Vocabulary(5, 4)
    texts = Trajectories.from_actions(v, [[0], [1]], [[1, 1, 4], [2, 3, 4]], max_length=6)
    from tests.metrics.test_entries import Unjudged

    sample = Unjudged(), tiny_policy(), tiny_demonstrations(backspace=False), texts
    assert evaluation(*sample, metrics=[BLANDNESS]) == {"blandness": mean([1.0, 0.0], "sequences")}
    assert "blandness" not in evaluation(*sample)
    assert [m.name for m in METRICS if m.name in evaluation(*sample)] == list(evaluation(*sample))


def test_a_registered_metric_is_in_records_tables_marks_correlations_sentences_and_on_the_page(registered):
    registered(blandness="BLANDNESS")
    record = run(Cell(Arm("MLE", {"agent": "bc", "backspace": False}), PLACE, 0))
    assert 0 <= Estimate.of(record["estimates"]["blandness"]).value <= 1
    records = synthetic(STUDY)
    for one in records:
        for sample in (one, *one["decoded"]):
            sample["estimates"]["blandness"] = sample["estimates"].pop("success")
            del sample["estimates"]["hazard"]
    results = Results(STUDY, records)
    head, *_ = tables.table(results, PLACE)
    assert head[1] == "↓ blandness"
    assert marks(results, PLACE)["MLE, greedy", "blandness"] == "✗"
    assert BLANDNESS in qualities()
    assert "lower is better" in answers(results)[0]
    page = report.page(results, {})
    assert "blandness</th>" in page
    assert "<td>blandness</td>" in page


def test_what_is_no_metric_is_refused(registered):
    registered(odd="NO_METRIC")
    with pytest.raises(InvalidInputError, match=r"metric 'odd' .* is not a metric: register a seqil.Metric"):
        known_metrics.metrics()


def test_a_name_that_is_taken_is_refused(registered):
    registered(other="TWICE")
    with pytest.raises(InvalidInputError, match="two metrics have the name 'hazard'"):
        known_metrics.metrics()


def test_entries_say_what_they_are():
    assert len({m.name for m in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.about.endswith(".")
        assert metric.unit
        assert metric.compared is None or metric.better
        assert metric.in_place_of in (None, *(m.name for m in METRICS))
