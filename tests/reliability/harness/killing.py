"""`kill -9`, at any instant and inside of saves; whatever is left goes on to the bits of an undisturbed run."""

from __future__ import annotations

import random
import shutil

from forks import COUNT, KILL, Fault

from .subjects import RESUME, RUN_STUDY, STUDY, TRAIN, copied, records, state


def kills_of_training(forks, subjects, folder, number, seed=0):
    """Yield `(kind, what happened)` for `number` kills of chains of a run that is killed and resumed.

    Two in three are at the n-th call that changes or reads the folder, which is mostly in a save, the others at a time.
    """
    draw = random.Random(seed)
    calls = forks.seqil(TRAIN, cwd=_fresh(folder), fault=Fault(str(folder), COUNT)).calls
    took = forks.seqil(TRAIN, cwd=_fresh(folder)).seconds
    done = 0
    while done < number:
        place, killed = _fresh(folder), []
        for _ in range(min(draw.randint(1, 4), number - done)):
            begun = (place / "run" / "settings.json").exists()
            how = _some_kill(draw, calls, took, str(place))
            ended = forks.seqil(RESUME if begun else TRAIN, cwd=place, **how)
            killed.append(f"{how.get('fault') or how['killed_after']}: {ended.code}")
            done += ended.code == -9
            if ended.code not in (-9, 0):
                yield "cannot go on", f"{killed} {ended.err}"
                break
        begun = (place / "run" / "settings.json").exists()
        ended = forks.seqil(RESUME if begun else TRAIN, cwd=place)
        good = sum(one.endswith("-9") for one in killed)
        if ended.code != 0:
            yield "cannot go on", f"{killed} {ended.err}"
            continue
        kind = "fine" if state(place / "run") == subjects.state and _clean(place) else "other bits"
        for _ in range(good):
            yield kind, f"{killed}"


def _some_kill(draw, calls, took, place):
    if draw.random() < 2 / 3:
        return {"fault": Fault(place, KILL, draw.randint(1, calls))}
    return {"killed_after": draw.uniform(0, took)}


def _fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _clean(place):
    """Nothing is left of what was being written."""
    return not [p for p in (place / "run").rglob(".*") if p.name != ".lock"]


def kills_of_studies(forks, subjects, folder, number, seed=0):
    """The same of a study: every run is there once, as if nothing had been."""
    draw, expected = random.Random(seed), subjects.with_study(forks)
    took = forks.study(RUN_STUDY, cwd=_with_study(folder)).seconds
    done = 0
    while done < number:
        place, killed = _with_study(folder), []
        for _ in range(min(draw.randint(1, 3), number - done)):
            if draw.random() < 0.5:
                how = {"fault": Fault(str(place), KILL, draw.randint(1, 30))}
            else:
                how = {"killed_after": draw.uniform(0, took)}
            ended = forks.study(RUN_STUDY, cwd=place, **how)
            killed.append(f"{how.get('fault') or how['killed_after']}: {ended.code}")
            done += ended.code == -9
        ended = forks.study(RUN_STUDY, cwd=place)
        found = records(place / "study" / "results.jsonl") if ended.code == 0 else None
        lines = len((place / "study" / "results.jsonl").read_text().splitlines()) if found else 0
        kind = "fine" if found == expected and lines == len(expected) else "other records"
        for _ in range(sum(one.endswith("-9") for one in killed)):
            yield kind, f"{killed} {ended.err}"


def _with_study(folder):
    place = _fresh(folder)
    (place / "small.py").write_text(STUDY)
    return place


def rivals(forks, subjects, folder):
    """Two processes on one folder at once: one goes on, the other is refused in a line."""
    place = copied(subjects.half, folder)
    code = (
        "import fcntl, sys\nfrom seqil.cli.options import main\n"
        "held = open('run/.lock', 'w'); fcntl.flock(held, fcntl.LOCK_EX)\n"
        f"sys.argv = ['seqil', *{RESUME}]\nmain()"
    )
    ended = forks.python(code, cwd=place)
    yield ("fine" if ended.one_line and "another process" in ended.err else "two writers"), ended.err
