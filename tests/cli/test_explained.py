"""A command line that explains itself: help, lists and tables, wide and narrow."""

import json
import re
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from command_line import SMALL, refused

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.cli import app, described, listing
from seqil.cli.options import main
from seqil.runs import plugins

METRIC = """
from seqil import Metric
from seqil.statistics import proportion


def compute(sample):
    return proportion(len(sample.texts), len(sample.texts), "sequences")


everything = Metric("everything", "All texts count.", compute, unit="share of texts", better="higher")
hazard = Metric("hazard", "Another one.", compute, unit="share of texts")
"""


@pytest.fixture
def typed(monkeypatch, capsys):
    """What a command prints in a window of so many columns."""

    def run(*arguments, columns=80):
        monkeypatch.setattr("seqil.cli.commands.console.width", columns)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        shown = capsys.readouterr()
        assert not stopped.value.code, shown.err
        return shown.out

    return run


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k in ("agents", "tasks") for n in plugins.names(k)])
def test_every_option_of_what_is_built_in_says_what_it_is(kind, name):
    options = described.options_of(kind, name)
    given = {option.name for option in options} - {"alpha"}
    assert given == set(plugins.parameters(plugins.load(kind, name))) - {"steps", "learning_rate", "alpha"}
    for option in options:
        assert re.fullmatch(r"[A-Z`0-9(].*\.\)?", option.about), option
        assert len(option.about.split()) > 2, option
        assert option.about != "Its class says nothing of it.", option
        assert option.kind


def test_types_defaults_and_choices_are_those_of_the_constructor():
    gail = {option.name: option for option in described.options_of("agents", "gail")}
    assert gail["reward"][1:3] == ("gail, airl or fairl", "airl")
    assert gail["passes"][1:3] == ("whole number", "2")
    assert gail["spectral"][1:3] == ("true or false", "false")
    assert gail["smoothing"].about == "Smoothing of the discriminator's labels, below .5."
    assert gail["clip"].about == "Largest norm of the gradient."  # of the class above
    text = {option.name: option for option in described.options_of("tasks", "text")}
    assert text["path"][1:3] == ("text or path", "")
    assert text["field"][1:3] == ("text or null", "null")
    matching = {option.name: option for option in described.options_of("agents", "sequence_match")}
    assert matching["alpha"].default == "0.01"
    assert "chi2_mixture" in matching["divergence"].kind


@pytest.mark.parametrize(
    "where", [("--agent", "gail", "--help"), ("--help", "--agent=gail"), ("--agent=gail", "--help")]
)
def test_help_shows_the_options_of_the_agent_that_is_named(typed, where):
    shown = words(typed("train", *where))
    assert "The agent gail takes these, each by --agent-option NAME=VALUE:" in shown
    assert "relativistic true or false, false by default Whether" in shown
    assert "The task" not in shown.partition("The agent gail takes")[2]
    assert "gail takes" not in words(typed("train", "--help"))


def test_help_shows_the_options_of_a_task_of_ones_own(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = (
        "from seqil import Task\n\n\nclass Own(Task):\n    '''Mine.\n\n    Args:\n        wide: how wide.\n    '''\n\n"
    )
    own += "    prompts = demonstrations = next_distribution = first_error = success = lambda self: None\n\n"
    own += "    def __init__(self, wide: float):\n        pass\n"
    Path("own.py").write_text(own)
    shown = words(typed("train", "--task", "own.py:Own", "--help", columns=100))
    assert "The task own.py:Own takes these" in shown
    assert "wide number How wide." in shown


def test_an_unknown_agent_in_help_is_one_line(monkeypatch, capsys):
    refused(monkeypatch, capsys, ["train", "--agent", "gial", "--help"], "did you mean 'gail'?")
    refused(monkeypatch, capsys, ["list", "tasks", "dyk"], "did you mean 'dyck'?")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["list", "agnts"], "agents"),
        (["sample", "run", "--format", "jsn"], "json"),
        (["train", "--memory", "tryed"], "tried"),
        (["train", "--agent-option", "divergence=jensen_shanon"], "jensen_shannon"),
        (["train", "--noise", "unifrom"], "uniform"),
    ],
)
def test_a_name_that_is_like_a_known_one_is_asked_about(tmp_path, monkeypatch, capsys, arguments, meant):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, arguments, f"did you mean '{meant}'?")


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("arguments", [("agents",), ("tasks",), ("agents", "gail"), ("metrics",), ("studies",)])
def test_lists_are_whole_in_every_window(typed, columns, arguments):
    shown = typed("list", *arguments, columns=columns)
    wide = typed("list", *arguments, columns=2000)
    assert "…" not in shown.replace(" …", "")
    assert "\x1b" not in shown
    longest = max(len(word) for word in wide.split())
    assert max(map(len, map(str.rstrip, shown.splitlines()))) <= max(columns, longest + 2)
    if columns < 60 and len(arguments) == 1:
        there = set(words(shown).split())
        assert set(words(wide).split()) - {"name", "what", "it", "is", "from"} <= there


