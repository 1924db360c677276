"""Malformed options and settings are one line, exit status 2, and nothing is written."""

import sys

import pytest
from command_line import SMALL, command, forks, refused

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from agents.sequence_match import SequenceMatch
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.runs.checkpoint import RunFolder
from seqil.runs.settings import Settings, refuse_without_effect
from seqil.testing.agents import tiny_policy

NO_INTEGERS = ("abc", "1.5", "null", "true", "[3]", "1e3", '"8"', "NaN", "9" * 5000)


def task(*options, name="automaton"):
    return ["--task", name, *(x for option in options for x in ("--task-option", option))]


def agent(*options, name="sequence_match"):
    return ["--agent", name, *(x for option in options for x in ("--agent-option", option))]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        *((task(f"horizon={x}"), "horizon=") for x in NO_INTEGERS),
        *((task(f"{x}=3"), f"task 'automaton' has no option '{x}'") for x in ("name", "kind", "self")),
        (task("low=x", name="add_in_base"), "task 'add_in_base': low='x' is not an int"),
        (task("prompt_length=x", name="pydoc"), "prompt_length='x' is not an int"),
        (task(name="text"), "task 'text': missing a required argument: 'path'"),
        *((task(f"path={x}", name="text"), f"{x} does not exist") for x in ("3", "null", "[1]")),
        (task("path=", name="text"), "path is empty"),
        *((agent(f"gamma={x}"), "is not a float") for x in ("abc", "null", "true")),
        *((agent(f"gamma={x}"), "gamma=") for x in ("0", "1", "2", "NaN", "9" * 400)),
        (agent("gamma=2", name="bc"), "gamma=2 must lie in (0, 1]"),
        *((agent(f"gamma={x}", name=name), "gamma=2") for name in ("occupancy_gradient", "sqil", "gold") for x in "2"),
        *((agent(f"{x}=x"), f"{x}='x' is not a float") for x in ("clip", "weight_decay", "beta", "warm_up", "anneal")),
        *((agent(f"{x}=2"), f"{x}=2 must lie in [0, 1]") for x in ("beta", "warm_up", "anneal")),
        *((agent(f"{x}=-1"), f"{x}=-1 must") for x in ("beta", "warm_up", "anneal", "weight_decay", "clip")),
        *((agent(f"divergence={x}"), "unknown divergence") for x in ("[1]", "{}", "3", "null")),
        *((agent("divergence=chi2", f"alpha={x}"), "alpha=") for x in ("x", "null", "1e300", "1e-300", "9" * 400)),
        (agent("steps=3"), "give --steps"),
        (agent("learning_rate=1"), "give --learning-rate"),
        (agent("policy=1"), "has no option 'policy'"),
        (agent("share=2", name="dagger"), "share=2 must lie in [0, 1]"),
        *((agent(f"switch={x}", name="dagger"), "is not one of each, once") for x in ("twice", "null", "3")),
        (agent("similarity=3", name="slic"), "reward 3 is not a name"),
        *((["--noise-rate", x], "noise_rate=") for x in ("1.5", "1", "-0.1", "nan", "inf", "0.999999")),
        *((["--learning-rate", x], "learning_rate=") for x in ("nan", "inf", "0", "-1")),
        (["--noise", "task", *task(name="pydoc")], "the task 'pydoc' has no confusions of its own"),
        (["--device", "meta"], "device 'meta' is not to be had; use cpu or cuda"),
        (["--width", "10000000000"], "lower layers or width"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_used(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["train", *SMALL[:-2], *arguments], culprit)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["--no-backspace", "--noise", "task"], "--noise would do nothing: a policy without a backspace"),
        (["--no-backspace", "--noise-rate", "0.1", "--burst", "2"], "--noise-rate, --burst would do nothing: a policy"),
        (["--no-backspace", "--no-mask-noise"], "--mask-noise would do nothing: a policy without"),
        (["--no-backspace", "--memory", "tried"], "--memory would do nothing: a policy without a backspace"),
        (["--noise", "none", "--burst", "2"], "--burst would do nothing: there are no mistakes without noise"),
        (["--model", "m", "--layers", "3", "--heads", "1"], "--layers, --heads would do nothing: a model that is"),
        (["--backspace-row", "mean"], "--backspace-row would do nothing: a new model"),
        (["--microbatch", "64"], "--microbatch would do nothing: a batch of 32 demonstrations is smaller"),
        (["--agent", "masked", "--burst", "2"], "--burst would do nothing: masked writes whole texts"),
        (["--agent", "ice", "--backspace", "--max-actions", "3"], "--backspace, --max-actions would do nothing: ice"),
        (["--agent", "masked", "--evaluate-every", "2"], "the likelihood of held-out texts, which a MaskedPolicy"),
    ],
)
def test_an_option_that_another_one_makes_meaningless(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["train", *arguments], culprit)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("chosen", "given"),
    [
        ({"backspace": False}, ["noise", "memory", "backspace"]),  # they ask for nothing
        ({"backspace": False, "noise": "task", "burst": 3}, ["backspace", "steps"]),  # they stand in a file
        ({"noise": "task", "burst": 3}, ["noise", "burst", "noise_rate", "mask_noise"]),
        ({"model": "m"}, ["model", "backspace_row"]),
        ({"microbatch": 32}, ["microbatch"]),
        ({"agent": "masked"}, ["agent", "noise"]),
    ],
)
def test_an_option_that_asks_for_nothing_or_stands_in_a_file_is_no_error(chosen, given):
    refuse_without_effect({**Settings().to_json(), "noise": "none", **chosen}, given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": "x"}, "steps='x' is not an int"),
        ({"steps": 1.5}, "steps=1.5 is not an int"),
        ({"width": None}, "width=None is not an int"),
        ({"backspace": 1}, "backspace=1 is not a bool"),
        ({"average": "x"}, "average='x' is not a float or None"),
        ({"task_options": [1]}, r"task_options=\[1\] is not a Mapping"),
        ({"task": 3}, "task=3 is not a str"),
        ({"demonstrations": 0}, "demonstrations=0 must be at least 1"),
        ({"layers": -1}, "layers=-1 must be at least 0"),
        ({"seed": 2**63}, "seed="),
        ({"seed": -1}, "seed=-1 must lie in"),
    ],
)
def test_a_setting_that_cannot_be_used(wrong, message):
    with pytest.raises(InvalidInputError, match=message):
        Settings.of(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"divergence": "chi2"}, "divergence='chi2' is no Divergence"), ({"steps": 1.5}, "steps=1.5 is not a whole")],
)
def test_an_argument_of_an_agent_that_cannot_be_used(options, message):
    with pytest.raises(InvalidInputError, match=message):
        SequenceMatch(tiny_policy(), **options)


