"""A study that is killed or interrupted."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import forks
from small_studies import spelt

from benchmarks.compounding_error.running.records import read

ROOT = Path(__file__).resolve().parents[3]
SMALL_STUDY = """
import sys
from small_studies import STUDY
from benchmarks.compounding_error.__main__ import main
from benchmarks.compounding_error.studies import PRESETS

PRESETS["small"] = STUDY
"""
AS_A_PROGRAM = """
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@contextmanager
def started(folder, *options):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "subjects")])
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL_STUDY + AS_A_PROGRAM, "run", "--preset", "small", "--out", str(folder), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def resumed(folder):
    """The source that goes on with it, in a process that has imported everything, where each run is a fork."""
    paths = [str(ROOT), str(ROOT / "tests" / "subjects")]
    here = "engines.ENGINES['local'] = lambda cells, _: ((cell, engines.attempt(cell)) for cell in cells)"
    return f"""
import sys
sys.path[:0] = {paths!r}
from benchmarks.compounding_error.running import engines
{here}
{SMALL_STUDY}
main(["run", "--preset", "small", "--out", {str(folder)!r}, "--workers", "1"])
"""


def wait_until(condition, seconds=300):
    """A machine may be busy with other things."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def children_of(pid):
    stats = [(path.parent.name, path.read_text()) for path in Path("/proc").glob("[0-9]*/stat")]
    return [int(child) for child, stat in stats if stat.rpartition(")")[2].split()[1] == str(pid)]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")
def test_a_killed_study_leaves_no_process_and_no_lock_and_resumes(tmp_path):
    results = tmp_path / "results.jsonl"
    with started(tmp_path, "--workers", "1") as first:
        wait_until(lambda: read(results) or first.poll() is not None)
        workers = children_of(first.pid)
        first.kill()
    kept = read(results)
    assert 1 <= len(kept) < 9
    assert workers
    wait_until(lambda: not any(map(alive, workers)))
    again = forks().python(resumed(tmp_path), cwd=tmp_path)
    assert again.code == 0, again.err
    records = read(results)
    assert spelt(records[: len(kept)]) == spelt(kept)
    assert len(records) == len({record["key"] for record in records}) == 9
    assert "time left: 0 s" in again.out
    assert (tmp_path / "report.html").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for orphans in /proc")
def test_a_study_that_is_asked_to_end_leaves_nothing_behind(tmp_path):
    with started(tmp_path, "--workers", "1") as process:
        wait_until(lambda: len(children_of(process.pid)) > 1 or process.poll() is not None)
        workers = children_of(process.pid)
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert complained == "compounding_error: interrupted; run again to go on\n"  # no word of leaked semaphores
    wait_until(lambda: not any(map(alive, workers)))


WATCHED = """
import multiprocessing, threading, time
from seqil.runs.stopping import end_at_once

def watch(child):
    child.join()
    time.sleep(0.3)
    print("cleaned up", flush=True)
    raise OSError("a pipe of a process that was killed")

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    threading.Thread(target=watch, args=(child,)).start()
    end_at_once(15)
"""


def test_an_end_waits_for_who_watches_the_children_and_hears_no_complaint(tmp_path):
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (128 + 15, "cleaned up\n", "")


@pytest.mark.slow
def test_an_interrupted_study_says_how_to_go_on(tmp_path):
    with started(tmp_path, "--workers", "1") as process:
        wait_until(lambda: read(tmp_path / "results.jsonl") or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=500)
    assert process.returncode == 130
    assert "run again to go on" in complained
