"""Damage to what was written: flipped bits, missing ends, other files; none may go unnoticed and change a result."""

from __future__ import annotations

import random
import shutil

from .subjects import RESUME, RUN_STUDY, copied, records, state, tree

SAMPLE = """
import sys, torch
from seqil import TokenPolicy, rollout
from seqil.errors import SeqilError
try:
    policy = TokenPolicy.from_pretrained(%r)
except SeqilError as error:
    print("seqil:", error, file=sys.stderr)
    sys.exit(2)
texts = rollout(policy, [[0]] * 4, max_length=5, generator=torch.Generator().manual_seed(0))
print(texts.actions.tolist(), [float(x.double().sum()) for x in policy.parameters()], policy.memory, policy.vocabulary)
"""


def wreck(draw, folder, files):
    """Do one damage to one of the files; what it was."""
    file = draw.choice(files)
    content = bytearray(file.read_bytes())
    how = draw.choice(["bit", "bit", "bit", "cut", "grown", "zeros", "gone", "swapped", "folder"])
    if how == "bit" and content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
    elif how == "cut":
        file.write_bytes(content[: draw.randrange(len(content) or 1)])
    elif how == "grown":
        file.write_bytes(content + bytes(draw.choices(range(256), k=draw.randint(1, 40))))
    elif how == "zeros":
        start = draw.randrange(len(content) or 1)
        content[start : start + 512] = bytes(len(content[start : start + 512]))
        file.write_bytes(content)
    elif how == "swapped":
        shutil.copyfile(draw.choice(files), folder / "taken")
        (folder / "taken").replace(file)
    else:
        file.unlink()
        if how == "folder":
            file.mkdir()
    return f"{how} {file.relative_to(folder)}"


def damages_to_runs(forks, subjects, folder, number, seed=0):
    """Yield `(kind, what happened)`: a damaged run is refused by every reader, or nothing comes out otherwise."""
    draw = random.Random(seed)
    arguments = ["sample", "run", "-n", "3", "--format", "json"]
    expected = forks.seqil(arguments, cwd=subjects.whole).out
    half = forks.seqil(RESUME, cwd=copied(subjects.half, folder))
    assert half.code == 0
    for _ in range(number):
        place = copied(subjects.whole if draw.random() < 0.5 else subjects.half, folder)
        whole, before = (place / "model").exists(), tree(place)
        files = [p for p in sorted((place / "run").rglob("*")) if p.is_file() and p.name != ".lock"]
        what = wreck(draw, place, files)
        if tree(place) == before:
            continue
        after = tree(place)
        if whole:
            ended = forks.seqil(arguments, cwd=place)
            same = ended.out == expected
            kind = _kind(ended, same)
            if tree(place) != after:
                kind = "a reader wrote"
        else:
            ended = forks.seqil(RESUME, cwd=place)
            kind = _kind(ended, ended.code == 0 and _same_but_lost_lines(state(place / "run"), subjects.state, what))
        yield kind, f"{what}: {ended.code} {ended.out[-200:]} {ended.err[-800:]}"


def _same_but_lost_lines(found, expected, what):
    """Damage to the curve, which has no sum, may cost lines of it, and never a bit of the state."""
    if "metrics.jsonl" in what:
        return found["files"] == expected["files"]
    return found == expected


def _kind(ended, same):
    if ended.code is None:
        return "hang"
    if ended.code == 0:
        return "fine" if same else "silent"
    return "fine" if ended.one_line else "traceback"


def damages_to_models(forks, subjects, folder, number, seed=0):
    """The same of a folder of `save_pretrained` or `export`, loaded in Python."""
    draw = random.Random(seed)
    expected = forks.python(SAMPLE % "model", cwd=subjects.whole)
    assert expected.code == 0, expected
    for _ in range(number):
        place = copied(subjects.whole, folder)
        before = tree(place)
        what = wreck(draw, place, [p for p in sorted((place / "model").rglob("*")) if p.is_file()])
        if tree(place) == before:
            continue
        ended = forks.python(SAMPLE % "model", cwd=place)
        yield _kind(ended, ended.out == expected.out), f"{what}: {ended.code} {ended.err[-800:]}"


def damages_to_studies(forks, subjects, folder, number, seed=0):
    """Records and kept weights: the table is as before, or a line says what is wrong."""
    draw, expected = random.Random(seed), subjects.with_study(forks)
    for _ in range(number):
        place = copied(subjects.study, folder)
        before = tree(place)
        kept = sorted((place / "study" / "kept").rglob("*"))
        file = place / "study" / "results.jsonl"
        chosen = [file] if draw.random() < 0.6 else [p for p in kept if p.is_file()]
        what = wreck(draw, place, chosen)
        if tree(place) == before:
            continue
        if chosen != [file]:
            file.unlink()  # measured again from what was kept
        ended = forks.study(RUN_STUDY, cwd=place)
        if ended.code == 0 and not ended.err:
            kind = "fine" if records(file) == expected else "silent"
        else:
            kind = "traceback" if "Traceback" in ended.err or ended.code not in (0, 2) else "fine"
        if ended.code is None:
            kind = "hang"
        yield kind, f"{what}: {ended.code} {ended.err[-800:]}"