def test_annealing_may_take_no_time():
    assert [SequenceMatch(tiny_policy(), warm_up=w, anneal=0.0)._beta() for w in (0.5, 0.0)] == [
        1.0,
        pytest.approx(0.2),
    ]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["nope"], "No such command 'nope'; see "),
        (["train", "--nope"], "--nope"),
        (["train", "extra"], "(extra): a text with blanks stands in quotes"),
        (["train", "--agent", "GAIL"], "did you mean 'gail'?"),
        (["train", "--agent", "bc", "--agent-option", "gama=1"], "it has: gamma, smoothing, clip, weight_decay"),
        (["train", "--seed", "abc"], "'--seed'"),
        (["train", "--seed", "9" * 20], "'--seed'"),
        (["sample", "run", "--seed", "-1"], "'--seed'"),
        (["train", "--steps", "0"], "'--steps'"),
        (["train", "--out", ""], "'--out': it is empty"),
        (["sample", ""], "it is empty"),
        (["sample"], "Missing argument 'run'"),
        (["sample", "run", "-n", "100000000"], "'--number'"),
        (["train", "--resume", "--task", "pydoc"], "runs/run is not the folder of a run"),
        (["sample", "[red]"], "[red] is not the folder of a run"),
        (["sample", "two\nlines"], "two lines is not the folder of a run"),
    ],
)
def test_a_command_line_that_cannot_be_read(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, arguments, culprit)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"]])
def test_help_is_no_error(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["seqil", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert "Usage: " in capsys.readouterr().out


def test_a_text_that_holds_fewer_items_than_the_defaults_ask_for(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.txt").write_text("one two three four five six seven eight nine ten " * 3)
    monkeypatch.chdir(tmp_path)
    few = task("path=own.txt", "prompt_length=4", "max_length=8", name="text")
    small = ["--steps", "2", "--layers", "1", "--width", "16", "--heads", "2", "--batch-size", "4"]
    run = tmp_path / "[bold]run"
    done = command("train", *few, *small, "--out", run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == (
        "seqil: warning: the test split of text has 1 item, evaluate needs 2: --split train, or more data\n"
    )
    assert f"seqil sample '{run}' " in done.stdout
    assert RunFolder(run).settings["settings"]["demonstrations"] == 10
    refused(monkeypatch, capsys, ["evaluate", str(run)], "the test split has 1 item and 2 are needed; take another")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    measured = command("evaluate", run, "--split", "train", "-n", "13", cwd=elsewhere)
    assert measured.returncode == 0, measured.stderr
    assert "10 samples" in " ".join(measured.stdout.split())
    assert measured.stderr == "seqil: warning: the train split of text has 10 items, not 13: all are taken\n"


def test_a_file_whose_name_is_a_number(tmp_path):
    (tmp_path / "1984").write_text("It was a bright cold day in April. " * 20)
    chosen = task("path=1984", "prompt_length=4", "max_length=8", name="text")
    small = ["--steps", "1", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "4"]
    done = command("train", *chosen, *small, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "run").settings["settings"]["task_options"]["path"] == str(tmp_path / "1984")


def test_a_split_without_items_is_said(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.txt").write_text("one two three")
    few = task("path=own.txt", "prompt_length=4", "max_length=8", name="text")
    small = ["--steps", "2", "--layers", "1", "--width", "16", "--heads", "2"]
    done = command("train", *few, *small, "--out", "run", cwd=tmp_path)
    assert done.stderr.splitlines() == [
        "seqil: warning: the test split of text is empty: sample and evaluate need --split train, or more data"
    ]
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["sample", "run"], "the test split has 0 items and 1 are needed; take another")


def test_a_batch_that_cannot_be_as_large_is_said(tmp_path):
    small = ["--steps", "1", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "9"]
    done = command("train", *small, "--batch-size", "10", "--out", "run", cwd=tmp_path)
    said = "--batch-size 10 is more than the 9 demonstrations that there are: a batch holds each once"
    assert done.stderr.splitlines() == [f"seqil: warning: {said}"]
    assert not command("train", *small, "--out", "usual", cwd=tmp_path).stderr


def test_text_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "text.txt").write_text("größer ist schöner — " * 40)
    small = ["--steps", "1", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "4"]
    chosen = task("path=text.txt", "prompt_length=16", "max_length=8", name="text")
    assert command("train", *chosen, *small, cwd=tmp_path).returncode == 0
    ascii_only = "import sys; sys.stdout.reconfigure(encoding='ascii', errors='strict')\n"
    code = "sys.argv = ['seqil', 'sample', 'runs/run', '--split', 'train']\nfrom seqil.cli.options import main; main()"
    shown = forks().python(ascii_only + code, cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert "\\xf6" in shown.out
