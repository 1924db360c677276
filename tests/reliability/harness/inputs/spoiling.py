"""What is done to a folder before a command meets it."""

from __future__ import annotations

import json
import os
import shutil


def put(name, content):
    def put(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return put


def without(name):
    def remove(folder):

        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return remove


def every(*steps):
    return lambda folder: [step(folder) for step in steps]


def before(name, line):
    return lambda folder: (folder / name).write_bytes(line + (folder / name).read_bytes())


def with_value(name, key, value):
    return deep(name, (key,), value)


def deep(name, path, value):
    def change(folder):
        found = at = json.loads((folder / name).read_text())
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        (folder / name).write_text(json.dumps(found))

    return change


def in_record(name, value):
    def change(folder):
        file = folder / "study/results.jsonl"
        first, *others = file.read_text().splitlines()
        record = {**json.loads(first), name: value}
        record.pop("sha256", None)
        file.write_text("\n".join([json.dumps(record), *others]) + "\n")

    return change


def no_files(name):
    """What may lie in the place of a file and is none."""

    def nothing(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)

    def made(make):
        return lambda folder: (nothing(folder), make(folder / name))

    def sparse(path):
        with path.open("wb") as file:
            file.truncate(2**31)

    return {
        **{"nothing": nothing, "a folder": made(os.mkdir), "a pipe": made(os.mkfifo), "sparse": made(sparse)},
        **{
            "a device": made(lambda path: path.symlink_to("/dev/zero")),
            "a loop": made(lambda path: path.symlink_to(path.name)),
        },
    }
