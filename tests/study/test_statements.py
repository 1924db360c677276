"""Planted falsehoods: a text that says more than the records fails."""

import json

import pytest
from small_studies import STUDY, synthetic

from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.analysis.tables import markdown
from benchmarks.compounding_error.verification import RESULTS, TEXTS, verify
from seqil.errors import InvalidInputError, SeqilError

CLAIM = """
[[claim]]
id = "better"
says = "B is better."
figure = "small/automaton/B/success"
control = "small/automaton/MLE/success"
is = "higher"
"""
CAUSE = CLAIM.replace("better", "why", 1) + 'ablation = "small/automaton/MLE, greedy/success"\n'
SAID = "# Text\n\n- B has 0.50<!-- small/automaton/B/success --> right of 24 actions per text<!-- claim:better -->.\n"


def spent(record):
    """After 8 actions nothing is right but with B, after 24 all that ever will be."""
    right = round(1000 * record["estimates"]["success"]["value"])
    right = [(300 + record["seed"]) * (record["arm"] == "B"), right]
    return {"budgets": [8, 24], "right": right, "ended": [1000, 1000], "spent": [8.0, 9.0], "n": 1000}


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.setitem(verify.__globals__["PRESETS"], "small", STUDY)
    folder = tmp_path / "results" / "small"
    folder.mkdir(parents=True)
    (tmp_path / "docs").mkdir()

    def checked(text, claims=CLAIM, write=True, own=1e-6):
        records = [record | {"max_actions": 24, "by_budget": spent(record)} for record in synthetic(STUDY, own=own)]
        (folder / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
        (folder / "table.md").write_text(markdown(Results(STUDY, records)))
        (tmp_path / "README.md").write_text(text)
        (tmp_path / "docs" / "claims.toml").write_text(claims)
        texts = [tmp_path / "README.md", tmp_path / "docs"]
        return verify(texts, tmp_path / "results", write), (tmp_path / "docs" / "claims.md")

    return checked


def test_a_claim_that_holds_is_a_row_of_the_table(check):
    _, table = check(SAID, CLAIM + CAUSE)
    better, why = table.read_text().splitlines()[-2:]
    assert "| `better` B is better. | 0.500" in better
    assert "0.300 [0.300, 0.300], higher | < .001 | – | 24 | 3 |" in better
    assert "0.300 [0.275, 0.325] | 24 | 3 |" in why
    check(SAID, CLAIM + CAUSE, write=False)
    table.write_text(table.read_text().replace("0.500", "0.600"))
    with pytest.raises(SeqilError, match=r"drift: .*claims.md"):
        check(SAID, CLAIM + CAUSE, write=False)


@pytest.mark.parametrize(
    ("text", "claims", "complaint"),
    [
        (
            SAID.replace(" of 24 actions per text", ""),
            CLAIM,
            "states no budget; its numbers are of 24 actions per text",
        ),
        (SAID.replace("24 actions", "20 actions"), CLAIM, "states no budget; its numbers are of 24"),
        (SAID.replace("<!-- claim:better -->", ""), CLAIM, "refers to no claim with its control"),
        (SAID.replace("claim:better", "claim:best"), CLAIM, "refers to a claim 'best', which is not listed"),
        (
            SAID + "  That is because values carry the news.\n",
            CLAIM,
            "states a cause ('because') and refers to no claim",
        ),
        (SAID + "  Values carry the news<!-- claim:better -->.\n", CLAIM, "states a cause ('carry')"),
        (
            "# Text\n\n- B is better of 24 actions per text, because it sees<!-- claim:better -->.\n\n" + SAID,
            CLAIM,
            "states a cause ('because')",
        ),
        (SAID.replace("right of", "right, fewer than MLE, of"), CLAIM, "B has 0.50 right, fewer than MLE"),
        (SAID.replace("right of", "right, no more than MLE, of"), CLAIM, "B has 0.50 right, no more than MLE"),
        (SAID.replace("right of", "right, undecided against MLE, of"), CLAIM, "right, undecided against"),
        (SAID + "  B is far behind<!-- claim:better -->.\n", CLAIM, "says 'B is far behind'"),
        (
            SAID + "\nCloning is better than maximum likelihood.\n",
            CLAIM,
            "compares arms ('Cloning is better than maximum",
        ),
        (SAID + "  SequenceMatch is worse.\n  Cloning beats SequenceMatch.\n", CLAIM, "compares arms ('Cloning beats"),
        (SAID, CLAIM.replace("B is better", "B is worse"), "claim 'better' says 'B is worse.', and"),
        (SAID, CLAIM.replace("B is better", "B is it"), "claim 'better' says no word of direction; that it is higher"),
        (
            SAID.replace("right of", "right on `chain` of"),
            CLAIM,
            "README.md, line 3: '- B has 0.50<!-- small/automaton/B/success --> right on `cha' speaks of chain, and",
        ),
        (SAID, CLAIM.replace("B is better", "On `chain` B is better"), "claim 'better' speaks of chain, and the claim"),
        (SAID.replace("has 0", "with five seeds has 0"), CLAIM, "says 5 seeds; its numbers are of 3"),
        ("# Text\n\n| two seeds |\n|---|\n| 0.50<!-- small/automaton/B/success --> |\n", CLAIM, "says 2 seeds; its"),
        (SAID.replace("has 0", "with fifty seeds has 0"), CLAIM, "says 50 seeds; its numbers are of 3"),
        (
            SAID + "\nElsewhere (`--preset small`, [numbers](x.md); five seeds) it is so too.\n",
            CLAIM,
            "says 5 seeds of small; its records are of 3",
        ),
        (SAID + "  It is the search that makes the difference.\n", CLAIM, "states a cause ('makes the difference')"),
        (SAID + "  The gain stems from B<!-- claim:better -->.\n", CLAIM, "states a cause ('stems from')"),
        (SAID + "\nSequenceMatch crushes maximum likelihood.\n", CLAIM, "compares arms ('SequenceMatch crushes"),
        (SAID + "\nIt halves the errors.\n", CLAIM, "states a number (halves) that nothing checks"),
        (SAID + "\nOf three draws, none of three is best.\n", CLAIM, "states a number (none of three)"),
        (SAID + "\n| a | 0.3 |\n", CLAIM, "the row '| a | 0.3 |' states a number (0.3) that nothing checks"),
        (SAID.replace("B/success", "B/success@9"), CLAIM, "say nothing of automaton/B/success@9"),
        (SAID.replace("B/success", "B/hazard@8"), CLAIM, "say nothing of automaton/B/hazard@8"),
        (
            SAID.replace("B/success -->", "B/success over small/automaton/D/success -->"),
            CLAIM,
            "nothing of automaton/D",
        ),
        (SAID, CLAIM.replace("success", "success@8"), "states no budget; its numbers are of 8 actions"),
        (SAID + "\nIt takes 3.5 minutes.\n", CLAIM, "states a number (3.5) that nothing checks"),
        (SAID + "\nIt is 12 % better.\n", CLAIM, "states a number (12 %)"),
        (
            SAID
            + "\nB is worse than MLE by .1<!-- by docs/claims.toml --><!-- claim:better --> with 24 actions a text.\n",
            CLAIM,
            "and <!-- claim:better --> says B is higher than MLE",
        ),
        (SAID + "\nIt takes 3.5 minutes<!-- by nowhere.py -->.\n", CLAIM, "names nowhere.py, which is not there"),
        (SAID, CLAIM.replace('"higher"', '"lower"'), "is not shown to be lower than its control"),
        (
            SAID,
            CLAIM.replace('"higher"', '"not higher"\nmargin = 0.05'),
            "is not shown to be not higher by 0.05 than its",
        ),
        (SAID, CLAIM.replace('"higher"', '"not higher"'), "the claim 'better' is 'not higher' by how much? Give it"),
        (SAID, CLAIM.replace('"higher"', '"not lower"\nmargin = -1'), "is 'not lower' by how much? Give it a margin"),
        (SAID, CLAIM.replace('"higher"', '"not lower"\nmargin = true'), "is 'not lower' by how much?"),
        (SAID, CLAIM.replace('"higher"', '"higher"\nmargin = 0.1'), "is 'higher', of which a margin says nothing"),
        (SAID, CLAIM.replace('"higher"', '"undecided"'), "is not shown to be undecided against its control"),
        (
            SAID,
            CLAIM + CAUSE.replace("MLE, greedy", "C"),
            "is not shown to be higher than its ablation, small/automaton/C",
        ),
        (SAID, CLAIM.replace("MLE/success", "Oracle/success"), "there is no record of small/automaton/Oracle/success"),
        (SAID, CLAIM.replace("MLE/success", "MLE"), "there is no record of small/automaton/MLE; name study"),
        (SAID, CLAIM.replace('control = "small/automaton/MLE/success"', ""), "the claim 'better' lacks its control"),
        (SAID, CLAIM.replace('is = "higher"', 'is = "nicer"'), "the claim 'better' is 'nicer'; say one of"),
        (SAID, CLAIM + 'budget = "9"', "the claim 'better' has no field 'budget'"),
        (SAID, "[[claim", "is no TOML"),
    ],
)
def test_a_planted_falsehood_is_found(check, text, claims, complaint):
    with pytest.raises((SeqilError, InvalidInputError)) as stopped:
        check(text, claims)
    assert complaint in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_what_is_no_claim_is_left_alone(check):
    cause = "  That is because of it<!-- claim:why -->.\n"
    cause += "\nElsewhere (`--preset small`, [five](x.md); three seeds) it is so too.\n"
    rest = "\n```\n3.5 because\n```\n\n| 3.5<!-- by README.md --> |\n"
    rest += "\nPython 3.11, `0.5`, 95 % intervals, 3.5 minutes<!-- by README.md -->.\n"
    check(SAID + cause + rest, CLAIM + CAUSE)
    with pytest.raises(SeqilError, match="drift"):
        check(SAID.replace("0.50<", "0.60<"), write=False)


def test_a_falsehood_in_a_page_of_the_docs_is_found(check, tmp_path):
    page = tmp_path / "docs" / "page.md"
    page.write_text(SAID)
    lines, _ = check("# A short text that marks nothing\n")
    assert lines[:-1] == [f"{page}: 0 blocks and 1 numbers"]
    page.write_text(SAID.replace("0.50<", "0.60<"))
    with pytest.raises(SeqilError, match=r"drift: .*page.md, line 3"):
        check(SAID, write=False)
    page.write_text("It takes 3.5 minutes.\n")
    with pytest.raises(SeqilError, match=r"3.5.* that nothing checks"):
        check(SAID)


def test_pages_of_every_folder_are_read_and_scripts_of_prose(check, tmp_path):
    folder = tmp_path / "docs" / "deep"
    folder.mkdir(parents=True, exist_ok=True)
    page, script, code = folder / "page.md", folder / "101.py", folder / "code.py"
    code.write_text("# It takes 3.5 minutes.\n")
    page.write_text("Well.\n\n<!-- metrics -->\n")
    script.write_text("# %% [markdown]\n# # Title\n#\n# It runs.\n\n# %%\nx = 3.5  # beats 0.3 seconds\n")
    check(SAID)
    script.write_text(script.read_text().replace("It runs.", "It runs in\n# 3.5 minutes."))
    with pytest.raises(SeqilError, match=r"101.py, line 4: .*3\.5.* that nothing checks"):
        check(SAID)
    script.write_text("# %% [markdown]\n# It runs.\n")
    page.write_text("<!-- metric -->\n")
    with pytest.raises(InvalidInputError, match="<!-- metric --> marks no number"):
        check(SAID)


def test_numbers_of_a_budget_ratios_and_verdicts_are_made_again(check, tmp_path):
    more = (
        "After 8 actions it is 0.3<!-- small/automaton/B/success@8 -->,"
        " 9.99<!-- small/automaton/B/success over small/automaton/MLE/success --> times the other,"
        " in 24 actions<!-- claim:better -->; 7<!-- verdicts:small/open --> are open.\n"
    )
    check(SAID + "\n" + more)
    text = (tmp_path / "README.md").read_text()
    assert "is 0.3<!-- small" in text
    assert "2.50<!-- small" in text
    assert "0<!-- verdicts" in text
    (tmp_path / "README.md").write_text(text.replace("0.3<", "0.301<"))
    lines, _ = check((tmp_path / "README.md").read_text(), write=False)
    assert lines[0].endswith("0 blocks and 4 numbers")
    with pytest.raises(SeqilError, match="drift"):
        check(text.replace("0.3<", "0.1<"), write=False)


def test_a_claim_at_a_budget_is_tested_there(check):
    at_8 = CLAIM.replace("success", "success@8")
    both = CLAIM.replace("better", "whole", 1) + at_8
    _, table = check(SAID.replace("24", "8") + "\n- In 8 actions it is above MLE<!-- claim:better -->.\n", both)
    assert "(small/automaton/B/success@8) |" in table.read_text().splitlines()[-1]
    assert "| 8 | 3 |" in table.read_text().splitlines()[-1]


def test_the_text_of_the_project_holds():
    verify(TEXTS, RESULTS)


def test_claims_of_a_difference_are_adjusted_for_their_number(check):
    """One-sided p of B is .027: alone it is shown, beside a second claim as weak it is not."""
    weak = CLAIM.replace("better", "weak", 1)
    check(SAID, own=0.15)
    with pytest.raises(SeqilError, match=r"'better': .* not shown to be higher"):
        check(SAID, CLAIM + weak, own=0.15)


def test_no_difference_of_a_margin_is_a_test_and_an_open_question_is_none(check):
    """B is above maximum likelihood by 0.300 in every seed."""
    no_more = CLAIM.replace('"higher"', '"not higher"\nmargin = 0.31').replace("is better", "is no better")
    with pytest.raises(SeqilError, match=r"states no margin; its claims are of no difference by 0\.31"):
        check(SAID, no_more)
    said = SAID.replace("per text", "per text, by .31<!-- by docs/claims.toml -->")
    _, table = check(said, no_more)
    assert "0.300 [0.300, 0.300], not higher by 0.31 | < .001 |" in table.read_text()
    with pytest.raises(SeqilError, match=r"is not shown to be not higher by 0\.29"):
        check(SAID, no_more.replace("0.31", "0.29"))
    undecided = CLAIM.replace('"higher"', '"undecided"').replace("is better", "is undecided")
    check(SAID, undecided, own=0.4)
    with pytest.raises(SeqilError, match=r"is not shown to be not higher by 0\.31"):
        check(SAID, no_more, own=0.4)
