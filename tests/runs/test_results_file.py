"""The records of a study: damage is named by line and field, good lines are kept, numbers become a frame."""

import json
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_studies import STUDY, stored, synthetic

import seqil
from benchmarks.compounding_error.__main__ import main
from benchmarks.compounding_error.running.records import appending
from benchmarks.compounding_error.studies import PRESETS
from benchmarks.compounding_error.verification import RESULTS
from seqil.errors import InvalidInputError, MissingExtraError, SeqilError
from seqil.runs import strict_json
from seqil.runs.results_file import read

RECORD, *_ = (stored(record) for record in synthetic(STUDY))
ONE = RECORD["estimates"]["success"]


def without(name):
    return {key: value for key, value in RECORD.items() if key != name}


NOT_READ = [
    b"[" + b'"*' * 200_000,
    b'{"key": ' + b"9" * 9_999 + b"}",
    b"\xff\xfe",
    b'{"key": "cut',
    b"{}",
    b"[]",
    b"[" * 100_000,
]
DAMAGED = [
    ({**RECORD, "estimates": {"hazard": None}}, "estimates.hazard is no mapping"),
    ({**RECORD, "estimates": []}, "estimates is no mapping"),
    ({**RECORD, "estimates": {"hazard": {**ONE, "value": "x"}}}, "estimates.hazard.value is no number"),
    ({**RECORD, "estimates": {"hazard": {**ONE, "n": 1.5}}}, "estimates.hazard.n is no whole number"),
    ({**RECORD, "estimates": {"hazard": {**ONE, "value": 10**400}}}, "estimates.hazard.value is no number"),
    ({**RECORD, "estimates": {"hazard": {**ONE, "value": True}}}, "estimates.hazard.value is no number"),
    ({**RECORD, "cost": "x"}, "cost is no number"),
    (without("versions"), "lacks versions"),
    ({**RECORD, "versions": {"seqil": "1"}}, "versions lacks torch"),
    ({**RECORD, "seed": "0"}, "seed is no whole number"),
    ({**RECORD, "seed": -1}, "seed is no whole number"),
    ({**RECORD, "key": ["a"]}, "key is no text"),
    ({**RECORD, "settings": None}, "settings is no mapping"),
    ({**RECORD, "settings": {}}, "settings lacks agent"),
    ({**RECORD, "decoded": [{"decoding": "greedy"}]}, "decoded[0] lacks estimates"),
    ({**RECORD, "survival": [[1.0]]}, "survival is no list of 2"),
    ({**RECORD, "survival": [[1.0], ["a"]]}, "survival[1][0] is no number"),
    ({**RECORD, "counts": {"errors": [1]}}, "counts lacks at_risk"),
    ({**RECORD, "samples": [["1 2", [["3", 1]]]]}, "samples[0][1][0][1] is no true or false"),
    ({**RECORD, "trajectories": [{}]}, "trajectories[0] lacks prompt"),
    ({**RECORD, "horizons": [{"horizon": 3}]}, "horizons[0] lacks extrapolation"),
    ({**RECORD, "course": None}, "course is no list"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "fault"), DAMAGED, ids=[fault for _, fault in DAMAGED])
def test_a_damaged_line_is_named_and_the_good_ones_are_kept(record, fault, tmp_path, monkeypatch, capsys):
    file = tmp_path / "results.jsonl"
    lines = [json.dumps(RECORD).encode(), *NOT_READ, json.dumps(record).encode(), json.dumps(RECORD).encode()]
    file.write_bytes(b"\n".join(lines))
    found = read(file)
    assert found.records == [RECORD, RECORD]
    *others, last = found.faults
    assert last == f"{file}, line {len(NOT_READ) + 2}: {fault}; remove that line"
    assert others == [f"{file}, line {n}: it is no record; remove that line" for n in range(2, len(NOT_READ) + 2)]
    file.write_bytes(b"\n".join([lines[0], lines[-2], b'{"key": "cut']))
    monkeypatch.setitem(PRESETS, "small", STUDY)
    with pytest.raises(SystemExit, match="0"):
        main(["table", "--preset", "small", "--out", str(tmp_path)])
    assert [line for line in capsys.readouterr().err.splitlines() if fault in line]


def test_every_committed_record_is_sound():
    for file in RESULTS.glob("*/results.jsonl"):
        found = read(file)
        assert found.faults == []
        assert len(found.records) == len(file.read_bytes().splitlines())


def test_what_is_no_regular_file_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "results.jsonl")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**31)
    for name in ("results.jsonl", "/dev/zero"):
        with pytest.raises(InvalidInputError, match="is not a regular file"):
            read(tmp_path / name)
    with pytest.raises(InvalidInputError, match="loop cannot be read: Too many levels of symbolic links"):
        read(tmp_path / "loop")
    with pytest.raises(InvalidInputError, match="2,147,483,648 bytes, more than 1,073,741,824; it is damaged"):
        read(tmp_path / "sparse")
    assert read(tmp_path / "none.jsonl").records == []


