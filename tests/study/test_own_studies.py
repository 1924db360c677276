"""Studies of one's own: what they ask is theirs."""

from dataclasses import replace

from small_studies import STUDY, synthetic

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.hypotheses.claims import Claim
from benchmarks.compounding_error.hypotheses.written_down import HYPOTHESES
from benchmarks.compounding_error.page import report
from benchmarks.compounding_error.page.markup import note
from benchmarks.compounding_error.studies.questions import QUESTIONS
from benchmarks.compounding_error.study import Hypothesis, Questions, Section


def never(results, place):
    return [Claim(place.name, "pigs: 0 in the air", 5, 1.0, 0.0)]


OWN = Questions(
    (Hypothesis("Pigs fly.", "pigs", never),),
    "Overheard.",
    (Section("pens", "What a pen holds", lambda results, drawings: note(f"{len(results.records)} pigs")),),
)


def test_a_page_shows_the_questions_of_its_study_and_of_no_other():
    records = synthetic(STUDY)
    page = report.page(Results(replace(STUDY, questions=OWN), records), {})
    assert all(text in page for text in ("Pigs fly.", "Overheard.", "pigs: 0 in the air", "What a pen holds", "9 pigs"))
    plain = report.page(Results(STUDY, records), {})
    ours = [hypothesis.statement for hypothesis in HYPOTHESES] + [s.title for s in QUESTIONS.sections]
    for text in (*ours, QUESTIONS.remark, "Hypotheses"):
        assert text not in plain
        assert text not in page or text == "Hypotheses"
