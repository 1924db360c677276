"""Classes and functions of one's own, by file or module and name."""

import sys

import pytest

from agents.behavior_cloning import BehaviorCloning
from seqil.errors import OWN_FILE, InvalidInputError
from seqil.runs import own_files

COUNTED = """
import builtins
builtins.times_run = getattr(builtins, "times_run", 0) + 1

class Mine:
    "One's own."

    class Inner:
        "Inside of it."

def made():
    class Local: ...
    return Local
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.times_run", 0, raising=False)
    (tmp_path / "mine.py").write_text(COUNTED)
    yield tmp_path / "mine.py"
    for name in [name for name in sys.modules if name.startswith(OWN_FILE)]:
        del sys.modules[name]


def test_a_file_is_run_once_as_long_as_it_says_the_same(file):
    import builtins

    one, other = own_files.run_file(file), own_files.run_file(file)
    assert one is other
    assert builtins.times_run == 1
    file.write_text(COUNTED + "\nmore = 3\n")
    assert own_files.run_file(file).more == 3
    assert builtins.times_run == 2


def test_what_is_found_is_found_again_by_its_reference(file):
    mine = own_files.find("mine.py:Mine")
    assert own_files.reference_to(mine) == "mine.py:Mine"
    assert own_files.find(own_files.reference_to(mine)) is mine
    assert own_files.find(f"{file}:Mine") is mine
    assert own_files.reference_to(BehaviorCloning) == "agents.behavior_cloning:BehaviorCloning"
    assert own_files.find("agents.behavior_cloning:BehaviorCloning") is BehaviorCloning


def test_elsewhere_the_reference_is_the_whole_path(file, tmp_path, monkeypatch):
    mine = own_files.find(f"{file}:Mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert own_files.reference_to(mine) == f"{file.resolve()}:Mine"


def test_the_sum_of_a_class_is_of_its_own_source(file):
    before = own_files.digest("mine.py:Mine")
    file.write_text("# a line before it\n" + COUNTED)
    assert own_files.digest("mine.py:Mine") == before
    file.write_text(COUNTED.replace("One's own.", "Changed."))
    assert own_files.digest("mine.py:Mine") != before


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / 0", "mine.py cannot be run: ZeroDivisionError: division by zero$"),
        ("raise SystemExit(3)", "mine.py cannot be run: SystemExit: 3$"),
        ("raise ValueError('two\\nlines')", "mine.py cannot be run: ValueError: two lines$"),
        ("def half(:", "mine.py cannot be run: SyntaxError: "),
        ("x = 1", "mine.py defines no 'Mine'$"),
    ],
)
def test_a_file_that_fails_is_named_and_forgotten(file, text, complaint):
    file.write_text(text)
    before = set(sys.modules)
    with pytest.raises(InvalidInputError, match=complaint):
        own_files.find("mine.py:Mine")
    failed = "cannot be run" in complaint
    assert not failed or set(sys.modules) == before


def test_interrupts_and_errors_of_ours_pass(file):
    file.write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        own_files.run_file(file)
    file.write_text("from seqil.errors import InvalidInputError\nraise InvalidInputError('as it is')")
    with pytest.raises(InvalidInputError, match=r"^as it is$"):
        own_files.run_file(file)


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("nowhere.py:Mine", r"nowhere.py cannot be read \(No such file or directory\); name a Python file"),
        ("nothing.of.the.sort:Mine", "nothing.of.the.sort:Mine cannot be imported: ModuleNotFoundError"),
        ("agents.behavior_cloning:Other", "agents.behavior_cloning defines no 'Other'"),
    ],
)
def test_what_is_not_there_is_named(file, reference, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        own_files.find(reference)


def test_what_no_other_process_can_load_has_no_reference(file):
    mine = own_files.find("mine.py:Mine")
    for inner in (mine.Inner, own_files.find("mine.py:made")()):
        with pytest.raises(InvalidInputError, match="stands inside of something else; define it at the top of a file"):
            own_files.reference_to(inner)
    typed = type("Typed", (), {"__module__": "__main__"})
    typed.__qualname__ = "Typed"
    sound = sys.modules["__main__"].__dict__.get("__file__")
    if sound is None:
        with pytest.raises(InvalidInputError, match="Typed stands in no file"):
            own_files.reference_to(typed)
    else:
        assert own_files.reference_to(typed).endswith(":Typed")


PARTS = """
import math
import beside
from beside import helper

SCALE = 2.0

class Loss:
    def value(self): return SCALE * used()

def used(): return helper() + beside.other()

def unused(): return 1

class Mine:
    loss = Loss
"""


def test_the_sum_of_a_class_is_of_what_it_refers_to(file, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside.py").write_text("def helper(): return 1\ndef other(): return 2\n")
    (tmp_path / "apart.py").write_text("x = 1\n")

    def summed(text, other="def helper(): return 1\ndef other(): return 2\n"):
        file.write_text(text)
        (tmp_path / "beside.py").write_text(other)
        sys.modules.pop("beside", None)
        return own_files.digest("mine.py:Mine")

    before = summed(PARTS)
    assert summed(f"# a comment\n{PARTS}\nmore = 1\n") == before
    assert summed(PARTS.replace("unused(): return 1", "unused(): return 2")) == before
    for old, new in (("2.0", "3.0"), ("SCALE * used()", "used()"), ("helper() +", "helper() -")):
        assert summed(PARTS.replace(old, new)) != before
    assert summed(PARTS, "def helper(): return 7\ndef other(): return 2\n") != before
    sys.modules.pop("beside", None)
