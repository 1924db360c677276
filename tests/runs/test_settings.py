"""Settings as records: every flat name has its place, files and keys of records that are older are still read."""

import hashlib
import json
import sys
import tarfile
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from benchmarks.compounding_error.running.cells import cells_of, data_of
from benchmarks.compounding_error.running.records import read
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.verification import RESULTS
from seqil import Chosen, ModelSettings, NoiseSettings, Sampling, Settings
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.runs.checkpoint import RunFolder

ELSEWHERE = {
    "task": "chain", "agent": "bc", "task_options": {"delay": 2}, "agent_options": {"gamma": 0.5}, "model": "lm",
    "layers": 0, "width": 8, "heads": 1, "backspace": False, "backspace_row": "mean", "dtype": "bfloat16", "lora": 2,
    "memory": "tried", "tried_term": True,
    "demonstrations": 5, "steps": 6, "batch_size": 7, "microbatch": 3, "learning_rate": 0.5,
    "noise": "task", "noise_rate": 0.25, "burst": 3, "mask_noise": False, "sampling_every": 2, "sampling_rows": 9,
    "sampling_capacity": 11, "sampling_actions": 13, "sampling_temperature": 0.75, "average": 0.9, "seed": 17,
    "device": "cuda",
}  # fmt: skip
RECORDS = Settings(
    task=Chosen("chain", {"delay": 2}),
    agent=Chosen("bc", {"gamma": 0.5}),
    model=ModelSettings("lm", 0, 8, 1, backspace=False, backspace_row="mean", memory="tried", tried_term=True, lora=2,
                        dtype="bfloat16", device="cuda"),
    noise=NoiseSettings("task", 0.25, burst=3, masked=False),
    sampling=Sampling(2, 9, 11, 13, 0.75),
    demonstrations=5, steps=6, batch_size=7, microbatch=3, learning_rate=0.5, average=0.9, seed=17,
)  # fmt: skip
WHEN_KEYS_BEGAN = {
    "task": "automaton", "agent": "sequence_match", "task_options": {}, "agent_options": {}, "model": None,
    "layers": 2, "width": 64, "heads": 4, "backspace": True, "demonstrations": 4000, "steps": 600, "batch_size": 32,
    "learning_rate": 2e-3, "noise": "uniform", "noise_rate": 0.05, "burst": 1, "mask_noise": True,
    "sampling_every": 8, "sampling_rows": 32, "sampling_capacity": 512, "sampling_actions": None, "average": None,
    "seed": 0, "device": "cpu",
}  # fmt: skip


def test_records_and_flat_names_say_the_same():
    assert Settings.of(ELSEWHERE) == RECORDS
    assert RECORDS.to_json() == ELSEWHERE
    usual = Settings().to_json()
    assert all(ELSEWHERE[name] != usual[name] for name in usual)
    records = (Settings, Chosen, Chosen, ModelSettings, NoiseSettings, Sampling)
    assert len(usual) == sum(len(fields(record)) for record in records) - 5  # those that hold the records


@given(st.sets(st.sampled_from(sorted(ELSEWHERE))))
def test_what_is_not_given_is_the_default(names):
    given_names = {name: ELSEWHERE[name] for name in names}
    chosen = Settings.of(given_names)
    assert chosen.to_json() == {**Settings().to_json(), **given_names}
    assert Settings.of(chosen.to_json()) == chosen


def test_the_defaults_are_those_of_the_first_records():
    assert {name: Settings().to_json()[name] for name in WHEN_KEYS_BEGAN} == WHEN_KEYS_BEGAN


@pytest.mark.parametrize("study", ["quick", "gail", "confirm", "scarce", "search"])
def test_committed_records_have_the_keys_that_their_settings_give(study):
    kept = {record["key"].partition("-")[0] for record in read(RESULTS / study / "results.jsonl")}
    assert {cell.trained for cell in cells_of(replace(PRESETS[study], seeds=1))} <= kept


def test_a_key_is_spelt_by_flat_names():
    cell = cells_of(replace(PRESETS["gail"], seeds=1))[0]
    own = {**cell.place.settings, **cell.arm.settings, "seed": 0, "device": "cpu"}
    decisive = {name: value for name, value in own.items() if value != WHEN_KEYS_BEGAN.get(name)}
    record = next(r for r in read(RESULTS / "gail" / "results.jsonl") if (r["arm"], r["seed"]) == (cell.arm.name, 0))
    what = json.dumps([1, decisive, cell.budget, data_of(cell.settings), 1, cell.arm.stages, 0], sort_keys=True)
    assert record["key"].partition("-")[0] == hashlib.sha256(what.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda: Settings(task="chain"),
            "Settings: task='chain' is not a Chosen; flat names and values are read by Settings.of",
        ),
        (lambda: Settings(noise=NoiseSettings(rate="x")), "setting noise_rate='x' is not a float"),
        (lambda: Settings(noise=NoiseSettings(rate=0.95)), "setting noise_rate=0.95 must lie in"),
        (lambda: Settings(model=ModelSettings(layers=-1)), "setting layers=-1 must be at least 0"),
        (lambda: Settings(model=ModelSettings(memory="all")), "memory"),
        (lambda: Settings(steps=True), "setting steps=True is not an int"),
        (lambda: Settings(seed=2**63), "setting seed="),
        (lambda: Settings.of({"sampling_every": "x"}), "setting sampling_every='x' is not an int"),
        (lambda: Settings.of({"sampling_rows": 0}), "rows=0 must be at least 1"),
        (lambda: Settings.of({"sampling_temperature": -1}), "temperature=-1"),
        (lambda: Settings.of({"rate": 0.5}), "unknown setting 'rate'"),
        (lambda: Settings.of({"task": Chosen("chain")}), "setting task="),
    ],
)
def test_what_is_wrong_is_named_as_in_files(make, complaint):
    with pytest.raises(InvalidInputError) as refused:
        make()
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
def flat_run(tmp_path, monkeypatch):
    """A run of 4 steps from before settings were records, with its last checkpoint."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(Path(__file__).with_name("flat_run.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "old_run"


def typed(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    shown = capsys.readouterr()
    assert not stopped.value.code, shown.err
    return shown.out


def test_an_older_run_goes_on_and_is_sampled(flat_run, monkeypatch, capsys):
    before = RunFolder(flat_run).settings["settings"]
    assert "sampling_temperature" not in before
    chosen = Settings.of(before)
    assert (chosen.agent, chosen.noise) == (Chosen("bc", {"gamma": 0.9}), NoiseSettings(rate=0.1, masked=False))
    assert typed(monkeypatch, capsys, "sample", "old_run", "-n", 2)
    shown = typed(monkeypatch, capsys, "train", "--out", "old_run", "--resume", "--steps", 6)
    assert "resumed at step 4 of 6" in shown
    assert RunFolder(flat_run).latest().name == "000000006"


def test_the_settings_of_an_older_run_start_another(flat_run, monkeypatch, capsys):
    typed(monkeypatch, capsys, "train", "--config", flat_run / "settings.json", "--steps", 2, "--out", "new")
    before, now = (RunFolder(run).settings["settings"] for run in (flat_run, "new"))
    assert {name: now[name] for name in before} == {**before, "steps": 2}
