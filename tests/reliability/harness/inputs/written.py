"""What is typed, or stands in a file of settings."""

from __future__ import annotations

import json
import re

from .case import NO_NUMBER, NO_WHOLE, SAMPLE, SMALL, TRAIN, WRONG, Case
from .spoiling import no_files, put, without


def options():
    whole = {
        **{"layers": "-1", "width": "0", "heads": "0", "demonstrations": "0", "steps": "0", "batch-size": "0"},
        **{"burst": "0", "seed": "-1", "save-every": "0", "lora": "0", "max-actions": "0"},
    }
    for option, least in whole.items():
        for text in (*NO_WHOLE[: -1 if option == "save-every" else None], least):  # none but the last is as good
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
    yield Case("sample", "no best", [*SAMPLE, "--best"], "best", start="half", prepare=without("run/best"))
    yield Case("train", "a run is there", ["train", "--out", "run", *SMALL], "already holds a run", start="whole")
    yield Case("train", "nothing to resume", ["train", "--out", "run", "--resume"], "run")
    yield Case("train", "patience alone", [*TRAIN, "--patience", "3"], "--patience")
    yield Case("train", "--out is a file", ["train", "--out", "x", *SMALL], "x is a file", prepare=put("x", b""))
    yield Case("train", "--out in a file", ["train", "--out", "x/y", *SMALL], "x", prepare=put("x", b""))
    yield Case("export", "onto a run", ["export", "run", "run"], "is there already", start="whole")
    yield Case(
        "export", "onto a file", ["export", "run", "x"], "is there already", start="whole", prepare=put("x", b"")
    )
    yield Case("seal", "nothing", ["seal", "nope"], "seqil.json is missing")
    yield Case("list", "nothing", ["list", "nope"], "nope")


WHOLE = {
    "automaton": ["horizon"],
    "graph_walk": ["horizon"],
    "hmm": ["horizon"],
    "chain": ["delay"],
    "add_in_base": ["low", "high"],
    "chains": ["links", "delay"],
    "countdown": ["numbers", "limit"],
    "dyck": ["kinds", "length"],
    "multiplication": ["digits"],
    "long_addition": ["low", "high"],
    "ngram": ["order", "size", "horizon"],
    "pcfg": ["depth", "shortest", "longest"],
    "star": ["arms", "length"],
    "sudoku4": ["low", "high"],
    "pydoc": ["prompt_length", "max_length"],
}
SHARES = {
    "bc": {"gamma": "2", "smoothing": "2"},
    "dagger": {"share": "2", "anneal": "2", "warm_up": "-1", "expert_noise": "2", "switch": "twice"},
    "gail": {"gamma": "2", "trace": "2", "passes": "0", "smoothing": "2", "warm_up": "2", "pace": "-1"},
    "gold": {"gamma": "2", "floor": "2", "warm_up": "2"},
    "grpo": {"samples": "1", "epsilon": "0", "kl": "-1", "passes": "0", "warm_up": "2", "reward": "sucess"},
    "occupancy_gradient": {"gamma": "2", "trace": "2", "warm_up": "2"},
    "on_policy_distillation": {"share": "2", "warm_up": "2"},
    "scheduled_sampling": {"rate": "2", "warm_up": "2"},
    "sequence_match": {"gamma": "2", "warm_up": "2", "anneal": "2", "beta": "2", "rollout_share": "2"},
    "slic": {"samples": "0", "kl": "inf", "weight": "-1", "warm_up": "2"},
    "sqil": {"gamma": "0", "warm_up": "2"},
    "unlikelihood": {"alpha": "-1"},
}


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
            "loop_guard=-1",
            "loop_guard=x",
        ),
        *("loop_guard=1.5", "backspace_bias=x", "backspace_bias=nan", "backspace_bias=inf", "contrastive_search=1"),
        *("contrastive_search=0,0.5", "contrastive_search=2,2", "contrastive_search=x,y", "top_k=" + "9" * 5000),
        *("no.py:x", "os:nothing", "os:getcwd", ":", "a:b", "top_k=[1", "top_k={}", "min_p=true", "top_k=-3"),
    ):
        yield Case(
            "rule", rule[:20], [*SAMPLE, "--rule", rule], re.escape(re.split("[=:]", rule)[0]) or "rule", start="whole"
        )


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
            "twice": b'{"steps": 3, "steps": 4}',
            "cut": b'{"task": "aut',
        },
    }
    for name, content in text.items():
        for suffix in ("json", "toml"):
            if (name, suffix) == ("empty", "toml"):
                continue  # which is a file of no settings
            file = f"c.{suffix}"
            culprit = "c.json|learning_rate" if suffix == "json" else "c.toml"
            yield Case("config", f"{name} {suffix}", [*TRAIN, "--config", file], culprit, prepare=put(file, content))
    for name, prepare in no_files("c.json").items():
        yield Case("config", name, [*TRAIN, "--config", "c.json"], "c.json", prepare=prepare)


def configured(settings):
    """Every setting with values of every other kind."""
    for path, value in leaves(settings["settings"]):
        for name, wrong in WRONG.items():
            if _fits(value, wrong, path[-1]):
                continue
            found = json.dumps(_nested(path, wrong)).encode()
            yield Case(
                "setting",
                f"{'.'.join(path)} is {name}",
                ["train", "--out", "new", "--config", "c.json"],
                path[-1],
                prepare=put("c.json", found),
            )


def leaves(found, path=()):
    for name, value in found.items():
        if isinstance(value, dict) and value and not name.endswith("options"):
            yield from leaves(value, (*path, name))
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
        large = name in ("learning_rate", "sampling_temperature")
        return (isinstance(wrong, float) and large) or (wrong is None and name == "average")
    return False