@pytest.mark.parametrize("kind", ["agents", "tasks"])
def test_it_is_said_how_a_class_is_imported(typed, kind):
    for point in entry_points(group=f"seqil.{kind}"):
        said = re.search(r"In Python: from (\S+) import (\w+)", typed("list", kind, point.name, columns=200))
        assert getattr(import_module(said[1]), said[2]) is point.load()


def test_what_one_is_and_takes(typed):
    shown = words(typed("list", "agents", "gail", columns=100))
    assert shown.startswith("Clones first; then plays against a discriminator")
    assert "reward gail, airl or fairl, airl by default" in shown
    assert words(typed("list", "metrics", "hazard"))
    assert typed("list", "rules", "min_p").startswith("min_p=P: ")


def test_studies_are_those_of_the_repository_where_it_is_one(typed, monkeypatch):
    assert "How does the error grow with the horizon?" in words(typed("list", "studies"))
    assert "How does the error grow" in typed("list", "studies", "quick")
    monkeypatch.setattr(listing, "_STUDIES", "benchmarks.not_shipped")
    assert "The built-in studies are in the repository" in words(typed("list", "studies"))


def every_help():
    import typer

    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield from ((name, option) for option in command.params if option.name != "help")


@pytest.mark.parametrize(("command", "option"), [*every_help()], ids=lambda part: getattr(part, "name", part))
def test_help_is_made_of_sentences(command, option):
    said = getattr(option, "help", None)
    assert said, option.name
    assert said.endswith("."), said
    assert said.split()[0] not in ("Of", "For", "From", "At", "In", "cpu", "train,", "keep"), said
    assert len(said.split()) >= 3, said


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["seqil", "train", "--agent", "bc", *SMALL, "--out", str(folder / "run")])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder / "run"


def test_a_metric_of_ones_own_stands_beside_the_others(typed, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(METRIC)
    common = ("evaluate", run, "-n", 4)
    shown = typed(*common, "--metric", "own.py:everything", "--explain", "--json", "numbers.json", columns=200)
    assert re.search(r"everything +\S+ \[.*\].* share of texts ↑ +All texts count\.", shown)
    assert json.loads(Path("numbers.json").read_text())["estimates"]["everything"]["value"] == 1
    plain = typed(*common)
    assert "everything" not in plain
    assert "All texts" not in plain
    narrow = typed(*common, "--metric", "own.py:everything", "--explain", columns=40)
    assert all(len(line) <= 40 for line in narrow.splitlines()[1:])
    assert "All texts count." in narrow
    for name, complaint in {"success": "it is measured anyway", "sucess": "did you mean 'success'?"}.items():
        refused(monkeypatch, capsys, [*map(str, common), "--metric", name], complaint)
    for name, complaint in {
        "hazard": "two metrics have the name 'hazard'",
        "compute": "is a function, and no metric",
    }.items():
        refused(monkeypatch, capsys, [*map(str, common), "--metric", f"own.py:{name}"], complaint)
