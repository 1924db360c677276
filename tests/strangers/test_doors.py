"""Rules, experts and noise of strangers: by their file, as objects, and installed."""

import importlib.metadata
import inspect
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from benchmarks.compounding_error.running.cells import Cell
from benchmarks.compounding_error.study import Arm, Decoding, Place
from seqil import Settings, Trajectories, decoding, experts, noise, rewards, rollout
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.runs.experiment import make_corruption, make_task, make_training
from seqil.testing.agents import tiny_demonstrations, tiny_policy

TEXT = '''
"""What a stranger wrote."""

import torch

from seqil.decoding import NamedRule


def mine(token):
    """Never write a token."""

    def warp(prefixes, rows, logits):
        changed = logits.clone()
        changed[:, token] = -torch.inf
        return changed

    return NamedRule(f"mine({token})", lambda policy: warp)


def first(task, learner):
    """The first token, as long as one fits."""

    def law(states, references):
        wanted = torch.zeros(len(states), learner.vocabulary.num_actions, dtype=torch.float64)
        full = states.generated >= states.max_length
        wanted[torch.arange(len(states)), torch.where(full | states.ended, learner.vocabulary.eos, 0)] = 1
        return wanted

    return law


def last(task, learner):
    """Mistakes are always one token."""

    def weights(prefixes):
        found = torch.zeros(len(prefixes), task.vocabulary.size)
        found[:, 2] = 1
        return found

    return weights


def fails(*given):
    raise LookupError("lost")


def nothing(*given):
    return 3


NUMBER = 3
'''
SMALL = {"layers": 0, "width": 4, "heads": 1, "demonstrations": 8, "batch_size": 4, "steps": 2}


@pytest.fixture(params=["file", "installed"])
def named(request, tmp_path, monkeypatch):
    """Names of what stands in a stranger's file: `stranger.py:mine`, or `mine` of an installed distribution."""
    monkeypatch.chdir(tmp_path)
    Path("stranger.py").write_text(TEXT)
    if request.param == "file":
        yield lambda name: f"stranger.py:{name}"
        return
    monkeypatch.syspath_prepend(tmp_path)
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    kinds = {"rules": "mine", "experts": "first", "noise": "last"}
    groups = [
        f"[seqil.{kind}]\n" + "".join(f"{name} = stranger:{name}\n" for name in (own, "fails", "nothing", "NUMBER"))
        for kind, own in kinds.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(groups))
    yield lambda name: name
    sys.modules.pop("stranger", None)


def settings(**own):
    return Settings.of({**SMALL, "task": "automaton", "task_options": {"horizon": 6}, **own})


