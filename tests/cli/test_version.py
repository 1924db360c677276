import sys
from importlib.metadata import version

import pytest

from seqil.cli.options import main


def test_the_version_is_that_of_the_distribution(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["seqil", "--version"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"seqil {version('seqil')}\n"
