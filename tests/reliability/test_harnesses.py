"""A short form of each harness; `make reliability` runs the long one."""

from pathlib import Path

import pytest
from harness import damage, faults, killing, power
from harness.forks import Forks, available
from harness.subjects import Subjects

pytestmark = pytest.mark.skipif(not available(), reason="the shim needs Linux and a C compiler")


@pytest.fixture(scope="module")
def forks():
    with Forks() as found:
        yield found


@pytest.fixture(scope="module")
def subjects(forks, tmp_path_factory):
    return Subjects(forks, tmp_path_factory.mktemp("subjects"))


def all_fine(findings, least):
    found = list(findings)
    assert not [one for one in found if one[0] != "fine"]
    assert len(found) >= least


def test_a_killed_run_goes_on_to_the_same_bits(forks, subjects, tmp_path):
    all_fine(killing.kills_of_training(forks, subjects, tmp_path / "run", 4), 4)


def test_a_disk_that_refuses_is_named_and_costs_nothing(forks, subjects, tmp_path):
    all_fine(faults.inject(forks, subjects, tmp_path / "run", ("train", "sample", "export", "seal"), 90, 7), 6)


def test_a_loss_of_power_costs_no_checkpoint(forks, subjects, tmp_path):
    all_fine(power.losses(forks, subjects, tmp_path / "run", 150), 4)


def test_damage_is_seen(forks, subjects, tmp_path):
    all_fine(damage.damages_to_runs(forks, subjects, tmp_path / "run", 5), 4)
    all_fine(damage.damages_to_models(forks, subjects, tmp_path / "model", 5), 4)


def test_a_second_writer_is_refused(forks, subjects, tmp_path):
    all_fine(killing.rivals(forks, subjects, tmp_path / "run"), 1)


def test_the_shim_fails_the_call_that_it_is_told_to(forks, tmp_path):
    """Without it the harnesses above would see nothing but undisturbed commands."""
    code = "open('a', 'w').write('x')\ntry:\n open('b', 'w')\nexcept OSError as error: print(error)\nopen('c', 'w')"
    ended = forks.python(code, cwd=tmp_path, fault=faults.Fault(str(tmp_path), faults.FAIL, 3, 5))
    assert ended.out.strip() == "[Errno 5] Input/output error: 'b'", ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]
    assert Path(tmp_path / "a").read_text() == "x"
