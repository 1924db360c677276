"""`results.jsonl`, the records of a study: one schema, one reader, and the tidy frame of their numbers.

It stands here and not beside the studies, because whoever has the file shall read it without them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..capacity import check_file, reading
from ..errors import InvalidInputError, MissingExtraError, counted
from ..statistics import Estimate
from . import strict_json

if TYPE_CHECKING:
    import pandas

NAME = "results.jsonl"
Record = dict[str, Any]
Check = Callable[[Any], str]
"""What is wrong with a value, as `.field is no number`; empty where nothing is."""

_LARGE = 2**63
_NOT_FINITE = ("inf", "-inf", "nan")  # as older records have them; `strict_json` gives floats
_NAMES = ("key", "task", "arm", "seed")


@dataclass(frozen=True)
class Found:
    """What a file holds.

    Attributes:
        records: the lines that are records, in the order of the file.
        faults: of the others: line, field, and what is wrong with it.
    """

    records: list[Record]
    faults: list[str]


def read(file: Path) -> Found:
    """All records of a file; none where there is no file.

    A last line that a crash cut short is left out; one that bears a sum is whole, and a line without one behind others
    that have theirs was changed.

    Raises:
        InvalidInputError: it is no regular file, a pipe say, or one of more than `SEQIL_MOST_BYTES`.
    """
    if not os.path.lexists(file):
        return Found([], [])
    check_file(file)
    found, seals = Found([], []), False
    with reading(file), file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            (wrong, record), sealed = _judged(line), strict_json.bears_seal(line)
            if record is None and not line.endswith(b"\n") and not sealed:
                continue
            if record is not None and seals and not sealed:
                wrong = "it was changed: it has no SHA-256, as those before it have"
            seals |= sealed
            if wrong or record is None:
                found.faults.append(f"{file}, line {number}: {wrong.lstrip('. ')}; remove that line")
            else:
                found.records.append(record)
    return found


def results(folder: str | Path) -> pandas.DataFrame:
    """The numbers of a study as a tidy frame, a row per number.

    Args:
        folder: with `results.jsonl`, or that file.

    Returns:
        Columns `task`, `arm`, `decoding` (empty: the plain sample; `sample 1` where an older record has no name),
        `seed`, `horizon` (tokens per text, of the training where the record does not say; <NA> of older records),
        `metric`, `value`, `low`, `high` (95 % interval), `n`, `unit`; and `cost` (of training, in forward positions),
        `steps` and `key` of the run. Of two records of one run the later one counts.

    Raises:
        MissingExtraError: pandas is not installed.
        InvalidInputError: there is no such file, or no record in it.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("a frame needs pandas; pip install pandas, or seqil with its extra `frames`") from None
    if not isinstance(folder, str | os.PathLike):
        raise InvalidInputError(f"results: folder={folder!r:.60} is not a path")
    file = Path(folder)
    file = file / NAME if file.is_dir() else file
    found = read(file)
    if found.faults:
        warnings.warn(summary(found.faults), stacklevel=2)
    if not found.records:
        raise InvalidInputError(f"{file} holds no record; name a folder that `run` of a study has written")
    latest = {(r["task"], r["arm"], r["seed"]): r for r in found.records}
    rows = [row for record in latest.values() for row in _rows(record)]
    return pd.DataFrame(rows).astype({"horizon": "Int64"})


def summary(faults: list[str]) -> str:
    """The first of them and how many more there are, in a line."""
    more = f" (and {counted(len(faults) - 1, 'more line')})" if len(faults) > 1 else ""
    return f"{faults[0]}{more}; the others are kept"


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    samples = [
        ("", record),
        *((s.get("decoding", f"sample {i}"), s) for i, s in enumerate(record.get("decoded", ()), 1)),
    ]
    samples += [("", at_horizon) for at_horizon in record.get("horizons", ())]
    for decoding, sample in samples:
        who = {"task": record["task"], "arm": record["arm"], "decoding": decoding, "seed": record["seed"]}
        of = {name: sample.get(name, record[name]) for name in ("cost", "steps")} | {"key": record["key"]}
        horizon = sample.get("horizon", record.get("horizon"))
        for metric, estimate in sample["estimates"].items():
            yield {**who, "horizon": horizon, "metric": metric, **vars(Estimate.of(estimate)), **of}


def is_whole(line: bytes) -> bool:
    """Whether a line holds a whole record, or one that bears a sum and was changed; else a crash has cut it short."""
    return _judged(line)[1] is not None or strict_json.bears_seal(line)


def _judged(line: bytes) -> tuple[str, Record | None]:
    """What is wrong with a line, and the record that it holds, if it is one at all."""
    text = strict_json.unsealed(line)
    if text is None:
        return "it was changed: its SHA-256 differs", None
    try:
        record = strict_json.loads(text.decode())
    except (ValueError, RecursionError):
        return "it is no record", None
    if not isinstance(record, dict) or not record.keys() >= set(_NAMES):
        return "it is no record", None
    return _RECORD(record), record


# -- the schema


