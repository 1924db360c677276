"""Any bytes in place of a file: a reader takes them, or refuses them by a `SeqilError`, and does nothing else.

A target is the name of a file and what reads it. `python tests/reliability/fuzz.py TARGET` runs one under atheris,
guided by the branches that it takes, from the corpus beside it; the suite changes bytes of the same corpus at random.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[1] / "corpus"


@dataclass(frozen=True)
class Target:
    """What is fed.

    Attributes:
        file: that the bytes are written to.
        read: of its path.
    """

    file: str
    read: Callable[[Path], object]

    def feed(self, content, folder):
        """Whether the content was taken; an error of any other kind than `SeqilError` goes on up."""
        from seqil.errors import SeqilError

        path = Path(folder) / self.file
        path.write_bytes(content)
        try:
            self.read(path)
        except SeqilError as error:
            said = str(error).splitlines()
        else:
            return True
        assert len(said) == 1, f"an error of several lines: {said}"
        return False

    @property
    def seeds(self):
        """What the corpus holds of this target."""
        return [file.read_bytes() for file in sorted((CORPUS / self.name).iterdir())]

    @property
    def name(self):
        return next(name for name, target in TARGETS.items() if target is self)


def _settings(path):
    from seqil.runs.settings import read_config

    return read_config(path)


def _task(**options):
    from seqil.runs import plugins

    task = plugins.construct("tasks", "text", prompt_length=2, max_length=4, **options)
    return task.prompts(min(2, task.available("train") or 0), "train", 0)


def _text(path):
    return _task(path=str(path))


def _lines(path):
    return _task(path=str(path), field="text")


def _tokenizer(path):
    text = path.parent / "text.txt"
    text.write_text("some words of a text. " * 20)
    about = {"eos_token": "<eos>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (path.parent / "tokenizer_config.json").write_text(json.dumps(about))
    return _task(path=str(text), tokenizer=str(path.parent))


def _manifest(path):
    from seqil.policy.saved.seals import check_manifest

    return check_manifest(path.parent)


def _records(path):
    from seqil.runs import results_file

    return results_file.read(path)


def _state(path):
    """A checkpoint whose sums are right and whose state is anything."""
    from seqil.runs.checkpoint import RunFolder, sha256

    folder = path.parent / "checkpoints" / "000000001"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").write_bytes(path.read_bytes())
    (folder / "state.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    sums = {name: sha256(folder / name) for name in ("state.json", "state.safetensors")}
    (folder / "manifest.json").write_text(json.dumps({"step": 1, "files": sums}))
    run = RunFolder(path.parent)
    run.identity()
    return run.load()


def _saved(path):
    from seqil.policy.saved.files import Saved

    return Saved.read(path.parent)


TARGETS = {
    "settings-json": Target("settings.json", _settings),
    "settings-toml": Target("settings.toml", _settings),
    "text": Target("text.txt", _text),
    "text-jsonl": Target("text.jsonl", _lines),
    "tokenizer": Target("tokenizer.json", _tokenizer),
    "manifest": Target("manifest.json", _manifest),
    "state": Target("state.json", _state),
    "records": Target("results.jsonl", _records),
    "policy": Target("seqil.json", _saved),
}


def mutated(draw, seeds):
    """Bytes of the corpus, changed here and there: a bit, a run of bytes, a piece of another one, a number far off."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(content) + 1)
        how = draw.randrange(6)
        if how == 0 and at < len(content):
            content[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            del content[at : at + draw.randint(1, 20)]
        elif how == 2:
            content[at:at] = draw.choice(
                [b"null", b"-1", b"1e999", b"NaN", b"[", b"{", b'"', b"\\ud800", b"9" * 400, b"\xff", b"\0"]
            )
        elif how == 3:
            other = draw.choice(seeds)
            cut = draw.randrange(len(other) + 1)
            content[at : at + 30] = other[cut : cut + 30]
        elif how == 4:
            content[at : at + draw.randint(1, 8)] = draw.randbytes(draw.randint(1, 8))
        else:
            content = content[:at] + content[at:] * draw.randint(2, 3)
    return bytes(content)


def fuzz(names, number, seed=0):
    """Yield `(kind, what happened)` for so many inputs of each target."""
    import random
    import traceback

    draw = random.Random(seed)
    for name in names:
        target = TARGETS[name]
        for _ in range(number):
            content = mutated(draw, target.seeds)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    target.feed(content, folder)
                except BaseException:
                    yield "traceback", f"{name}: {content!r} {traceback.format_exc()}"
                else:
                    yield "fine", name
