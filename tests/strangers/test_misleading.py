"""Messages that used to blame something else, or nothing: each names the culprit and what to give instead."""

import subprocess
import sys

import pytest
from command_line import ENVIRONMENT, SMALL, command, typed
from table_policy import TablePolicy

import seqil
from seqil.decoding import backspace_bias
from seqil.decoding.named_rules import NamedRule
from seqil.errors import InvalidInputError, NonFiniteError
from seqil.randomness import seeded
from seqil.runs.option_types import read
from seqil.runs.plugins import rule

PATHS = {
    "--out": ["train", *SMALL, "--out"],
    "--config": ["train", *SMALL, "--config"],
    "--json": ["evaluate", "run", "--json"],
    "--record": ["sample", "run", "--record"],
    "--prompt-file": ["sample", "run", "--prompt-file"],
    "--page": ["inspect", "run", "--page"],
    "--evaluation": ["export", "run", "folder", "--evaluation"],
    "FOLDER": ["export", "run"],
    "RUN": ["sample"],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.mark.parametrize("path", ["-", "~", "~/x", "~x"])
@pytest.mark.parametrize("option", PATHS)
def test_a_path_that_stands_for_something_else_is_refused_by_all(folder, option, path):
    done = command(*PATHS[option], path, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert ("- is no file here; name one, ./-" if path == "-" else f"{path} begins with ~") in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [one.name for one in folder.iterdir()] == ["run"]


@pytest.mark.parametrize("more", [["--model", "~/m"], ["--task", "text", "--task-option", "path=~/a.txt"],
                                  ["--agent", "~/a.py:Mine"]])  # fmt: skip
def test_so_are_those_of_models_and_tasks(tmp_path, more):
    done = command("train", *SMALL[:-2], *more, cwd=tmp_path)
    assert done.returncode == 2
    assert "begins with ~, which no shell has replaced; write the path out, or ./~/" in done.stderr


@pytest.mark.parametrize(
    "asked", [["evaluate", "run", "--metric", "x"], ["list", "metrics", ""], ["list", "studies", ""]]
)
def test_what_is_known_is_said_of_an_unknown_name(folder, asked):
    done = command(*asked, cwd=folder)
    assert done.returncode == 2
    assert "unknown" in done.stderr
    assert done.stderr.partition("known: ")[2].strip()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("contrastive_search=4,.6", "contrastive_search(4, 0.6)"),
        ("contrastive_search=+4,6e-1", "contrastive_search(4, 0.6)"),
        ("min_p=.05", "min_p(0.05)"),
        ("top_p=1.", "top_p(1.0)"),
        ("backspace_bias=-.5", "backspace_bias(-0.5)"),
        ("backspace_bias=1_000", "backspace_bias(1000)"),
        ("processor=TopPLogitsWarper,.6", "processor(TopPLogitsWarper, 0.6)"),
    ],
)
def test_numbers_of_rules_are_those_of_python(text, name):
    assert str(rule(text)) == name


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        (".6", float, 0.6), (".6", float | None, 0.6), ("5.", float, 5.0), ("+5", int, 5), ("1_000", int | None, 1000),
        (".6", object, 0.6), (".6", str, ".6"), (".6", float | str, ".6"), ("nan", object, "nan"),
        ("1e999", int, float("inf")), ("x", float, "x"),
    ],
)  # fmt: skip
def test_numbers_of_options_are_those_of_python(text, annotation, value):
    assert read(text, annotation) == value
    assert type(read(text, annotation)) is type(value)


@pytest.mark.parametrize("b", [1e39, -1e308, float("inf"), float("nan"), 10**400])
def test_a_bias_beyond_a_logit_is_refused(b):
    with pytest.raises(InvalidInputError, match=r"backspace_bias: b=.*(give one in|must be a finite number)"):
        backspace_bias(b)


@pytest.mark.parametrize("sample", [seqil.rollout, seqil.rollouts.rollout_reference])
def test_of_several_rules_the_one_that_breaks_logits_is_named(sample):
    v = seqil.Vocabulary(size=4, eos=3)
    policy = TablePolicy(v)
    if sample is seqil.rollout:
        with seeded(0):
            from tiny_models import tiny_policy

            policy = tiny_policy("gpt2")
    broken = NamedRule("mine()", lambda policy: lambda prefixes, rows, logits: logits * float("nan"))
    with pytest.raises(NonFiniteError, match=r"a rule has broken them: mine\(\); leave it out"):
        sample(policy, [[0]], max_length=4, rules=[backspace_bias(1), broken])
    assert sample(policy, [[0]], max_length=4, rules=[backspace_bias(1e38)]).lengths[0] > 0


@pytest.mark.parametrize("agent", ["ice", "masked", "parallel", "parallel_em"])
def test_whole_texts_need_a_layer(tmp_path, agent):
    small = ["0" if before == "--layers" else one for before, one in zip(["", *SMALL], SMALL, strict=False)]
    done = command("train", *small, "--agent", agent, cwd=tmp_path)
    assert done.returncode == 2
    assert "layers=0: a policy of whole texts" in done.stderr
    assert not list(tmp_path.iterdir())


def test_python_without_docstrings_is_refused_at_once(folder):
    env = {**ENVIRONMENT, "PYTHONOPTIMIZE": "2"}
    for asked in (["sample", "run"], ["list", "agents", "bc"]):
        done = typed(*asked, cwd=folder, env=env)
        assert (done.returncode, done.stdout) == (2, "")
        assert "docstrings" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    study = [sys.executable, "-m", "benchmarks.compounding_error", "run"]
    done = subprocess.run(study, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert typed("--version", cwd=folder, env={**ENVIRONMENT, "PYTHONOPTIMIZE": "1"}).returncode == 0