def _is(what: str, test: Callable[[Any], bool]) -> Check:
    return lambda value: "" if test(value) else f" is no {what}"


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < _LARGE
    return isinstance(value, float) or value in _NOT_FINITE if not isinstance(value, list | dict) else False


def _each(check: Check) -> Check:
    def all_right(values: Any) -> str:
        if not isinstance(values, list):
            return " is no list"
        return next((f"[{i}]{wrong}" for i, value in enumerate(values) if (wrong := check(value))), "")

    return all_right


def _every(check: Check) -> Check:
    def all_right(values: Any) -> str:
        if not isinstance(values, dict):
            return " is no mapping"
        return next((f".{name}{wrong}" for name, value in values.items() if (wrong := check(value))), "")

    return all_right


def _fields(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    known = {**needed, **(optional or {})}

    def all_right(values: Any) -> str:
        if not isinstance(values, dict):
            return " is no mapping"
        lacking = next((f" lacks {name}" for name in needed if name not in values), "")
        there = ((name, known[name](value)) for name, value in values.items() if name in known)
        return lacking or next((f".{name}{wrong}" for name, wrong in there if wrong), "")

    return all_right


def _tuple(*checks: Check) -> Check:
    def all_right(values: Any) -> str:
        if not isinstance(values, list) or len(values) != len(checks):
            return f" is no list of {len(checks)}"
        pairs = enumerate(zip(checks, values, strict=True))
        return next((f"[{i}]{wrong}" for i, (check, value) in pairs if (wrong := check(value))), "")

    return all_right


def _or(value: Any, check: Check) -> Check:
    return lambda given: "" if given == value and type(given) is type(value) else check(given)


_TEXT, _SWITCH = _is("text", lambda x: isinstance(x, str)), _is("true or false", lambda x: isinstance(x, bool))
_NUMBER = _is("number", _is_number)
_COUNT = _is("whole number", lambda x: _is_number(x) and isinstance(x, int) and x >= 0)
_NUMBERS = _each(_NUMBER)
_ESTIMATE = _fields({"value": _NUMBER, "low": _NUMBER, "high": _NUMBER, "n": _COUNT, "unit": _TEXT})
_ESTIMATES = _each(_ESTIMATE)
_WRITTEN = _each(_tuple(_TEXT, _each(_tuple(_TEXT, _SWITCH))))
_MEASURED: dict[str, Check] = {
    "decoding": _TEXT,
    "profile": _ESTIMATES,
    "hazard": _ESTIMATES,
    "hazard_bin": _COUNT,
    "survival": _or([], _tuple(_NUMBERS, _NUMBERS)),
    "counts": _or({}, _fields({"errors": _each(_COUNT), "at_risk": _each(_COUNT)})),
    "ever_deleted": _or(None, _tuple(_NUMBER, _ESTIMATE)),
    "entropy": _fields({"bin": _COUNT, "data": _ESTIMATES, "own": _ESTIMATES}),
    "samples": _WRITTEN,
    "max_actions": _COUNT,
    "chosen": _fields({"rules": _each(_TEXT), "valid": _NUMBERS}),
    "by_budget": _fields(
        {name: _each(_COUNT) for name in ("budgets", "right", "ended")} | {"spent": _NUMBERS, "n": _COUNT}
    ),
}
_STEPS = ("backspace", "value", "reward", "depth")
_STEPPED = _fields({
    "prompt": _TEXT, "written": _each(_or(None, _TEXT)), "ended": _SWITCH, **dict.fromkeys(_STEPS, _NUMBERS)
})  # fmt: skip
_SAMPLE = _fields({"estimates": _every(_ESTIMATE)}, _MEASURED)
_SETTINGS = _fields(
    {"agent": _TEXT, "task": _TEXT, "backspace": _SWITCH, "mask_noise": _SWITCH, "noise": _TEXT, "noise_rate": _NUMBER}
    | {"burst": _COUNT, "average": _or(None, _NUMBER)}
)
_COSTS = ("cost", "training_positions", "seconds_training", "seconds_evaluation")
_RECORD = _fields(
    {
        **{"key": _TEXT, "task": _TEXT, "arm": _TEXT, "seed": _COUNT, "settings": _SETTINGS, "steps": _COUNT},
        **{"versions": _fields({"seqil": _TEXT, "torch": _TEXT, "transformers": _TEXT})},
        **{"estimates": _every(_ESTIMATE), "profile": _ESTIMATES, "samples": _WRITTEN},
        **dict.fromkeys(_COSTS, _NUMBER),
    },
    {
        **_MEASURED,
        "horizon": _COUNT,
        "decoded": _each(_SAMPLE),
        "horizons": _each(
            _fields({"horizon": _COUNT, "extrapolation": _SWITCH, "estimates": _every(_ESTIMATE)}, _MEASURED)
        ),
        "course": _each(_fields({"steps": _COUNT, "cost": _NUMBER, "estimates": _every(_ESTIMATE)})),
        "trajectories": _each(_STEPPED),
    },
)
