"""The commands that are disturbed, what they leave, and what it must equal."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path

from forks import COUNT, KILL, Fault

SMALL = ["--layers", "1", "--width", "8", "--heads", "1", "--demonstrations", "8", "--batch-size", "4"]
SMALL += ["--task-option", "horizon=4", "--average", "0.9", "--evaluate-every", "3"]
TRAIN = ["train", "--out", "run", "--steps", "6", "--save-every", "2", *SMALL]
RESUME = ["train", "--out", "run", "--resume", "--save-every", "2", "--evaluate-every", "3"]
NOT_SAID = ("seconds",)  # times differ from run to run

STUDY = """
from benchmarks.compounding_error.study import Arm, Decoding, Place, Study

SMALL = {"task": "automaton", "task_options": {"horizon": 4}, "demonstrations": 16, "width": 8, "layers": 1,
         "batch_size": 4}
PLACE = Place("automaton", SMALL, budget=600, samples=4)
CLONING = Arm("cloning", {"agent": "bc"}, (Decoding("greedy", ("top_k=1",)),))
STUDY = Study("small", "Which?", (CLONING, Arm("without", {"agent": "bc", "backspace": False})), (PLACE,), seeds=1)
"""
RUN_STUDY = ["run", "--study", "small.py", "--out", "study", "--workers", "1"]


def copied(folder, to):
    """A copy of a folder in place of whatever was there."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to, symlinks=True)
    return Path(to)


def tree(folder):
    """Every file of a folder by its sum; locks are only touched."""
    found = sorted(Path(folder).rglob("*"))
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in found if p.name != ".lock"
    }  # fmt: skip


def state(run):
    """What a run has come to: all files of its newest checkpoint and of its best one, and its curve."""
    complete = sorted(p for p in (Path(run) / "checkpoints").glob("[0-9]*") if (p / "manifest.json").exists())
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    curve = [{name: value for name, value in line.items() if name not in NOT_SAID} for line in lines]
    return {"newest": complete[-1].name, "files": tree(complete[-1]), "best": tree(Path(run) / "best"), "curve": curve}


def records(file):
    """The records of a study by what they are of, without times."""
    found = {}
    for line in Path(file).read_text().splitlines():
        record = json.loads(line)
        for name in ("seconds_training", "seconds_evaluation", "sha256"):
            record.pop(name, None)
        found[record["task"], record["arm"], record["seed"]] = record
    return found


class Subjects:
    """Undisturbed runs to start from and to compare with, made once.

    Attributes:
        whole: folder of the run to its end.
        state: of the run to its end.
    """

    def __init__(self, forks, folder):
        self.folder = Path(folder)
        self.forks, self.whole = forks, self.folder / "whole"
        self.study, self.empty = self.folder / "studies", self.folder / "empty"
        for place in (self.whole, self.study, self.empty):
            place.mkdir(parents=True)
        self._made(forks.seqil(TRAIN, cwd=self.whole))
        self.state = state(self.whole / "run")
        self._made(forks.seqil(["export", "run", "model"], cwd=self.whole))

    def with_study(self, forks):
        """The records of the undisturbed study."""
        if not (self.study / "study").exists():
            (self.study / "small.py").write_text(STUDY)
            self._made(forks.study(RUN_STUDY, cwd=self.study))
        return records(self.study / "study" / "results.jsonl")

    @cached_property
    def half(self):
        """The folder of the same run, killed after step 2."""
        half = self.folder / "half"
        half.mkdir()
        calls = self.forks.seqil(TRAIN, cwd=half, fault=Fault(str(half), COUNT)).calls
        for part in (40, 45, 50, 35, 55, 60, 30):
            shutil.rmtree(half)
            half.mkdir()
            self.forks.seqil(TRAIN, cwd=half, fault=Fault(str(half), KILL, calls * part // 100))
            there = [(half / f"run/checkpoints/00000000{n}/manifest.json").exists() for n in (2, 4)]
            if there == [True, False]:
                return half
        raise AssertionError("the run was never at step 2")

    @staticmethod
    def _made(ended):
        assert ended.code == 0, ended
