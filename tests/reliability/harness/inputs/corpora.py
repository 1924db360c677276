"""Texts and tokenizers."""

from __future__ import annotations

import json
import re

from .case import TRAIN, Case
from .spoiling import every, no_files, put


def texts():
    sound = b"some words of a text. " * 40
    line = b'{"text": "some words of a text, and some more"}\n'
    bad = {
        "empty.txt": b"",
        "spaces.txt": b"   \n",
        "binary.txt": b"\xff\xfe\xfa" * 100,
        "latin.txt": "größer ".encode("latin-1") * 40,
        "short.txt": b"x",
        "empty.jsonl": b"",
        "list.jsonl": b"[1]\n" * 9,
        "number.jsonl": b"3\n" * 9,
        "lacks.jsonl": b'{"other": 1}\n' * 9,
        "null.jsonl": b'{"text": null}\n' * 9,
        "broken.jsonl": line * 9 + b'{"text": "x\n' + line,
        "mixed.jsonl": line * 9 + b'{"text": 3}\n' + line,
        "binary.jsonl": line * 9 + b"\xff\xfe\n",
        "deep.jsonl": b"[" * 10**5,
        "array.jsonl": b'["' * 2 * 10**5,
        "empty.parquet": b"",
        "damaged.parquet": b"PAR1" + b"x" * 50 + b"PAR1",
        "cut.parquet": b"PAR1",
    }
    for name, content in bad.items():
        arguments = [*_text(name), *(["--task-option", "field=text"] if "jsonl" in name or "parquet" in name else [])]
        yield Case("text", name, arguments, re.escape(name) + "|empty|text", prepare=put(name, content))
    for name, prepare in no_files("t.txt").items():
        yield Case("text", name, _text("t.txt"), "t.txt", prepare=prepare)
    for suffix in ("jsonl", "parquet"):
        for name, prepare in no_files(f"t.{suffix}").items():
            yield Case(
                "text",
                f"{name} {suffix}",
                [*_text(f"t.{suffix}"), "--task-option", "field=text"],
                "t.",
                prepare=prepare,
            )
    for option in ("prompt_length", "max_length"):
        for text in ("0", "-1", "x", "1.5", "null", "1000000000"):
            arguments = [*_text("t.txt"), "--task-option", f"{option}={text}"]
            yield Case("text", f"{option}={text}", arguments, f"{option}|t.txt|text", prepare=put("t.txt", sound))
    for text in ("3", "nope", "[1]"):
        arguments = [*_text("t.jsonl"), "--task-option", f"field={text}"]
        yield Case("text", f"field={text}", arguments, "field|nope|t.jsonl", prepare=put("t.jsonl", line * 40))


def _text(name):
    small = [*TRAIN, "--task", "text", "--task-option", f"path={name}"]
    return [*small, "--task-option", "prompt_length=4", "--task-option", "max_length=8"]


def _vocabulary():
    """A tokenizer of words, as a file of `tokenizers`."""
    words = {word: i for i, word in enumerate(["<eos>", "<unk>", "some", "words", "of", "a", "text", "."])}
    added = [
        {
            "id": 0,
            "content": "<eos>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    ]
    model = {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}
    sketch = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None}
    return {**sketch, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None, "model": model}


def tokenizers():
    sound = _vocabulary()
    whole = json.dumps(sound).encode()
    bad = {f"cut at {n}": whole[: n * len(whole) // 8] for n in range(8)}
    bad |= {
        "null": b"null",
        "list": b"[]",
        "mapping": b"{}",
        "binary": bytes(range(256)),
        "deep": b"[" * 10**5,
        "nul": b"\0" * 99,
    }
    for name in ("model", "added_tokens", "pre_tokenizer"):
        bad |= {
            f"{name} is {kind}": json.dumps({**sound, name: wrong}).encode()
            for kind, wrong in (("text", "x"), ("number", 3))
        }
    for name, wrong in (
        ("vocab", 3),
        ("vocab", {"a": -1}),
        ("vocab", {"a": "x"}),
        ("vocab", {"a": 2**40}),
        ("vocab", {}),
        ("type", "x"),
    ):
        bad[f"{name}={wrong}"] = json.dumps({**sound, "model": {**sound["model"], name: wrong}}).encode()
    for name, content in bad.items():
        arguments = [*_text("t.txt"), "--task-option", "tokenizer=tok"]
        prepare = every(put("t.txt", b"some words of a text. " * 40), put("tok/tokenizer.json", content))
        yield Case("tokenizer", name, arguments, "tok", prepare=prepare)
    for name, prepare in no_files("tok").items():
        if name != "a folder":
            arguments = [*_text("t.txt"), "--task-option", "tokenizer=tok"]
            yield Case("tokenizer", name, arguments, "tok", prepare=every(put("t.txt", b"some words " * 99), prepare))
