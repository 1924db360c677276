"""What a command has saved, records of studies, and code of one's own."""

from __future__ import annotations

import re
from pathlib import Path

from ..misuse import CALLS, HEAD
from .case import FEW, SAMPLE, TRAIN, Case
from .spoiling import before, deep, every, in_record, no_files, put, with_value, without
from .written import leaves


def models():
    from_model = ["train", "--out", "new", *FEW, "--task-option", "horizon=4", "--model", "model"]
    loads = HEAD + "attempt(lambda: TokenPolicy.from_pretrained('model'))"
    for name in ("config.json", "model.safetensors", "seqil.json", "generation_config.json"):
        bad = {
            "empty": b"",
            "nul": b"\0" * 300,
            "null": b"null",
            "list": b"[1]",
            "text": b'"x"',
            "deep": b"[" * 10**5,
            "binary": bytes(range(256)),
        }
        for kind, content in bad.items():
            prepare = put(f"model/{name}", content)
            yield Case("model", f"{name} is {kind}", loads, "seqil.json|config.json|model", "python", "whole", prepare)
            if name in ("config.json", "model.safetensors"):
                yield Case("model", f"--model, {name} is {kind}", from_model, "model", start="whole", prepare=prepare)
        for kind, prepare in no_files(f"model/{name}").items():
            yield Case(
                "model", f"{name}, {kind}", loads, name, "python", "whole", every(without(f"model/{name}"), prepare)
            )
    for name, value in (
        *(
            ("vocab_size", -1),
            ("vocab_size", "x"),
            ("vocab_size", 10**9),
            ("n_layer", -1),
            ("n_layer", "x"),
            ("n_layer", 9),
            ("n_head", 0),
        ),
        *(
            ("n_head", 3),
            ("n_embd", 0),
            ("n_embd", "x"),
            ("n_embd", 10**7),
            ("n_positions", 0),
            ("model_type", "nope"),
            ("model_type", 3),
        ),
        *(
            ("activation_function", "nope"),
            ("architectures", ["Nope"]),
            ("torch_dtype", "nope"),
            ("auto_map", {"AutoModel": "x.y"}),
        ),
    ):
        prepare = with_value("model/config.json", name, value)
        if name not in ("architectures", "auto_map", "torch_dtype"):
            yield Case("model", f"config.json, {name}={value}", from_model, "model", start="whole", prepare=prepare)
        yield Case("model", f"sealed, {name}={value}", loads, "config.json", "python", "whole", prepare)
    for name, value in (
        ("backspace", "false"),
        ("backspace", 3),
        ("memory", "x"),
        ("memory", 3),
        ("vocabulary", None),
        ("vocabulary", {"size": 3}),
        ("vocabulary", {"size": -1, "eos": 0}),
        ("vocabulary", {"size": "x", "eos": 0}),
        ("sha256", 3),
        ("sha256", {"nope": "x"}),
        ("sha256", {"config.json": 3}),
    ):
        yield Case(
            "model",
            f"seqil.json, {name}={value}",
            loads,
            "seqil.json|nope|config.json",
            "python",
            "whole",
            with_value("model/seqil.json", name, value),
        )
    for kind in ("nope", "run", "model/config.json"):
        arguments = ["train", "--out", "new", *FEW, "--model", kind]
        yield Case("model", f"--model {kind}", arguments, re.escape(kind), start="whole")


def run_files(settings):
    newest = "run/checkpoints/000000006"
    bad = {
        "empty": b"",
        "null": b"null",
        "list": b"[1]",
        "mapping": b"{}",
        "text": b'"x"',
        "half": b'{"settings": {',
        "binary": bytes(range(256)),
        "deep": b"[" * 10**5,
        "nul": b"\0" * 99,
    }
    for file in ("run/settings.json", f"{newest}/manifest.json", f"{newest}/state.json", f"{newest}/seqil.json"):
        for kind, content in bad.items():
            for command in (SAMPLE, ["train", "--out", "run", "--resume"]):
                name = f"{command[0]}, {Path(file).name} is {kind}"
                yield Case("run", name, command, Path(file).name, start="whole", prepare=put(file, content))
        for kind, prepare in no_files(file).items():
            if kind != "nothing" or "manifest" not in file:
                name = f"{Path(file).name}, {kind}"
                yield Case("run", name, SAMPLE, Path(file).name, start="whole", prepare=every(without(file), prepare))
    for path, value in leaves(settings["settings"]):
        wrong = 3 if not isinstance(value, int) or isinstance(value, bool) else "x"
        prepare = deep("run/settings.json", ("settings", *path), wrong)
        yield Case(
            "run", f"settings.json, {'.'.join(path)}={wrong!r}", SAMPLE, "settings.json", start="whole", prepare=prepare
        )


# -- studies


