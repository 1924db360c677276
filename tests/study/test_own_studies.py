"""Studies of one's own: what they ask is theirs."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from small_studies import STUDY, synthetic

from benchmarks.compounding_error.__main__ import main
from benchmarks.compounding_error.analysis.in_a_sentence import answers
from benchmarks.compounding_error.analysis.results import Results
from benchmarks.compounding_error.hypotheses.claims import Claim
from benchmarks.compounding_error.hypotheses.written_down import HYPOTHESES
from benchmarks.compounding_error.page import report
from benchmarks.compounding_error.page.markup import note
from benchmarks.compounding_error.running.cells import cells_of
from benchmarks.compounding_error.running.engines import ENGINES, attempt
from benchmarks.compounding_error.running.records import read
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.studies.base import loading
from benchmarks.compounding_error.studies.base.loading import from_file
from benchmarks.compounding_error.studies.base.questions import QUESTIONS
from benchmarks.compounding_error.study import Decoding, Hypothesis, Questions, Section
from benchmarks.compounding_error.verification import RESULTS
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.runs.settings import Settings, read_config

ROOT = Path(__file__).resolve().parents[2]


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


# -- from a file

PYTHON = """
from benchmarks.compounding_error.study import Arm, Decoding, Place, Study
from agents.behavior_cloning import BehaviorCloning
from envs.tasks import Automaton

class Mine(BehaviorCloning):
    "Cloning under another name."

class Short(Automaton):
    "Texts of six tokens."

PLACE = Place("short", {"task": Short, "task_options": {"horizon": 6}, "demonstrations": 64, "width": 16, "layers": 1},
              budget=4e3, samples=20)
STUDY = Study("pair", "Is mine better?", (Arm("theirs", {"agent": "bc"}), Arm("mine", {"agent": Mine})), (PLACE,), 3)
"""
TOML = """
question = "Is mine better?"
arms = [
    {name = "theirs", settings = {agent = "bc"}, decodings = [{name = "greedy", rules = ["top_k=1"]}]},
    {name = "mine", settings = {agent = "bc", noise_rate = 0.1}},
]

