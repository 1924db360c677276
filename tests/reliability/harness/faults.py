"""A disk that refuses: each call of each command fails once, with each error, or all calls from then on."""

from __future__ import annotations

import errno
import shutil
from itertools import product

from forks import COUNT, FAIL, Fault

from .subjects import RESUME, TRAIN, copied, state, tree

ERRORS = ((errno.ENOSPC, True), (errno.EIO, False), (errno.EACCES, False))
COMMANDS = {
    "train": (TRAIN, None),
    "resume": (RESUME, "half"),
    "sample": (["sample", "run", "-n", "2"], "whole"),
    "evaluate": (["evaluate", "run", "-n", "4", "--json", "numbers.json"], "whole"),
    "export": (["export", "run", "other"], "whole"),
    "seal": (["seal", "model"], "whole"),
}  # fmt: skip
LOADS = "from seqil import TokenPolicy; TokenPolicy.from_pretrained('other')"


def inject(forks, subjects, folder, commands=tuple(COMMANDS), stride=1, offset=0, errors=ERRORS):
    """Yield `(kind, what happened)` for every fault; kind is `fine` or names what was promised and not kept."""
    for name in commands:
        arguments, start = COMMANDS[name]
        place = _start(subjects, start, folder)
        calls = forks.seqil(arguments, cwd=place, fault=Fault(str(place), COUNT)).calls
        assert calls > 5, name
        for nth, (number, (error, stays)) in product(range(1 + offset % stride, calls + 1, stride), enumerate(errors)):
            if stride > 1 and number != nth // stride % len(errors):  # each call meets one of them
                continue
            place = _start(subjects, start, folder)
            before = tree(place)
            ended = forks.seqil(arguments, cwd=place, fault=Fault(str(place), FAIL, nth, error, stays))
            if not ended.at:
                continue  # a full disk refuses no reader
            kind = _judged(forks, subjects, name, place, before, ended)
            yield kind, f"{name}: {errno.errorcode[error]} at call {nth} ({ended.at}): {ended.code} {ended.err[-1500:]}"


def _start(subjects, start, folder):
    if start is None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder
    return copied(getattr(subjects, start), folder)


def _judged(forks, subjects, name, place, before, ended):
    if ended.code is None:
        return "hang"
    if ended.code != 0 and not ended.one_line:
        return "traceback"
    if ended.code and not any(place in ended.err for place in ("run", "model", "numbers", "other")):
        return "names nothing"
    if name in ("train", "resume"):
        return _of_training(forks, subjects, place, ended)
    return _of_reading(forks, name, place, before, ended)


def _of_training(forks, subjects, place, ended):
    """Whatever happened, the run goes on to the same bits, or nothing is there and it starts anew."""
    there = (place / "run" / "settings.json").exists()
    if not ended.code:
        return "fine" if state(place / "run") == subjects.state else "other bits"
    again = forks.seqil(RESUME if there else TRAIN, cwd=place)
    if again.code != 0:
        return "cannot go on"
    return "fine" if state(place / "run") == subjects.state else "other bits"


def _of_reading(forks, name, place, before, ended):
    after = tree(place)
    new = {path for path in after if path not in before}
    if name != "seal" and any(after.get(path) != digest for path, digest in before.items()):
        return "changed what it reads"
    if name == "seal":
        return "fine" if forks.seqil(["seal", "model"], cwd=place).code == 0 else "destroyed what it seals"
    if ended.code == 0 or not new:
        return "fine"
    if name == "export" and forks.python(LOADS, cwd=place).code == 0:
        return "fine"
    return "half-written"
