"""Malformed options and settings are one line, exit status 2, and nothing is written."""

import pytest
from command_line import SMALL, refused

import seqil.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from agents.sequence_match import SequenceMatch
from seqil.errors import InvalidInputError
from seqil.experiment import Settings
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
        *((task(f"path={x}", name="text"), "is not a str or Path") for x in ("3", "null", "[1]")),
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
        (agent("similarity=3", name="slic"), "similarity=3 is not a Callable"),
        *((["--noise-rate", x], "noise_rate=") for x in ("1.5", "1", "-0.1", "nan", "inf", "0.999999")),
        *((["--learning-rate", x], "learning_rate=") for x in ("nan", "inf", "0", "-1")),
        (["--noise", "task", *task(name="pydoc")], "the task 'pydoc' has no confusions of its own"),
        (["--device", "meta"], "device 'meta' computes nothing"),
        (["--width", "10000000000"], "lower layers or width"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_used(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["train", *SMALL[:-2], *arguments], culprit)
    assert not list(tmp_path.iterdir())


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
        ({"layers": -1}, "layers=-1 must be at least 1"),
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
