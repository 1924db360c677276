"""One process that forks, and the undisturbed runs, for all harnesses."""

import command_line
import pytest
from forks import available
from harness.subjects import Subjects


@pytest.fixture(scope="session")
def forks():
    if not available():
        pytest.skip("the shim needs Linux and a C compiler")
    return command_line.forks()


@pytest.fixture(scope="session")
def subjects(forks, tmp_path_factory):
    return Subjects(forks, tmp_path_factory.mktemp("subjects"))