def typed(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_a_rule_forbids_wherever_it_comes_from(named):
    rule = plugins.rule(f"{named('mine')}=1")
    assert str(rule) == "mine(1)"
    written = rollout(tiny_policy(), tiny_demonstrations().prompts, max_length=4, rules=[rule])
    plain = rollout(tiny_policy(), tiny_demonstrations().prompts, max_length=4)
    assert not (written.inside & (written.actions == 1)).any()
    assert (plain.inside & (plain.actions == 1)).any()


def test_noise_makes_its_own_mistakes(named):
    chosen = settings(noise=named("last"), noise_rate=0.5)
    task = make_task(chosen)
    corrupt = make_corruption(chosen, task, tiny_policy())
    v, g = task.vocabulary, torch.Generator().manual_seed(0)
    clean = Trajectories.from_actions(v, [[0]] * 4, [[1, 1, 3, v.eos]] * 4, max_length=6)
    noised = corrupt(clean, g)
    deleted = (noised.actions[:, 1:] == v.backspace) & noised.inside[:, 1:]
    assert deleted.any()
    assert set(noised.actions[:, :-1][deleted].tolist()) == {2}


def test_noise_that_makes_nothing_is_refused(tmp_path):
    (tmp_path / "forgot.py").write_text("def mine(task, learner):\n    lambda prefixes: None\n")
    chosen = settings(noise=f"{tmp_path / 'forgot.py'}:mine")
    with pytest.raises(InvalidInputError, match=r"noise '.*forgot.py:mine' made something of type NoneType"):
        make_corruption(chosen, make_task(chosen), tiny_policy())
    chosen = settings(noise="none")
    assert make_corruption(chosen, make_task(chosen), tiny_policy()) is None


def test_an_expert_labels_what_a_learner_writes(named):
    chosen = settings(agent="dagger", agent_options={"expert": named("first")})
    training = make_training(chosen, make_task(chosen))
    demonstrations = training.demonstrations.select(slice(0, 4))
    labelled = experts.laws(training.agent.expert, demonstrations, demonstrations)
    assert set(labelled.argmax(-1)[demonstrations.inside].tolist()) <= {0, demonstrations.vocabulary.eos}
    assert (labelled[:, 0].argmax(-1) == 0).all()


def test_the_command_line_takes_all_three(named, monkeypatch, capsys):
    small = ["--steps", 2, "--layers", 0, "--width", 4, "--heads", 1, "--demonstrations", 8, "--batch-size", 4]
    own = ["--agent", "dagger", "--agent-option", f"expert={named('first')}", "--noise", named("last")]
    assert typed(monkeypatch, "train", *small, "--task-option", "horizon=6", *own, "--out", "run") == 0
    capsys.readouterr()
    assert typed(monkeypatch, "sample", "run", "--rule", f"{named('mine')}=1", "--rule", "tabu") == 0
    assert capsys.readouterr().out
    assert typed(monkeypatch, "sample", "run", "--rule", named("mine")) == 2
    assert f"rule '{named('mine')}' is not of the form {named('mine')}=TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fails", "cannot be made: LookupError: lost"),
        ("nothing", "made something of type int"),
        ("NUMBER", "is not a function, but of type int"),
    ],
)
def test_what_is_broken_is_refused_in_one_line(named, name, reason):
    chosen = settings(noise=named(name))
    for use in (
        lambda: plugins.rule(named(name)),
        lambda: make_corruption(chosen, make_task(chosen), tiny_policy()),
        lambda: plugins.made("experts", named(name), None, None),
    ):
        with pytest.raises(InvalidInputError) as refused:
            use()
        assert name in str(refused.value)
        assert reason in str(refused.value)
        assert "\n" not in str(refused.value)


def test_the_key_of_a_cell_counts_the_code_of_own_rules_and_noise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place("automaton", {**SMALL, "task": "automaton", "task_options": {"horizon": 6}}, 1e4, samples=4)
    arm = Arm("own", {"noise": "stranger.py:last"}, (Decoding("own", ("stranger.py:mine=1",)),))

    def keys(text):
        Path("stranger.py").write_text(text)
        return Cell(arm, place, 0).trained, Cell(arm, place, 0).asked

    before, elsewhere = keys(TEXT), keys(TEXT.replace("NUMBER = 3", "NUMBER = 4"))
    assert before == elsewhere
    trained, asked = keys(TEXT.replace("found[:, 2] = 1", "found[:, 3] = 1"))
    assert trained != before[0]
    assert asked == before[1]
    trained, asked = keys(TEXT.replace("-torch.inf", "-9.0"))
    assert trained == before[0]
    assert asked != before[1]


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("rules", decoding.RULES),
        ("experts", experts.EXPERTS),
        ("rewards", rewards.REWARDS),
        ("noise", noise.SOURCES),
    ],
)
def test_the_built_in_ones_are_registered_and_there_without_an_installation(kind, table, monkeypatch):
    registered = {p.name: p for p in importlib.metadata.entry_points(group=f"seqil.{kind}") if p.dist.name == "seqil"}
    assert {name: point.load() for name, point in registered.items()} == table
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    assert plugins.names(kind) == sorted(table)
    assert {name: plugins.load(kind, name) for name in table} == table


@pytest.mark.parametrize("kind", ["agents", "tasks", "rules", "experts", "rewards", "noise", "metrics"])
def test_every_kind_is_listed(kind, monkeypatch, capsys):
    assert typed(monkeypatch, "list", kind) == 0
    shown = capsys.readouterr().out
    assert {line.split()[0] for line in shown.splitlines() if line.strip()} >= set(plugins.names(kind))
    assert "seqil" in shown


def test_studies_are_listed_by_their_question(monkeypatch, capsys):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    assert typed(monkeypatch, "list", "studies") == 0
    assert "How does the error grow" in capsys.readouterr().out  # those of the repository
    point = EntryPoint("theirs", "small_studies:STUDY", "seqil.studies")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    assert typed(monkeypatch, "list", "studies") == 0
    from small_studies import STUDY

    assert inspect.cleandoc(STUDY.question).split()[0] in capsys.readouterr().out