[[places]]
name = "short"
budget = 1e4
samples = 20
settings = {task = "automaton", task_options = {horizon = 6}, demonstrations = 64, width = 16, layers = 1}
"""


def command(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code


def test_a_file_with_classes_of_its_own_is_run_read_and_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENGINES, "local", lambda cells, _: ((cell, attempt(cell)) for cell in cells))
    Path("pair.py").write_text(PYTHON)
    assert command("run", "--study", "pair.py", "--workers", "1") == 0
    records = read(Path("runs/pair/results.jsonl"))
    assert {r["settings"]["agent"] for r in records} == {"bc", "pair.py:Mine"}
    assert {r["settings"]["task"] for r in records} == {"pair.py:Short"}
    for asked in ("status", "table", "verify"):
        assert command(asked, "--study", "pair.py") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "6 of 6 runs" in shown
    assert "On short mine is not shown to differ from theirs: success" in shown
    page, table = (Path(f"runs/pair/{name}").read_text() for name in ("report.html", "table.md"))
    assert "<p class=answer>On short mine" in page
    assert table.splitlines()[2].startswith("On short mine")
    assert not any(hypothesis.statement in page for hypothesis in HYPOTHESES)
    Path("runs/pair/table.md").write_text(table.replace("mine is not shown to differ from", "mine is better than"))
    assert command("verify", "--study", "pair.py") == 2
    assert "drift" in capsys.readouterr().err
    keys = [cell.key for cell in cells_of(from_file(Path("pair.py")))]
    assert {r["key"] for r in records} == set(keys)
    Path("pair.py").write_text(PYTHON.replace("under another name", "with other code"))
    altered = [cell.key for cell in cells_of(from_file(Path("pair.py")))]
    assert [a == b for a, b in zip(keys, altered, strict=True)] == [True, False] * 3  # the arm whose class has changed


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (["status", "--seeds", "0"], "'--seeds'"),
        (["status", "--budget", "x"], "'--budget'"),
        (["run", "--engine", "rai"], "unknown engine 'rai'; known: local, ray, slurm; did you mean 'ray'?"),
        (["run", "--preset", "quik"], "did you mean 'quick'?"),
        (["table", "--task", "automato"], "did you mean 'automaton'?"),
        (
            ["satus"],
            "No such command 'satus'. Did you mean 'status'?; see python -m benchmarks.compounding_error --help",
        ),
    ],
)
def test_what_is_asked_for_wrongly_is_one_line(tmp_path, monkeypatch, capsys, asked, complaint):
    monkeypatch.chdir(tmp_path)
    assert command(*asked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("compounding_error: ")
    assert complaint in line
    assert not list(tmp_path.iterdir())


def test_toml_says_the_same_as_python(tmp_path):
    (tmp_path / "pair.toml").write_text(TOML)
    study = from_file(tmp_path / "pair.toml")
    assert (study.name, study.seeds, study.rows) == ("pair", 3, ("theirs", "theirs, greedy", "mine"))
    assert study.decodings["theirs, greedy"] == Decoding("greedy", ("top_k=1",))
    assert len(cells_of(study)) == 6


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("s.py", "1 / 0", "s.py cannot be run: ZeroDivisionError"),
        ("s.py", "x = 1", "s.py defines 0 studies; define one"),
        ("s.py", PYTHON + "OTHER = Study('b', '?', (), (), 1)", "defines 2 studies"),
        ("s.py", PYTHON.replace("Arm(\"mine\"", "Arm(\"theirs\""), "arms or decodings share the name 'theirs'"),
        ("s.py", PYTHON.replace("class Mine(BehaviorCloning)", "class Mine"), "is not an agent: subclass seqil.Agent"),
        ("s.py", PYTHON.replace("(PLACE,), 3)", "(PLACE,), 0)"), "seeds, budgets and pilots must be positive"),
        ("s.toml", "question = ", "s.toml is no TOML"),
        ("s.toml", TOML.replace("budget", "bugdet"), "place 1 has no field 'bugdet'"),
        ("s.toml", TOML.replace("samples = 20", ""), "place 1: lacks samples"),
        ("s.toml", TOML.replace("samples = 20", "samples = 'x'"), "place 1: samples='x' is not an int"),
        ("s.toml", TOML.replace('rules = ["top_k=1"]', "rule = 3"), "arm 1, decoding 1 has no field 'rule'"),
        ("s.toml", TOML.replace('agent = "bc"', 'agent = "oracle"'), "no such agent is installed: theirs ('oracle')"),
        ("s.toml", TOML.replace('agent = "bc"', 'agent = "none.py:Mine"'), "none.py cannot be read (No such file"),
        ("s.toml", TOML.replace("samples = 20", "samples = 1"), "samples=1 at 'short'; give 2 or more, of fewer there"),
        ("s.toml", TOML.replace('name = "greedy"', 'name = " "'), "an arm or decoding is called ' '; tables know"),
        ("s.toml", TOML.replace('name = "mine"', 'name = "mi\\nne"'), "an arm or decoding is called 'mi\\nne'; tables"),
        ("s.toml", TOML.replace("noise_rate = 0.1", "steps = 7"), "'mine' sets steps, which is what the budget"),
        ("s.toml", TOML.replace("width = 16,", "width = 16, seed = 3,"), "'short' sets seed, which is the number"),
        ("s.toml", TOML.replace("top_k=1", "top_n=1"), "'theirs' on short, 'greedy': unknown rule 'top_n'"),
        ("s.toml", TOML.replace("top_k=1", "judged_walk=x"), "'theirs' on short, 'greedy': "),
        (
            "s.toml",
            TOML.replace("noise_rate = 0.1", "backspace = false, memory = 'tried'"),
            "short, mine, seed 0: memory='tried' would do nothing without a backspace",
        ),
        ("s.toml", TOML + "[questions]\nremark = 'x'", "questions are code"),
        ("s.json", "{}", "name a file that ends in .py or .toml"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_one_line(name, text, complaint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    assert command("status", "--study", name) == 2
    complained = capsys.readouterr().err
    assert complaint in complained
    assert len(complained.strip().splitlines()) == 1


def test_a_budget_that_pays_for_no_update_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENGINES, "local", lambda cells, _: ((cell, attempt(cell)) for cell in cells))
    Path("s.toml").write_text(TOML.replace("1e4", "1.0"))
    assert command("run", "--study", "s.toml", "--workers", "1", "--seeds", "1") == 2
    assert "a budget of 1 forward positions does not pay for one update, which takes" in capsys.readouterr().err
    assert read(Path("runs/s/results.jsonl")) == []


def test_a_study_is_named_once_and_strangers_register_theirs(capsys, monkeypatch):
    assert command("status", "--study", "s.py", "--preset", "quick") == 2
    assert "name two studies" in capsys.readouterr().err
    point = EntryPoint("theirs", "small_studies:STUDY", "seqil.studies")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "seqil.studies" else [])
    assert loading.by_name("theirs", PRESETS) == STUDY
    assert loading.installed(PRESETS)[-1] == "theirs"
    with pytest.raises(InvalidInputError, match=r"unknown preset 'huge'; known: quick; .*; theirs"):
        loading.by_name("huge", PRESETS)


# -- is B better than A?


def test_the_answer_is_that_of_the_paired_test():
    two = replace(STUDY, arms=(replace(STUDY.arms[0], decodings=()), STUDY.arms[1]))
    records = synthetic(two)
    (said,) = answers(Results(two, records))
    assert said == (
        "On automaton B is better than MLE: success 0.3 against 0.2, difference 0.1 [0.1, 0.1], p < .001, "
        "3 seeds, paired."
    )
    turned = replace(two, arms=two.arms[::-1])
    assert "MLE is worse than B" in answers(Results(turned, records))[0]
    assert "not shown to differ" in answers(Results(two, synthetic(two, own=2.0)))[0]
    (few,) = answers(Results(two, [r for r in records if r["seed"] < 2]))
    assert "nobody can say whether B is better than MLE: a test takes 3 seeds, there are 2 (success: MLE 0.195" in few
    many = answers(Results(STUDY, synthetic(STUDY)))[0]
    assert many.startswith("On automaton of 4 rows beside MLE, 4 are better (MLE, greedy; MLE, best of 2; B; C)")
    assert answers(Results(replace(STUDY, arms=STUDY.arms[:1]), [])) == []


def test_the_run_of_the_readme_is_one_of_the_study():
    """But for its steps, which the budget says seed by seed."""
    (cell,) = (
        c for c in cells_of(PRESETS["memory"]) if (c.place.name, c.arm.name, c.seed) == ("chain", "BC, tried", 0)
    )
    given = read_config(ROOT / "examples" / "tried.toml")
    records = read(RESULTS / "memory" / "results.jsonl")
    steps = [r["steps"] for r in records if (r["task"], r["arm"]) == ("chain", "BC, tried")]
    assert min(steps) <= given["steps"] <= max(steps)
    assert replace(Settings.of(given), steps=cell.settings.steps) == cell.settings


def test_the_example_is_a_study():
    study = from_file(ROOT / "examples" / "own_study.py")
    assert {cell.settings.agent.name for cell in cells_of(study)} == {"bc", "examples.new_agent:FocalCloning"}
