"""Agents and tasks of strangers: the examples, installed as another distribution, and some that are broken."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import forks

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.runs import plugins
from seqil.testing import check_agent, check_task

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ENTRY_POINTS = """\
[seqil.agents]
focal = stranger_agent:FocalCloning
missing = stranger_missing:Agent
nowhere = stranger_odd:Nowhere
exits = stranger_exits:Agent
function = stranger_odd:agent
foreign = stranger_odd:Foreign
undescribed = stranger_odd:Undescribed
malformed = what is this?

[seqil.tasks]
sorting = stranger_task:Sorting
unfinished = stranger_odd:Unfinished
foreign = stranger_odd:Foreign
"""
ODD = '''
from envs.tasks.base import Task
from seqil import Agent

class Undescribed(Agent):
    __doc__ = 3

def agent(policy):
    """Not a class."""

class Foreign:
    """[bold]Neither an agent nor a task."""

class Unfinished(Task):
    """Lacks its demonstrations."""

    def prompts(self, n, split, seed):
        return []
'''
REASONS = {
    "missing": "cannot be imported: ModuleNotFoundError: No module named 'nothing_of_the_sort'",
    "nowhere": "cannot be imported: AttributeError: module 'stranger_odd' has no attribute 'Nowhere'",
    "exits": "cannot be imported: SystemExit: 3",
    "function": "is not a class, but of type function; register the class",
    "foreign": "is not an agent: subclass seqil.Agent",
    "malformed": "cannot be imported:",
}


def install(folder, name, version, entry_points):
    """What an installer writes of a distribution."""
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return metadata


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install(folder, "stranger", "2.1", ENTRY_POINTS)
    shutil.copy(EXAMPLES / "new_agent.py", folder / "stranger_agent.py")
    shutil.copy(EXAMPLES / "new_task.py", folder / "stranger_task.py")
    (folder / "stranger_odd.py").write_text(ODD)
    (folder / "stranger_missing.py").write_text("import nothing_of_the_sort\n")
    (folder / "stranger_exits.py").write_text("raise SystemExit(3)\n")
    return folder


@pytest.fixture
def strangers(site, monkeypatch):
    """The distribution is on the path of this process."""
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.startswith("stranger_")]:
        del sys.modules[name]


def command(site, *arguments, cwd, first=""):
    """`seqil …` where the distribution is on the path."""
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n{first}\n"
    code += f"from seqil.cli.options import main; sys.argv = {['seqil', *arguments]!r}; main()"
    return forks().python(code, cwd=cwd)


def test_the_examples_keep_the_contract(strangers):
    check_task(plugins.construct("tasks", "sorting", length=3))
    check_agent(lambda policy: plugins.construct("agents", "focal", policy, steps=4))


def test_a_strangers_agent_trains_on_a_strangers_task(site, tmp_path):
    small = ["--steps", "6", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "20"]
    chosen = ["--agent", "focal", "--agent-option", "focus=2.0", "--task", "sorting", "--task-option", "length=3"]
    done = command(site, "train", *chosen, *small, "--out", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["loss_focal"] > 0


def test_the_list_names_what_is_broken_and_why(site, tmp_path):
    done = command(
        site, "list", "agents", cwd=tmp_path, first="from seqil.cli import commands; commands.console.width = 200"
    )
    assert done.code == 0, done.err
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert {"name", "bc", "sequence_match", "focal"} <= set(rows)
    assert rows["bc"].split()[-2] == "seqil"
    for name, reason in REASONS.items():
        assert rows[name].split()[-2:] == ["stranger", "2.1"]
        assert reason in rows[name]


def test_every_plugin_is_described(strangers):
    found = {plugin.name: plugin for plugin in plugins.registered("tasks")}
    assert list(found) == sorted(found) == plugins.names("tasks")
    assert found["sorting"] == plugins.Plugin(
        "sorting", "stranger", "2.1", "Letters, answered in alphabetical order.", True
    )
    assert found["unfinished"].about.endswith("does not define demonstrations")
    assert found["foreign"].about.endswith("is not a task: subclass seqil.Task")
    assert {name for name, plugin in found.items() if not plugin.usable} == {"unfinished", "foreign"}


@pytest.mark.parametrize("name", REASONS)
def test_a_broken_plugin_is_refused_in_one_line_when_used(strangers, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seqil", "train", "--agent", name])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr().err
    assert stopped.value.code == 2
    assert f"agent '{name}' (" in shown
    assert REASONS[name] in shown
    assert len(shown.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_name_registered_twice_is_listed_and_refused(strangers, tmp_path, monkeypatch):
    install(tmp_path, "rival", "0.3", "[seqil.agents]\nfocal = stranger_agent:FocalCloning\n")
    monkeypatch.syspath_prepend(tmp_path)
    reason = "agent 'focal' is registered 2 times, by rival 0.3 and stranger 2.1; keep one of them"
    with pytest.raises(InvalidInputError, match=reason):
        plugins.load("agents", "focal")
    twice = [plugin for plugin in plugins.registered("agents") if plugin.name == "focal"]
    assert [(plugin.package, plugin.about, plugin.usable) for plugin in twice] == [
        ("rival", reason, False),
        ("stranger", reason, False),
    ]
    assert plugins.load("agents", "bc").__name__ == "BehaviorCloning"


def test_a_distribution_without_metadata_is_listed(strangers, tmp_path, monkeypatch):
    metadata = install(tmp_path, "half", "0.1", "[seqil.tasks]\nagain = stranger_task:Sorting\n")
    (metadata / "METADATA").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    found = {plugin.name: plugin for plugin in plugins.registered("tasks")}
    assert (found["again"].package, found["again"].version, found["again"].usable) == ("?", "?", True)
