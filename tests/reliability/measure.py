"""The long form of the harnesses: `python tests/reliability/measure.py`, or some of it by `--only`.

It prints what was found, writes `benchmarks/reliability/results.json`, and `docs/reliability.md` of it. What was not
measured this time keeps its row. The exit status is 1 if anything that is promised was not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests" / "processes"), str(CHECKOUT / "tests" / "reliability")]

from forks import Forks  # noqa: E402
from harness import audit, damage, faults, fuzzing, killing, malformed, odd_arguments, power, sameness  # noqa: E402
from harness.subjects import Subjects  # noqa: E402

from benchmarks.reliability import page  # noqa: E402

SHOWN = 20


def measurements(a):
    """Name, promise, and what yields the findings, given forks, subjects and a folder."""
    return {
        "kills": (
            "a run that is killed at any instant goes on to the bits of an undisturbed one",
            lambda f, s, p: killing.kills_of_training(f, s, p, a.kills, a.seed),
        ),
        "study-kills": (
            "a study that is killed has every record once, as if nothing had been",
            lambda f, s, p: killing.kills_of_studies(f, s, p, a.study_kills, a.seed),
        ),
        "rivals": (
            "a second writer is refused", lambda f, s, p: killing.rivals(f, s, p)
        ),
        "faults": (
            "a disk that is full or refuses a call is named in one line, and nothing is lost or half-written",
            lambda f, s, p: faults.inject(f, s, p, stride=a.fault_stride, offset=a.seed),
        ),
        "power": (
            "a loss of power costs nothing that was promised, and a run goes on to the same bits",
            lambda f, s, p: power.losses(f, s, p, a.power_stride),
        ),
        "study-power": (
            "nor does it cost a record",
            lambda f, s, p: (s.with_study(f), power.losses(f, s, p, a.power_stride, study=True))[1],
        ),
        "damage": (
            "damage to the folder of a run is refused, or nothing comes out otherwise",
            lambda f, s, p: damage.damages_to_runs(f, s, p, a.damages, a.seed),
        ),
        "model-damage": (
            "damage to a saved policy is refused, or nothing comes out otherwise",
            lambda f, s, p: damage.damages_to_models(f, s, p, a.damages, a.seed),
        ),
        "study-damage": (
            "damage to records or kept weights is named, or nothing comes out otherwise",
            lambda f, s, p: damage.damages_to_studies(f, s, p, a.study_damages, a.seed),
        ),
        "malformed": (
            "malformed input is refused in one line that names it, and nothing is written",
            lambda f, s, p: _malformed(f, s, p, a.malformed_stride, a.seed),
        ),
        "arguments": (
            "an odd argument of what is public is refused in one line, or means something; none ends in an inner error",
            lambda f, s, p: odd_arguments.findings(p, a.argument_stride, a.seed),
        ),
        "fuzz": (
            "any bytes in place of a file are read or refused in one line",
            lambda f, s, p: fuzzing.fuzz(fuzzing.TARGETS, a.fuzz, a.seed),
        ),
        "bits": (
            "hash seeds, locales, the time zone and -O change no bit",
            lambda f, s, p: sameness.equal_bits(s, p, sameness.ONE_BY_ONE),
        ),
        "threads": (
            "two runs of two threads are equal", lambda f, s, p: sameness.equal_threads(p)
        ),
        "soak": (
            "memory and file handles stay as they are", lambda f, s, p: sameness.soak(f, p, a.soak)
        ),
        "workers": (
            "a killed worker of a vector environment is heard of", lambda f, s, p: sameness.killed_workers(f, p)
        ),
    }  # fmt: skip


def _malformed(forks, subjects, folder, stride, offset):
    subjects.with_study(forks)
    settings = json.loads((subjects.whole / "run/settings.json").read_text())
    for case in malformed.cases(settings)[offset % stride :: stride]:
        yield malformed.judged(forks, subjects, folder, case)


def machine():
    """Processor, cores and memory, in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


def main():
    """Measure, print, write."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {
        "kills": 200,
        "study-kills": 40,
        "fault-stride": 1,
        "power-stride": 1,
        "damages": 500,
        "study-damages": 200,
    }
    sizes |= {"malformed-stride": 1, "argument-stride": 1, "fuzz": 1000, "soak": 3600, "seed": 0}
    for name, size in sizes.items():
        options.add_argument(f"--{name}", type=int, default=size, help=f"{size} by default")
    options.add_argument("--only", nargs="*", help="some of the measurements")
    options.add_argument(
        "--audit", action="store_true", help="ask pip-audit for known faults of the constraints, alone"
    )
    asked = options.parse_args()
    print(audit.audited(CHECKOUT / "constraints.txt"))
    if asked.audit:
        return 0
    rows = {row["name"]: row for row in page.read(page.MEASURED)} if page.MEASURED.exists() else {}
    chosen = {name: row for name, row in measurements(asked).items() if not asked.only or name in asked.only}
    with Forks() as forks, tempfile.TemporaryDirectory() as folder:
        subjects = Subjects(forks, Path(folder) / "subjects")
        for name, (promise, findings) in chosen.items():
            rows[name] = _measured(name, promise, findings(forks, subjects, Path(folder) / "place"), asked, sizes)
            shutil.rmtree(Path(folder) / "place", ignore_errors=True)
            page.MEASURED.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    (CHECKOUT / "docs" / "reliability.md").write_text(page.markdown())
    return int(any(set(rows[name]["counts"]) - {"fine"} for name in chosen))


SIZED = {
    "kills": ["kills"], "study-kills": ["study-kills"], "faults": ["fault-stride"], "power": ["power-stride"],
    "study-power": ["power-stride"], "damage": ["damages"], "model-damage": ["damages"],
    "study-damage": ["study-damages"],
    "malformed": ["malformed-stride"], "arguments": ["argument-stride"], "fuzz": ["fuzz"], "soak": ["soak"],
}  # fmt: skip


def _measured(name, promise, findings, asked, sizes):
    began, counts, shown = time.monotonic(), Counter(), 0
    for kind, what in findings:
        counts[kind] += 1
        if kind != "fine" and shown < SHOWN:
            shown += 1
            print(f"  {kind}: {what}", flush=True)
    given = "".join(f" --{one} {getattr(asked, one.replace('-', '_'))}" for one in SIZED.get(name, ()))
    print(f"{name}: {dict(counts)} in {time.monotonic() - began:.0f} s", flush=True)
    given += f" --seed {asked.seed}" * bool(asked.seed)
    command = f"python tests/reliability/measure.py --only {name}{given}"
    about = {"name": name, "promise": promise, "command": command, "counts": dict(counts)}
    return {**about, "machine": machine(), "date": time.strftime("%Y-%m-%d")}


if __name__ == "__main__":
    sys.exit(main())
