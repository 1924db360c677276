"""The page of promises is what its measurements say."""

import json

import pytest

from benchmarks.reliability import page
from seqil.errors import InvalidInputError

ROW = {"name": "kills", "promise": "a killed run goes on", "command": "python x --kills 3", "counts": {"fine": 3},
       "machine": "two cores", "date": "2026-11-29"}  # fmt: skip


def test_a_row_says_what_was_kept_and_what_was_not(tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps([ROW, {**ROW, "counts": {"fine": 1200, "hang": 1, "silent": 2}}]))
    *_, one, other = page.markdown(file).splitlines()
    assert one == "| a killed run goes on | `python x --kills 3` | 3 of 3 | none | two cores | 2026-11-29 |"
    assert "| 1,200 of 1,203 | 1 hang, 2 silent |" in other


@pytest.mark.parametrize("content", ["", "{}", "[3]", '[{"promise": "x"}]', "[" * 10**5])
def test_what_is_no_measurement_is_refused(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(InvalidInputError, match="is not what make reliability writes"):
        page.markdown(tmp_path / "results.json")
