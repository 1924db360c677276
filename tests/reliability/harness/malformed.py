"""Malformed input, some seven hundred of it, each with what its one line has to name.

A case is files, a command and a culprit. It is refused with status 2 and one line that matches the culprit, and nothing
is written. Cases of one family differ in what is wrong, or in where.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .misuse import CALLS, HEAD
from .subjects import copied, tree

Prepare = Callable[[Path], object]
SMALL = ["--steps", "2", "--layers", "1", "--width", "8", "--heads", "1", "--demonstrations", "8", "--batch-size", "4"]
TRAIN = ["train", "--out", "new", *SMALL]
SAMPLE = ["sample", "run", "-n", "2"]
NO_WHOLE = ("abc", "", "1.5", "null", "[3]", "1e3", "9" * 30)
NO_NUMBER = ("abc", "", "null", "[1]", "1,5")
WRONG = {"text": "x", "list": [1], "mapping": {"a": 1}, "none": None, "true": True, "fraction": 1.5, "long": 10**400}


@dataclass(frozen=True)
class Case:
    """One command that is to be refused.

    Attributes:
        family: of what the input is.
        name: what is wrong.
        arguments: of `seqil`, of the studies' command or Python source, by `program`.
        culprit: expression that the line matches.
        start: what lies in the folder: nothing, the `whole` run with an export, or the `study`.
        prepare: what is done to the folder before.
    """

    family: str
    name: str
    arguments: list[str] | str
    culprit: str
    program: str = "seqil"
    start: str | None = None
    prepare: Prepare = field(default=lambda folder: None, compare=False)


def judged(forks, subjects, folder, case, limit=60):
    """`(kind, what happened)` of a case."""
    if case.start is None:
        copied(subjects.empty, folder)
    else:
        copied(getattr(subjects, case.start), folder)
    case.prepare(folder)
    before = _names(folder)
    ended = forks.ask(case.program, case.arguments, cwd=folder, limit=limit)
    return _kind(case, ended, before == _names(folder)), f"{case.family}, {case.name}: {ended.code} {ended.err[-900:]}"


def _names(folder):
    return {path: os.lstat(folder / path).st_size for path in map(str, folder.rglob("*")) if not path.endswith(".lock")}


def _kind(case, ended, untouched):
    if ended.code is None:
        return "hang"
    if ended.code == 0:
        return "accepted"
    if not ended.one_line:
        return "traceback" if "Traceback" in ended.err else "no single line"
    if not re.search(case.culprit, ended.err):
        return "names another culprit"
    return "fine" if untouched else "written"


def cases(settings):
    """All of them.

    Args:
        settings: the content of the `settings.json` of a run.
    """
    groups = (
        options(), own_options(), decoding_rules(), configs(), configured(settings), texts(), tokenizers(), models(),
        run_files(settings), records(), plugins(), evaluations(), misuse(),
    )  # fmt: skip
    return [case for group in groups for case in group]


# -- the command line


def options():
    whole = {
        **{"layers": "-1", "width": "0", "heads": "0", "demonstrations": "0", "steps": "0", "batch-size": "0"},
        **{"burst": "0", "seed": "-1", "save-every": "0", "lora": "0", "max-actions": "0"},
    }
    for option, least in whole.items():
        for text in (*NO_WHOLE, least):
            yield Case("option", f"--{option} {text[:9]!r}", [*TRAIN, f"--{option}", text], option.replace("-", "."))
    for option, texts in {
        "learning-rate": ("nan", "inf", "0", "-1"),
        "noise-rate": ("nan", "-.1", "1", "inf"),
        "average": ("nan", "1", "-1", "inf"),
    }.items():
        for text in (*NO_NUMBER, *texts):
            yield Case("option", f"--{option} {text!r}", [*TRAIN, f"--{option}", text], option.replace("-", ".") + "|=")
    for option, known in (("memory", "prefix"), ("dtype", "float32"), ("device", "cpu"), ("task", "automaton")):
        for text in ("x", "", "None", "privateuseone", "meta", known.upper(), "a b", "ünïcode", "../.."):
            yield Case("option", f"--{option} {text!r}", [*TRAIN, f"--{option}", text], option)
    for option in ("agent", "noise"):
        for text in ("x", "", "None", ":", "a:b", "nowhere.py:x", "os:nothing", ".py:x"):
            yield Case(
                "option",
                f"--{option} {text!r}",
                [*TRAIN, f"--{option}", text],
                f"{option}|{re.escape(text.partition(':')[0])}",
            )
    for text in ("x", "", "keep "):
        yield Case("option", f"--backspace-row {text!r}", [*TRAIN, "--backspace-row", text], "backspace.row")
    for text in ("x", "", "=", "=3", "horizon"):
        for option in ("--task-option", "--agent-option"):
            yield Case("option", f"{option} {text!r}", [*TRAIN, option, text], option)
    for command in ("sample", "evaluate"):
        for text in ("abc", "-1", "nan", "inf", ""):
            yield Case(
                command, f"--temperature {text}", [command, "run", "--temperature", text], "temperature", start="whole"
            )
        for text in ("x", "", "TEST"):
            yield Case(command, f"--split {text!r}", [command, "run", "--split", text], "split", start="whole")
        for text in (*NO_WHOLE, "0", "1000000000"):
            yield Case(command, f"-n {text[:9]!r}", [command, "run", "-n", text], "number", start="whole")
        for text in ("nope", "run/checkpoints", "model", "run/settings.json"):
            yield Case(command, f"of {text}", [command, text], re.escape(text), start="whole")
    for text in ("1000000000", "10000000"):
        yield Case("sample", f"--max-length {text}", [*SAMPLE, "--max-length", text], "positions|GiB", start="whole")
    yield Case("sample", "--stream of json", [*SAMPLE, "--stream", "--format", "json"], "--stream", start="whole")
    yield Case("sample", "no --prompt-file", [*SAMPLE, "--prompt-file", "no"], "no", start="whole")
    yield Case("sample", "a prompt of words", [*SAMPLE, "--prompt", "hello"], "hello|prompt", start="whole")
    yield Case("sample", "a long prompt", [*SAMPLE, "--prompt", "1 " * 999], "positions|prompt", start="whole")
    yield Case("sample", "no best", [*SAMPLE, "--best"], "best", start="half", prepare=_without("run/best"))
    yield Case("train", "a run is there", ["train", "--out", "run", *SMALL], "already holds a run", start="whole")
    yield Case("train", "nothing to resume", ["train", "--out", "run", "--resume"], "run")
    yield Case("train", "patience alone", [*TRAIN, "--patience", "3"], "--patience")
    yield Case("train", "--out is a file", ["train", "--out", "x", *SMALL], "x is a file", prepare=_put("x", b""))
    yield Case("train", "--out in a file", ["train", "--out", "x/y", *SMALL], "x", prepare=_put("x", b""))
    yield Case("export", "onto a run", ["export", "run", "run"], "is there already", start="whole")
    yield Case(
        "export", "onto a file", ["export", "run", "x"], "is there already", start="whole", prepare=_put("x", b"")
    )
    yield Case("seal", "nothing", ["seal", "nope"], "seqil.json is missing")
    yield Case("list", "nothing", ["list", "nope"], "nope")


WHOLE = {
    "automaton": ["horizon"], "graph_walk": ["horizon"], "hmm": ["horizon"], "chain": ["delay"], "add_in_base": ["low", "high"],
    "chains": ["links", "delay"], "countdown": ["numbers", "limit"], "dyck": ["kinds", "length"], "multiplication": ["digits"],
    "long_addition": ["low", "high"], "ngram": ["order", "size", "horizon"], "pcfg": ["depth", "shortest", "longest"],
    "star": ["arms", "length"], "sudoku4": ["low", "high"], "pydoc": ["prompt_length", "max_length"],
}  # fmt: skip
SHARES = {
    "bc": {"gamma": "2", "smoothing": "2"}, "dagger": {"share": "2", "anneal": "2", "warm_up": "-1"},
    "gail": {"gamma": "2", "trace": "2", "passes": "0", "smoothing": "2", "warm_up": "2", "pace": "-1"},
    "gold": {"gamma": "2", "floor": "2", "warm_up": "2"}, "occupancy_gradient": {"gamma": "2", "trace": "2", "warm_up": "2"},
    "on_policy_distillation": {"share": "2", "warm_up": "2"}, "scheduled_sampling": {"rate": "2", "warm_up": "2"},
    "sequence_match": {"gamma": "2", "warm_up": "2", "anneal": "2", "beta": "2", "rollout_share": "2"},
    "slic": {"samples": "0", "margin": "inf", "weight": "-1", "warm_up": "2"}, "sqil": {"gamma": "0", "warm_up": "2"},
    "unlikelihood": {"alpha": "-1"},
}  # fmt: skip


def own_options():
    for task, names in WHOLE.items():
        for name in names:
            for text in ("abc", "1.5", "null", "-1", "1000000000000"):
                arguments = [*TRAIN, "--task", task, "--task-option", f"{name}={text}"]
                yield Case("task option", f"{task} {name}={text}", arguments, rf"{name}|GiB|{task}")
    for agent, names in SHARES.items():
        for name, far in names.items():
            for text in ("abc", "null", "nan", far):
                arguments = [*TRAIN, "--agent", agent, "--agent-option", f"{name}={text}"]
                yield Case("agent option", f"{agent} {name}={text}", arguments, name)


def decoding_rules():
    for rule in (
        *(
            "x",
            "",
            "=",
            "top_k",
            "top_k=",
            "top_k=0",
            "top_k=x",
            "top_k=1.5",
            "top_k=1,2",
            "top_p=0",
            "top_p=2",
            "top_p=nan",
        ),
        *(
            "top_p=x",
            "min_p=-1",
            "min_p=2",
            "min_p=x",
            "min_p=null",
            "tabu=1",
            "restart=1",
            "loop_guard=0",
            "loop_guard=x",
        ),
        *("loop_guard=1.5", "backspace_bias=x", "backspace_bias=nan", "backspace_bias=inf", "contrastive_search=1"),
        *("contrastive_search=0,0.5", "contrastive_search=2,2", "contrastive_search=x,y", "top_k=" + "9" * 5000),
        *("no.py:x", "os:nothing", "os:getcwd", ":", "a:b", "top_k=[1", "top_k={}", "min_p=true", "top_k=-3"),
    ):
        yield Case(
            "rule", rule[:20], [*SAMPLE, "--rule", rule], re.escape(rule.partition("=")[0]) or "rule", start="whole"
        )


# -- settings


def configs():
    text = {
        **{
            "empty": b"",
            "binary": bytes(range(256)),
            "utf-16": '{"steps": 3}'.encode("utf-16"),
            "half": b'{"steps": 3',
        },
        **{"list": b"[1]", "null": b"null", "number": b"3", "text": b'"x"', "deep": b"[" * 10**5, "key": b'{"a" 1}'},
        **{"deep mapping": b'{"a":' * 10**5, "unknown": b'{"nope": 3}', "nan": b'{"learning_rate": NaN}'},
        **{
            "huge": b'{"steps": 1e999}',
            "digits": b'{"steps": ' + b"9" * 6000 + b"}",
            "zero": b"\0",
            "cut": b'{"task": "aut',
        },
    }
    for name, content in text.items():
        for suffix in ("json", "toml"):
            if (name, suffix) == ("empty", "toml"):
                continue  # which is a file of no settings
            file = f"c.{suffix}"
            culprit = "c.json|learning_rate" if suffix == "json" else "c.toml"
            yield Case("config", f"{name} {suffix}", [*TRAIN, "--config", file], culprit, prepare=_put(file, content))
    for name, prepare in _no_files("c.json").items():
        yield Case("config", name, [*TRAIN, "--config", "c.json"], "c.json", prepare=prepare)


def configured(settings):
    """Every setting with values of every other kind."""
    for path, value in _leaves(settings["settings"]):
        for name, wrong in WRONG.items():
            if _fits(value, wrong, path[-1]):
                continue
            found = json.dumps(_nested(path, wrong)).encode()
            yield Case("setting", f"{'.'.join(path)} is {name}", ["train", "--out", "new", "--config", "c.json"], path[-1], prepare=_put("c.json", found))  # fmt: skip


def _leaves(found, path=()):
    for name, value in found.items():
        if isinstance(value, dict) and value and not name.endswith("options"):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


def _fits(value, wrong, name):
    """Whether a value of the kind could be meant."""
    if value is None:
        return wrong is None or isinstance(wrong, str) or (isinstance(wrong, int | float) and name in ("average",))
    if isinstance(value, dict):
        return wrong is None or isinstance(wrong, dict)
    if isinstance(value, bool):
        return isinstance(wrong, bool)
    if isinstance(value, float):
        return isinstance(wrong, float) and wrong == 0.5
    return False


# -- data


def texts():
    sound = b"some words of a text. " * 40
    line = b'{"text": "some words of a text, and some more"}\n'
    bad = {
        "empty.txt": b"", "spaces.txt": b"   \n", "binary.txt": b"\xff\xfe\xfa" * 100, "latin.txt": "größer ".encode("latin-1") * 40,
        "short.txt": b"x", "empty.jsonl": b"", "list.jsonl": b"[1]\n" * 9, "number.jsonl": b"3\n" * 9,
        "lacks.jsonl": b'{"other": 1}\n' * 9, "null.jsonl": b'{"text": null}\n' * 9, "broken.jsonl": line * 9 + b'{"text": "x\n' + line,
        "mixed.jsonl": line * 9 + b'{"text": 3}\n' + line, "binary.jsonl": line * 9 + b"\xff\xfe\n", "deep.jsonl": b"[" * 10**5,
        "array.jsonl": b'["' * 2 * 10**5, "empty.parquet": b"", "damaged.parquet": b"PAR1" + b"x" * 50 + b"PAR1", "cut.parquet": b"PAR1",
    }  # fmt: skip
    for name, content in bad.items():
        arguments = [*_text(name), *(["--task-option", "field=text"] if "jsonl" in name or "parquet" in name else [])]
        yield Case("text", name, arguments, re.escape(name) + "|empty|text", prepare=_put(name, content))
    for name, prepare in _no_files("t.txt").items():
        yield Case("text", name, _text("t.txt"), "t.txt", prepare=prepare)
    for suffix in ("jsonl", "parquet"):
        for name, prepare in _no_files(f"t.{suffix}").items():
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
            yield Case("text", f"{option}={text}", arguments, f"{option}|t.txt|text", prepare=_put("t.txt", sound))
    for text in ("3", "nope", "[1]"):
        arguments = [*_text("t.jsonl"), "--task-option", f"field={text}"]
        yield Case("text", f"field={text}", arguments, "field|nope|t.jsonl", prepare=_put("t.jsonl", line * 40))


def _text(name):
    small = [*TRAIN, "--task", "text", "--task-option", f"path={name}"]
    return [*small, "--task-option", "prompt_length=4", "--task-option", "max_length=8"]


def _vocabulary():
    """A tokenizer of words, as a file of `tokenizers`."""
    words = {word: i for i, word in enumerate(["<eos>", "<unk>", "some", "words", "of", "a", "text", "."])}
    added = [{"id": 0, "content": "<eos>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]  # fmt: skip
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
        prepare = _all(_put("t.txt", b"some words of a text. " * 40), _put("tok/tokenizer.json", content))
        yield Case("tokenizer", name, arguments, "tok", prepare=prepare)
    for name, prepare in _no_files("tok").items():
        if name != "a folder":
            arguments = [*_text("t.txt"), "--task-option", "tokenizer=tok"]
            yield Case("tokenizer", name, arguments, "tok", prepare=_all(_put("t.txt", b"some words " * 99), prepare))


# -- what was saved


def models():
    from_model = ["train", "--out", "new", *SMALL, "--task-option", "horizon=4", "--model", "model"]
    loads = HEAD + "attempt(lambda: TokenPolicy.from_pretrained('model'))"
    for name in ("config.json", "model.safetensors", "seqil.json", "generation_config.json"):
        bad = {"empty": b"", "nul": b"\0" * 300, "null": b"null", "list": b"[1]", "text": b'"x"', "deep": b"[" * 10**5, "binary": bytes(range(256))}  # fmt: skip
        for kind, content in bad.items():
            prepare = _put(f"model/{name}", content)
            yield Case("model", f"{name} is {kind}", loads, "seqil.json|config.json|model", "python", "whole", prepare)
            if name in ("config.json", "model.safetensors"):
                yield Case("model", f"--model, {name} is {kind}", from_model, "model", start="whole", prepare=prepare)
        for kind, prepare in _no_files(f"model/{name}").items():
            yield Case(
                "model", f"{name}, {kind}", loads, name, "python", "whole", _all(_without(f"model/{name}"), prepare)
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
        prepare = _json("model/config.json", name, value)
        if name not in ("architectures", "auto_map", "torch_dtype"):
            yield Case("model", f"config.json, {name}={value}", from_model, "model", start="whole", prepare=prepare)
        yield Case("model", f"sealed, {name}={value}", loads, "config.json", "python", "whole", prepare)
    for name, value in (("backspace", "false"), ("backspace", 3), ("memory", "x"), ("memory", 3), ("vocabulary", None), ("vocabulary", {"size": 3}), ("vocabulary", {"size": -1, "eos": 0}), ("vocabulary", {"size": "x", "eos": 0}), ("sha256", 3), ("sha256", {"nope": "x"}), ("sha256", {"config.json": 3})):  # fmt: skip
        yield Case(
            "model",
            f"seqil.json, {name}={value}",
            loads,
            "seqil.json|nope|config.json",
            "python",
            "whole",
            _json("model/seqil.json", name, value),
        )
    for kind in ("nope", "run", "model/config.json"):
        arguments = ["train", "--out", "new", *SMALL, "--model", kind]
        yield Case("model", f"--model {kind}", arguments, re.escape(kind), start="whole")


def run_files(settings):
    newest = "run/checkpoints/000000006"
    bad = {"empty": b"", "null": b"null", "list": b"[1]", "mapping": b"{}", "text": b'"x"', "half": b'{"settings": {', "binary": bytes(range(256)), "deep": b"[" * 10**5, "nul": b"\0" * 99}  # fmt: skip
    for file in ("run/settings.json", f"{newest}/manifest.json", f"{newest}/state.json", f"{newest}/seqil.json"):
        for kind, content in bad.items():
            for command in (SAMPLE, ["train", "--out", "run", "--resume"]):
                name = f"{command[0]}, {Path(file).name} is {kind}"
                yield Case("run", name, command, Path(file).name, start="whole", prepare=_put(file, content))
        for kind, prepare in _no_files(file).items():
            if kind != "nothing" or "manifest" not in file:
                name = f"{Path(file).name}, {kind}"
                yield Case("run", name, SAMPLE, Path(file).name, start="whole", prepare=_all(_without(file), prepare))
    for path, value in _leaves(settings["settings"]):
        wrong = 3 if not isinstance(value, int) or isinstance(value, bool) else "x"
        prepare = _deep("run/settings.json", ("settings", *path), wrong)
        yield Case(
            "run", f"settings.json, {'.'.join(path)}={wrong!r}", SAMPLE, "settings.json", start="whole", prepare=prepare
        )


# -- studies


def records():
    """A record with one field of another kind is named by its line and field; nothing else of the file is lost."""
    fields = {
        "key": 3, "task": 3, "arm": [1], "seed": "x", "settings": [], "steps": -1, "versions": None, "estimates": {"hazard": None},
        "profile": 3, "samples": "x", "cost": "x", "training_positions": [], "seconds_training": None, "seconds_evaluation": "x",
        "decoded": [3], "horizons": 3, "course": "x", "hazard": 1, "survival": [1], "counts": 3, "entropy": 3, "max_actions": "x",
        "trajectories": [1], "horizon": -3,
    }  # fmt: skip
    for name, wrong in fields.items():
        yield Case(
            "record",
            f"{name}={wrong}",
            _read("study/results.jsonl"),
            f"line 1.*{name}",
            "python",
            "study",
            _record(name, wrong),
        )
    digits = b'{"key": "k", "task": "t", "arm": "a", "seed": ' + b"9" * 9999 + b"}\n"
    bad = {"a number of 9,999 digits": digits, "no JSON": b"x\n", "binary": b"\xff\xfe\n", "deep": b'["' * 200000 + b"\n", "cut": b'{"key": "k", "ta\n'}  # fmt: skip
    for name, line in bad.items():
        yield Case(
            "record",
            name,
            _read("study/results.jsonl"),
            "line 1",
            "python",
            "study",
            _before("study/results.jsonl", line),
        )
    for name, prepare in _no_files("study/results.jsonl").items():
        arguments = ["table", "--study", "small.py", "--out", "study"]
        yield Case(
            "record", name, arguments, "results.jsonl", "study", "study", _all(_without("study/results.jsonl"), prepare)
        )
    for name, content in (
        ("empty", ""),
        ("syntax", "def"),
        ("no study", "x = 3"),
        ("raises", "1 / 0"),
        ("exits", "raise SystemExit(0)"),
    ):
        arguments = ["status", "--study", "own.py", "--out", "study"]
        yield Case("study", name, arguments, "own.py", "study", "study", _put("own.py", content.encode()))
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
                prepare=_put("own.py", content),
            )
        for name, prepare in _no_files("own.py").items():
            yield Case("plug-in", f"{kind}, {name}", [*TRAIN, option, "own.py:mine"], "own.py", prepare=prepare)
    for name, body in bodies.items():
        yield Case("plug-in", f"rule, {name}", [*SAMPLE, "--rule", "own.py:mine"], "own.py|mine", start="whole", prepare=_put("own.py", body.encode("latin-1")))  # fmt: skip
        arguments = [*TRAIN, "--agent", "dagger", "--agent-option", "expert=own.py:mine"]
        yield Case(
            "plug-in", f"expert, {name}", arguments, "own.py|mine", prepare=_put("own.py", body.encode("latin-1"))
        )


def evaluations():
    for kind, content in {"empty": b"", "null": b"null", "list": b"[]", "mapping": b"{}", "deep": b"[" * 10**5, "binary": bytes(range(256)), "estimates": b'{"task": "automaton", "estimates": 3}', "numbers": b'{"task": "automaton", "estimates": {"a": 3}}'}.items():  # fmt: skip
        arguments = ["export", "run", "other", "--evaluation", "e.json"]
        yield Case("evaluation", kind, arguments, "e.json", start="whole", prepare=_put("e.json", content))
    for kind, prepare in _no_files("e.json").items():
        arguments = ["export", "run", "other", "--evaluation", "e.json"]
        yield Case("evaluation", kind, arguments, "e.json", start="whole", prepare=prepare)


def misuse():
    """Python at the public surface; `HEAD` says what is at hand."""
    for call, culprit in CALLS:
        code = HEAD + f"attempt(lambda: {call})\n"
        yield Case("Python", call, code, culprit, "python")


# -- what is done to folders


def _put(name, content):
    def put(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return put


def _without(name):
    def remove(folder):
        import shutil

        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return remove


def _all(*steps):
    return lambda folder: [step(folder) for step in steps]


def _before(name, line):
    return lambda folder: (folder / name).write_bytes(line + (folder / name).read_bytes())


def _json(name, key, value):
    return _deep(name, (key,), value)


def _deep(name, path, value):
    def change(folder):
        found = at = json.loads((folder / name).read_text())
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        (folder / name).write_text(json.dumps(found))

    return change


def _record(name, value):
    def change(folder):
        file = folder / "study/results.jsonl"
        first, *others = file.read_text().splitlines()
        record = {**json.loads(first), name: value}
        record.pop("sha256", None)
        file.write_text("\n".join([json.dumps(record), *others]) + "\n")

    return change


def _no_files(name):
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


__all__ = ["Case", "cases", "judged", "tree"]
