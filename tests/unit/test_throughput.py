"""The benchmarks run and say what they measured."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.throughput.measure import compare

ROOT = Path(__file__).resolve().parents[2]


def test_environments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", "environments", "--repetitions", "1", "--json", tmp_path / "r"],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "r").read_text())["rows"]
    assert len(rows) == 3
    assert all(row["low"] <= row["ratio"] <= row["high"] for row in rows)


def test_a_ratio_above_one_is_in_our_favour():
    found = compare("more units", "units/s", lambda: 1e9, lambda: 1.0, 3)
    assert found.low > 1
