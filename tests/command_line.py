"""Typing commands, in this process and in another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqil.cli.options import main

SMALL = ["--steps", "6", "--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "20"]
SMALL += ["--batch-size", "4", "--task-option", "horizon=8"]

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
"""So that a command is that of this checkout, whatever its working directory."""


def command(*arguments, cwd, env=ENVIRONMENT):
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
