"""Typing commands, in this process, in a fork and in a process of their own."""

import atexit
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from forks import Forks

from seqil.cli.options import main

SMALL = ["--steps", "6", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "20"]
SMALL += ["--batch-size", "4", "--task-option", "horizon=8"]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
"""So that a command is that of this checkout, whatever its working directory."""


@cache
def forks():
    """The process whose forks run the commands of all tests of this process."""
    found = Forks()
    atexit.register(found.close)
    return found


def command(*arguments, cwd):
    """`seqil …` in a fork of a process that has imported everything: the start of a new one takes seconds."""
    if not hasattr(os, "fork"):
        return typed(*arguments, cwd=cwd)
    ended = forks().seqil(arguments, cwd=cwd, limit=120)
    return subprocess.CompletedProcess(arguments, ended.code, ended.out, ended.err)


def typed(*arguments, cwd, env=ENVIRONMENT):
    """The same in a process of its own, as a user types it."""
    return subprocess.run(
        [sys.executable, "-m", "seqil", *map(str, arguments)],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def started(*arguments, cwd):
    """The same, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "seqil", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def refused(monkeypatch, capsys, arguments, culprit):
    """The command ends with status 2 and one line that names the culprit."""
    monkeypatch.setattr(sys, "argv", ["seqil", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr().err
    assert stopped.value.code == 2
    assert culprit in shown
    assert len(shown.strip().splitlines()) == 1