# -- the frame


def test_a_frame_has_a_row_per_number(tmp_path):
    pytest.importorskip("pandas", reason="needs the extra `frames`")
    records = synthetic(STUDY)
    records[0]["horizons"] = [{"horizon": 3, "extrapolation": False, "estimates": {"success": ONE}}]
    records[0]["decoded"] = [{**sample, "decoding": f"way {i}"} for i, sample in enumerate(records[0]["decoded"])]
    lines = [json.dumps(record) for record in (*records, {**RECORD, "cost": "x"})]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="cost is no number"):
        frame = seqil.results(tmp_path)
    numbers = [s for r in records for s in (r, *r["decoded"], *r.get("horizons", ()))]
    assert len(frame) == sum(len(sample["estimates"]) for sample in numbers)
    assert not frame.duplicated(["task", "arm", "decoding", "seed", "horizon", "metric"]).any()
    success = frame[(frame.metric == "success") & frame.horizon.isna()]
    by_arm = success[success.decoding == ""].groupby("arm").value.mean()
    assert by_arm["B"] == pytest.approx(0.5, abs=1e-5)
    assert set(frame[frame.arm == "MLE"].decoding) == {"", "way 0", "way 1", "sample 1", "sample 2"}
    assert frame[frame.horizon == 3].value.tolist() == [ONE["value"]]


def test_a_frame_of_nothing_and_without_pandas_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="needs pandas; pip install pandas"):
        seqil.results(tmp_path)
    monkeypatch.undo()
    pytest.importorskip("pandas", reason="needs the extra `frames`")
    with pytest.raises(InvalidInputError, match="holds no record"):
        seqil.results(tmp_path)


# -- sums


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)), st.data())
def test_a_sealed_line_is_read_back_and_no_other_one_is(record, data):
    text = json.dumps(record or {"a": 1})
    line = strict_json.sealed(text).encode()
    assert json.loads(line)["sha256"]
    assert strict_json.unsealed(line + b"\n") == text.encode()
    assert strict_json.unsealed(text.encode()) == text.encode()
    at = data.draw(st.integers(0, len(text) - 2))
    changed = bytearray(line)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    assert strict_json.unsealed(bytes(changed)) is None


def test_a_record_that_was_changed_is_named(tmp_path):
    file = tmp_path / "results.jsonl"
    with appending(file) as append:
        append(RECORD)
        append(RECORD)
    assert read(file).records == [RECORD, RECORD]
    file.write_bytes(file.read_bytes().replace(b'"seed": 0', b'"seed": 1', 1))
    assert read(file).records == [RECORD]
    assert read(file).faults == [f"{file}, line 1: it was changed: its SHA-256 differs; remove that line"]


def test_a_last_line_that_was_changed_is_no_crash(tmp_path):
    file = tmp_path / "results.jsonl"
    with appending(file) as append:
        append(RECORD)
        append(RECORD)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1].replace(b'"seed": 0', b'"seed": 1'))  # an editor that adds no newline
    named = f"{file}, line 2: it was changed: its SHA-256 differs; remove that line"
    assert read(file).faults[-1] == named
    with appending(file) as append:
        append(RECORD)
    assert read(file).faults[-1] == named
    assert len(file.read_bytes().splitlines()) == 3  # nothing was taken away


def test_a_sum_that_was_taken_away_is_missed(tmp_path):
    file = tmp_path / "results.jsonl"
    older = json.dumps(RECORD).encode() + b"\n"  # from before there were sums
    file.write_bytes(older)
    with appending(file) as append:
        append(RECORD)
    assert read(file).faults == []
    file.write_bytes(file.read_bytes() + older)
    assert read(file).faults == [
        f"{file}, line 3: it was changed: it has no SHA-256, as those before it have; remove that line"
    ]


@pytest.mark.parametrize(("end", "whole"), [(b'{"key": "cut', 1), (strict_json.sealed(json.dumps(RECORD)).encode(), 2)])
def test_what_a_crash_cut_short_goes_and_a_record_without_its_end_stays(tmp_path, end, whole):
    file = tmp_path / "results.jsonl"
    file.write_bytes(json.dumps(RECORD).encode() + b"\n" + end)
    with appending(file) as append:
        append(RECORD)
    assert read(file).records == [RECORD] * (whole + 1)
    assert read(file).faults == []


def test_a_record_that_the_disk_refuses_leaves_the_others(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(28, "No space left on device")

    file = tmp_path / "results.jsonl"
    with appending(file) as append:
        append(RECORD)
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(SeqilError, match=r"cannot write .*No space left on device .*run again to go on"):
            append(RECORD)
    assert read(file).records == [RECORD]