def records():
    """A record with one field of another kind is named by its line and field; nothing else of the file is lost."""
    fields = {
        "key": 3,
        "task": 3,
        "arm": [1],
        "seed": "x",
        "settings": [],
        "steps": -1,
        "versions": None,
        "estimates": {"hazard": None},
        "profile": 3,
        "samples": "x",
        "cost": "x",
        "training_positions": [],
        "seconds_training": None,
        "seconds_evaluation": "x",
        "decoded": [3],
        "horizons": 3,
        "course": "x",
        "hazard": 1,
        "survival": [1],
        "counts": 3,
        "entropy": 3,
        "max_actions": "x",
        "trajectories": [1],
        "horizon": -3,
    }
    for name, wrong in fields.items():
        yield Case(
            "record",
            f"{name}={wrong}",
            _read("study/results.jsonl"),
            f"line 1.*{name}",
            "python",
            "study",
            in_record(name, wrong),
        )
    digits = b'{"key": "k", "task": "t", "arm": "a", "seed": ' + b"9" * 9999 + b"}\n"
    bad = {
        "a number of 9,999 digits": digits,
        "no JSON": b"x\n",
        "binary": b"\xff\xfe\n",
        "deep": b'["' * 200000 + b"\n",
        "cut": b'{"key": "k", "ta\n',
    }
    for name, line in bad.items():
        yield Case(
            "record",
            name,
            _read("study/results.jsonl"),
            "line 1",
            "python",
            "study",
            before("study/results.jsonl", line),
        )
    for name, prepare in no_files("study/results.jsonl").items():
        arguments = ["table", "--study", "small.py", "--out", "study"]
        yield Case(
            "record", name, arguments, "results.jsonl", "study", "study", every(without("study/results.jsonl"), prepare)
        )
    for name, content in (
        ("empty", ""),
        ("syntax", "def"),
        ("no study", "x = 3"),
        ("raises", "1 / 0"),
        ("exits", "raise SystemExit(0)"),
    ):
        arguments = ["status", "--study", "own.py", "--out", "study"]
        yield Case("study", name, arguments, "own.py", "study", "study", put("own.py", content.encode()))
    for options_, culprit in (
        *(
            (["--preset", "nope"], "nope"),
            (["--task", "nope"], "nope"),
            (["--arm", "nope"], "nope"),
            (["--seeds", "0"], "seeds"),
        ),
        *(
            (["--budget", "0"], "budget"),
            (["--budget", "nan"], "budget"),
            (["--budget", "x"], "budget"),
            (["--workers", "0"], "workers"),
        ),
        *(
            (["--device", "x"], "device"),
            (["--study", "nope.py"], "nope.py"),
            (["--study", "x.txt"], "x.txt"),
            (["--out", "small.py"], "small.py"),
        ),
    ):
        yield Case("study", " ".join(options_), ["status", *options_], culprit, "study", "study")


def _read(file):
    return (
        "import sys\nfrom pathlib import Path\nfrom seqil.runs import results_file\n"
        f"found = results_file.read(Path({file!r}))\nassert found.records\n"
        "print(*found.faults, file=sys.stderr)\nsys.exit(2 if found.faults else 0)"
    )


# -- code of one's own


def plugins():
    bodies = {
        **{
            "empty": "",
            "syntax": "def mine(:",
            "raises": "1 / 0",
            "exits": "raise SystemExit(0)",
            "number": "mine = 3",
        },
        **{
            "interrupted": "raise RuntimeError('two\\nlines')",
            "function": "def mine(): pass",
            "class": "class mine: pass",
        },
        **{
            "nul": "mine = '\0'",
            "latin": "# \xff",
            "missing": "import nothing_of_the_kind",
            "base": "raise BaseException('x')",
        },
    }
    for kind, option in (("agent", "--agent"), ("task", "--task"), ("noise", "--noise")):
        for name, body in bodies.items():
            content = body.encode("latin-1")
            yield Case(
                "plug-in",
                f"{kind}, {name}",
                [*TRAIN, option, "own.py:mine"],
                "own.py|mine",
                prepare=put("own.py", content),
            )
        for name, prepare in no_files("own.py").items():
            yield Case("plug-in", f"{kind}, {name}", [*TRAIN, option, "own.py:mine"], "own.py", prepare=prepare)
    for name, body in bodies.items():
        yield Case(
            "plug-in",
            f"rule, {name}",
            [*SAMPLE, "--rule", "own.py:mine"],
            "own.py|mine",
            start="whole",
            prepare=put("own.py", body.encode("latin-1")),
        )
        arguments = [*TRAIN, "--agent", "dagger", "--agent-option", "expert=own.py:mine"]
        yield Case(
            "plug-in", f"expert, {name}", arguments, "own.py|mine", prepare=put("own.py", body.encode("latin-1"))
        )


def evaluations():
    for kind, content in {
        "empty": b"",
        "null": b"null",
        "list": b"[]",
        "mapping": b"{}",
        "deep": b"[" * 10**5,
        "binary": bytes(range(256)),
        "estimates": b'{"task": "automaton", "estimates": 3}',
        "numbers": b'{"task": "automaton", "estimates": {"a": 3}}',
    }.items():
        arguments = ["export", "run", "other", "--evaluation", "e.json"]
        yield Case("evaluation", kind, arguments, "e.json", start="whole", prepare=put("e.json", content))
    for kind, prepare in no_files("e.json").items():
        arguments = ["export", "run", "other", "--evaluation", "e.json"]
        yield Case("evaluation", kind, arguments, "e.json", start="whole", prepare=prepare)


def misuse():
    """Python at the public surface; `HEAD` says what is at hand."""
    for call, culprit in CALLS:
        code = HEAD + f"attempt(lambda: {call})\n"
        yield Case("Python", call, code, culprit, "python")
