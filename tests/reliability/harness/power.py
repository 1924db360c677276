"""A loss of power: what was not flushed is gone, at every instant of a run.

The shim's journal says what was created, renamed and removed, and keeps the content of every file as it was flushed.
From that the disk is built as it may be found afterwards, in the two ways that file systems have:

- `strict`: a folder lists what it listed when it was last flushed, a file holds what it held when it was;
- `ordered`: names are as at the end, as journalling file systems keep them, and what was not flushed is empty.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from forks import JOURNAL, Fault

from .subjects import RESUME, TRAIN, records, state


@dataclass
class Disk:
    """Files and folders, each by a serial of its own, for numbers are given again; folders list names."""

    names: dict[int, dict[str, int]] = field(default_factory=dict)
    flushed: dict[int, dict[str, int]] = field(default_factory=dict)
    content: dict[int, str] = field(default_factory=dict)
    emptied: set[int] = field(default_factory=set)
    places: dict[str, int] = field(default_factory=dict)
    serials: dict[int, int] = field(default_factory=dict)
    made: Iterator[int] = field(default_factory=count)

    def add(self, number):
        """The serial of what is new under this number."""
        self.serials[number] = next(self.made)
        return self.serials[number]

    def _gone(self, serial):
        self.serials = {number: other for number, other in self.serials.items() if other != serial}

    def apply(self, what, path, more, number):
        """One line of the journal."""
        parent, name = os.path.split(path)
        new = what in ("create", "mkdir") or number not in self.serials
        number = self.add(number) if new else self.serials[number]
        if what in ("create", "mkdir"):
            self.names.setdefault(self.places[parent], {})[name] = number
            self.places[path] = number
            if what == "mkdir":
                self.names[number], self.flushed[number] = {}, {}
        elif what == "truncate":
            self.emptied.add(number)
        elif what == "unlink":
            self._gone(self.names[self.places[parent]].pop(name, None))
            self.places.pop(path, None)
        elif what == "rename":
            moved = self.names[self.places[parent]].pop(name, number)  # Rust makes its files unseen, too
            other, after = os.path.split(more)
            self._gone(self.names[self.places[other]].get(after))
            self.names[self.places[other]][after] = moved
            within = [p for p in self.places if p == path or p.startswith(f"{path}/")]
            self.places |= {more + p[len(path) :]: self.places[p] for p in within}
        elif what == "flush" and number in self.names:
            self.flushed[number] = dict(self.names[number])
        elif what == "flush":
            self._renamed_unseen(parent, name, number)
            self.content[number] = more
            self.emptied.discard(number)

    def _renamed_unseen(self, parent, name, number):
        """Rust renames its files by a system call of its own."""
        names = self.names[self.places[parent]]
        if names.get(name) != number:
            for other in [old for old, of in names.items() if of == number]:
                del names[other]
            names[name] = number

    def found(self, root, strict):
        """What is there, by path: the file that holds the content, "" for none, None for a folder."""
        listed, seen = (self.flushed if strict else self.names), {}

        def walk(number, path):
            for name, child in sorted(listed.get(number, {}).items()):
                if child in self.names:
                    seen[f"{path}{name}"] = None
                    walk(child, f"{path}{name}/")
                else:
                    lost = child in self.emptied and not strict
                    seen[f"{path}{name}"] = "" if lost else self.content.get(child, "")

        walk(self.places[root], "")
        return seen


def build(found, folder):
    """That disk as a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, content in found.items():
        if content is None:
            (folder / path).mkdir()
        elif content:
            shutil.copyfile(content, folder / path)
        else:
            (folder / path).touch()


def losses(forks, subjects, folder, stride=1, study=False):
    """Yield `(kind, what happened)` for the losses of power in one training run, or one study, from nothing."""
    journal = Path(folder) / "journal"
    place, after = Path(folder) / "place", Path(folder) / "after"
    shutil.rmtree(folder, ignore_errors=True)
    place.mkdir(parents=True)
    disk = Disk()
    root = disk.places[str(place.resolve())] = disk.add(place.stat().st_ino)
    disk.names[root], disk.flushed[root] = {}, {}
    if study:
        shutil.copyfile(subjects.study / "small.py", place / "small.py")
    arguments = _arguments(study)
    fault = Fault(str(place), JOURNAL, journal=str(journal))
    ended = forks.ask("study" if study else "seqil", arguments, cwd=place, fault=fault)
    assert ended.code == 0, ended
    seen, promised = set(), -1
    for step, line in enumerate(journal.read_text().splitlines()):
        what, path, more, number = line.split("\t")
        disk.apply(what, path, more, int(number))
        for strict in (False, True):
            found = disk.found(str(place.resolve()), strict)
            mark = tuple(sorted(found.items(), key=str))
            newest = max((int(p.split("/")[2]) for p in found if _complete(p)), default=-1)
            if what == "flush" and path.endswith("/checkpoints") and not strict:
                promised = max(promised, newest)
            if mark in seen or step % stride:
                continue
            seen.add(mark)
            build(found, after)
            kind = _of_study(forks, subjects, after) if study else _of_run(forks, subjects, after, promised)
            yield kind, f"after {what} {path} ({'strict' if strict else 'ordered'})"


def _arguments(study):
    from .subjects import RUN_STUDY

    return RUN_STUDY if study else TRAIN


def _complete(path):
    parts = path.split("/")
    return len(parts) == 4 and parts[1] == "checkpoints" and parts[2].isdigit() and parts[3] == "manifest.json"


def _of_run(forks, subjects, folder, promised):
    if not (folder / "run" / "settings.json").exists():
        if promised >= 0:
            return "the run is lost"
        ended = forks.seqil(TRAIN, cwd=folder)
    else:
        ended = forks.seqil(RESUME, cwd=folder)
        if ended.code == 2 and promised < 0 and ended.one_line:
            return "fine"  # it says what is damaged, before anything was promised
    if ended.code != 0:
        return f"cannot go on: {ended.err.strip().splitlines()[-1]}"
    resumed = int(ended.out.partition("resumed at step ")[2].split()[0]) if "resumed at" in ended.out else -1
    if promised > resumed:
        return "a checkpoint is lost"
    return "fine" if state(folder / "run") == subjects.state else "other bits"


def _of_study(forks, subjects, folder):
    from .subjects import RUN_STUDY, STUDY

    (folder / "small.py").write_text(STUDY)
    ended = forks.study(RUN_STUDY, cwd=folder)
    if ended.code != 0:
        return f"cannot go on: {ended.err.strip().splitlines()[-1]}"
    same = records(folder / "study" / "results.jsonl") == subjects.with_study(forks)
    return "fine" if same else "other records"
