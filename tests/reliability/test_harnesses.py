"""A short form of each harness; `make reliability` runs the long one."""

import json

from harness import damage, faults, killing, malformed, power, sameness


def all_fine(findings, least):
    found = list(findings)
    assert not [one for one in found if one[0] != "fine"]
    assert len(found) >= least


def test_a_killed_run_goes_on_to_the_same_bits(forks, subjects, tmp_path):
    all_fine(killing.kills_of_training(forks, subjects, tmp_path / "run", 3), 3)


def test_a_disk_that_refuses_is_named_and_costs_nothing(forks, subjects, tmp_path):
    all_fine(faults.inject(forks, subjects, tmp_path / "run", ("train", "sample", "export", "seal"), 150, 7), 4)


def test_a_loss_of_power_costs_no_checkpoint(forks, subjects, tmp_path):
    all_fine(power.losses(forks, subjects, tmp_path / "run", 60), 3)


def test_damage_is_seen(forks, subjects, tmp_path):
    all_fine(damage.damages_to_runs(forks, subjects, tmp_path / "run", 4), 3)
    all_fine(damage.damages_to_models(forks, subjects, tmp_path / "model", 4), 3)


def test_a_second_writer_is_refused(forks, subjects, tmp_path):
    all_fine(killing.rivals(forks, subjects, tmp_path / "run"), 1)


def test_a_study_that_is_killed_or_damaged_has_every_record_once(forks, subjects, tmp_path):
    all_fine(killing.kills_of_studies(forks, subjects, tmp_path / "study", 1), 1)
    all_fine(damage.damages_to_studies(forks, subjects, tmp_path / "study", 2), 1)


def test_malformed_input_is_refused_in_one_line(forks, subjects, tmp_path):
    cases = malformed.cases(json.loads((subjects.whole / "run/settings.json").read_text()))
    assert len(cases) > 900
    assert len({(case.family, case.name) for case in cases}) == len(cases)
    chosen = [case for case in cases if case.family == "Python"][::12]
    all_fine((malformed.judged(forks, subjects, tmp_path / "place", case) for case in chosen), 20)


def test_hash_seeds_locales_and_time_zones_change_no_bit(subjects, tmp_path):
    all_fine(sameness.equal_bits(subjects, tmp_path, {"all at once": sameness.TOGETHER}), 1)


def test_memory_and_handles_stay_as_they_are(forks, tmp_path):
    all_fine(sameness.soak(forks, tmp_path / "soak", 2), 1)


def test_a_killed_worker_of_a_vector_environment_is_heard_of(forks, tmp_path):
    all_fine(sameness.killed_workers(forks, tmp_path / "workers"), 1)


def test_the_shim_fails_the_call_that_it_is_told_to(forks, tmp_path):
    """Without it the harnesses above would see nothing but undisturbed commands."""
    code = "open('a', 'w').write('x')\ntry:\n open('b', 'w')\nexcept OSError as error: print(error)\nopen('c', 'w')"
    ended = forks.python(code, cwd=tmp_path, fault=faults.Fault(str(tmp_path), faults.FAIL, 3, 5))
    assert ended.out.strip() == "[Errno 5] Input/output error: 'b'", ended
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]
    assert (tmp_path / "a").read_text() == "x"


def test_a_harness_sees_what_is_wrong(forks, subjects, tmp_path):
    """A command that succeeds is not refused, one that names another culprit neither."""
    sound = malformed.Case("none", "a version", ["--version"], "version")
    other = malformed.Case("none", "another culprit", ["sample", "nowhere"], "somewhere else")
    kinds = [malformed.judged(forks, subjects, tmp_path / "place", case)[0] for case in (sound, other)]
    assert kinds == ["accepted", "names another culprit"]
