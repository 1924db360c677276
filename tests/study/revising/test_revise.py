"""The study of generators that revise: its arms run, are measured and stand on its page."""

from dataclasses import replace

import pytest

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.hypotheses.claims import verdicts
from benchmarks.compounding_error.page import report
from benchmarks.compounding_error.running import cells
from benchmarks.compounding_error.running.cells import Cell, run
from benchmarks.compounding_error.studies import PRESETS, revise
from benchmarks.compounding_error.study import Decoding
from seqil.errors import InvalidInputError

REVISE = PRESETS["revise"]
TINY = {"demonstrations": 32, "width": 16, "layers": 1, "heads": 2, "batch_size": 8, "sampling_rows": 8}


def smoke(arm, place):
    """Nothing is learned, everything is run."""
    small = replace(place, settings={**place.settings, **TINY}, budget=20_000, samples=4, pilot=1)
    tried = {"sampling_actions": 40} if arm.name == "DAgger" else {}
    return Cell(replace(arm, settings={**arm.settings, **tried}), small, 0)


@pytest.fixture(scope="module")
def records():
    """One cell of every arm, on the place that it is first for, and both arms of potentials."""
    places = {place.name: place for place in REVISE.places}
    found = [run(smoke(arm, places[(arm.places or ("automaton-16",))[0]])) for arm in REVISE.arms]
    return [*found, run(smoke(REVISE.arms[0], places["potentials"]))]


def test_it_has_189_cells_and_hypotheses_about_its_rows():
    assert len(cells.cells_of(REVISE)) == 189
    for hypothesis in REVISE.questions.hypotheses:
        claim = hypothesis.statement.partition(", by ")[0].rpartition(" (")[0]
        named = [row for row in REVISE.rows if row in claim]
        assert len(named) >= 2, hypothesis.statement


def test_every_decoding_of_a_place_is_measured_and_whole_texts_cost_what_they_feed(records):
    arms = {arm.name: arm for arm in REVISE.arms}
    places = {place.name: place for place in REVISE.places}
    for record in records:
        ways = arms[record["arm"]].ways(places[record["task"]])
        assert [one["decoding"] for one in record.get("decoded", [])] == [how.name for how in ways]
    masked = next(r for r in records if r["arm"] == "masked")
    paid = {r["decoding"]: r["estimates"]["forwards_per_net_token"]["value"] for r in masked["decoded"]}
    for k in (1, 2, 4):
        assert paid[f"blocks of {k}"] == pytest.approx((1 + 4 * 16 / k) * 18 / 17)
    assert paid["mask-predict"] == pytest.approx(4 * 18 / 17)
    assert not {"entropy", "trajectories"} & masked.keys()


def test_the_page_has_the_ceilings_and_the_rivals(records, tmp_path, monkeypatch):
    few = tuple(revise.Ceiling("automaton-16", f"law {i}", revise._known(0.5), 2.0) for i in range(2))
    monkeypatch.setattr(revise, "exact_ceilings", lambda: few)
    results = Results(REVISE, [record for record in records if record["task"] == "automaton-16"])
    written = report.write(results, tmp_path)
    page = written[0].read_text()
    for shown in ("Right texts against cells fed", "law 1", "At equal cells", "blocks of 4", "crosses are exact laws"):
        assert shown in page
    assert all(verdict.status in ("undecided", "open") for verdict in verdicts(results))


@pytest.mark.parametrize(
    ("arm", "how", "message"),
    [
        ("masked", Decoding("wrong", writing={"blocks": 2}), "unknown option of how a MaskedPolicy writes, 'blocks'"),
        ("masked", Decoding("wrong", writing={"block": "two"}), "block='two' is not an int"),
        ("masked", Decoding("wrong", writing={"at_once": 0}), "at_once=0"),
        ("masked", Decoding("wrong", rules=("tabu",)), "for policies that write token by token"),
        ("masked", Decoding("wrong", best_of=2), "which this policy has not"),
        ("MLE", Decoding("wrong", writing={"block": 2}), "nothing to a policy of tokens"),
        ("MLE", Decoding("wrong", best_of=2, verifier="attribute"), "has no attribute"),
    ],
)
def test_what_a_policy_cannot_do_is_refused(arm, how, message):
    one = next(a for a in REVISE.arms if a.name == arm)
    with pytest.raises(InvalidInputError, match=message):
        run(smoke(replace(one, decodings=(how,)), REVISE.places[0]))


def test_a_decoding_for_other_places_changes_no_key():
    arm, here, there = REVISE.arms[0], REVISE.places[0], REVISE.places[2]
    more = replace(arm, decodings=(*arm.decodings, Decoding("hot", temperature=2.0, places=(there.name,))))
    assert Cell(more, here, 0).key == Cell(arm, here, 0).key
    assert Cell(more, there, 0).key != Cell(arm, there, 0).key
