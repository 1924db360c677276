"""A study by its name, or of one's own from a file: Python or TOML.

A Python file defines one `Study`. In TOML the fields of `Study`, `Arm`, `Place` and `Decoding` are keys:

    question = "Is B better than A?"
    arms = [
        {name = "A", settings = {agent = "bc", backspace = false}},
        {name = "B", settings = {agent = "my_agent.py:Mine"}},
    ]

    [[places]]
    name = "automaton"
    budget = 3e5
    samples = 200
    settings = {task = "automaton", demonstrations = 1000}
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from seqil.capacity import read_bytes
from seqil.errors import InvalidInputError, check_known, suggested
from seqil.runs import plugins
from seqil.runs.experiment import MEASURED
from seqil.runs.option_types import mismatch
from seqil.runs.own_files import run_file

from ...study import Arm, Decoding, Place, Study

_SEEDS = 3
_FIXED = {
    "steps": "is what the budget pays for",
    "seed": "is the number of the run",
    "device": "is the same for all, --device",
}
"""Settings that are the study's own to give."""
Made = TypeVar("Made")


def installed(presets: Mapping[str, Study]) -> list[str]:
    """Names of ours and of those that other distributions register in the entry point group `seqil.studies`."""
    return [*presets, *(name for name in plugins.names("studies") if name not in presets)]


def by_name(name: str, presets: Mapping[str, Study]) -> Study:
    """One of them.

    Raises:
        InvalidInputError: there is none of this name, or what is registered is no study.
    """
    check_known("preset", name, installed(presets), "; ")
    return presets[name] if name in presets else _sound(plugins.load("studies", name), f"study {name!r}")


def from_file(path: Path) -> Study:
    """The study of a file that ends in `.py` or `.toml`.

    Raises:
        InvalidInputError: one line says what is wrong with it.
    """
    if path.suffix not in (".py", ".toml"):
        raise InvalidInputError(f"--study {path}: name a file that ends in .py or .toml")
    return _sound(_defined(path) if path.suffix == ".py" else _written(path), str(path))


def _defined(path: Path) -> Study:
    found = [value for value in vars(run_file(path)).values() if isinstance(value, Study)]
    if len({id(study) for study in found}) != 1:
        raise InvalidInputError(f"{path} defines {len(found)} studies; define one, STUDY = Study(…)")
    return found[0]


def _written(path: Path) -> Study:
    try:
        given = tomllib.loads(read_bytes(path).decode())
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read ({error.strerror}); name a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no TOML: {error}") from None
    arms = tuple(_arm(one, f"{path}, arm {i}") for i, one in _tables(given, "arms", str(path)))
    places = tuple(_made(Place, one, f"{path}, place {i}") for i, one in _tables(given, "places", str(path)))
    if "questions" in given:
        raise InvalidInputError(f"{path}: questions are code; write the study in Python")
    return _made(Study, {"name": path.stem, "seeds": _SEEDS, **given, "arms": arms, "places": places}, str(path))


def _arm(given: dict[str, Any], where: str) -> Arm:
    decodings = tuple(_made(Decoding, one, f"{where}, decoding {i}") for i, one in _tables(given, "decodings", where))
    return _made(Arm, {**given, "decodings": decodings}, where)


def _tables(given: dict[str, Any], name: str, where: str) -> list[tuple[int, dict[str, Any]]]:
    tables = given.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise InvalidInputError(f"{where}: {name} is no list of tables")
    return list(enumerate(tables, 1))


def _made(cls: type[Made], given: dict[str, Any], where: str) -> Made:
    """The dataclass of these fields, lists as tuples."""
    known = {f.name: f for f in fields(cast(Any, cls))}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    lacking = [name for name, f in known.items() if f.default is f.default_factory is MISSING and name not in values]
    wrong = mismatch(values, get_type_hints(cls))
    for name in values:
        if name not in known:
            raise InvalidInputError(f"{where} has no field {name!r}; known: {', '.join(known)}{suggested(name, known)}")
    if lacking or wrong:
        raise InvalidInputError(f"{where}: {wrong or 'lacks ' + ', '.join(lacking)}")
    return cls(**values)


def _sound(study: Any, where: str) -> Study:
    if not isinstance(study, Study):
        raise InvalidInputError(f"{where} is no Study, but of type {type(study).__name__}")
    rows, places = study.rows, [place.name for place in study.places]
    if not rows or not places:
        raise InvalidInputError(f"{where} has no {'places' if rows else 'arms'}")
    for what, names in (("arms or decodings", rows), ("places", places)):
        twice = _repeated(names)
        if twice:
            raise InvalidInputError(f"{where}: {what} share the name {twice!r}; tables know them by it")
    for arm in study.arms:
        for name in (arm.name, *(how.name for how in arm.decodings)):
            if not name.strip() or not name.isprintable():
                raise InvalidInputError(
                    f"{where}: an arm or decoding is called {name!r}; tables know it by that: give a name of one line"
                )
    for name, settings in [(row.name, row.settings) for row in study.arms] + [
        (p.name, p.settings) for p in study.places
    ]:
        for fixed in _FIXED.keys() & settings.keys():
            raise InvalidInputError(f"{where}: {name!r} sets {fixed}, which {_FIXED[fixed]}; leave it out")
    for arm in study.arms:
        strange = {*arm.places, *(name for how in arm.decodings for name in how.places)} - set(places)
        if strange:
            raise InvalidInputError(f"{where}: arm {arm.name!r} is for {sorted(strange)[0]!r}, which is no place of it")
    if study.seeds < 1 or any(not 0 < place.budget < float("inf") or place.pilot < 1 for place in study.places):
        raise InvalidInputError(f"{where}: seeds, budgets and pilots must be positive")
    few = next((place for place in study.places if place.samples < MEASURED), None)
    if few:
        raise InvalidInputError(
            f"{where}: samples={few.samples} at {few.name!r}; give {MEASURED} or more, of fewer there is no interval"
        )
    return replace(study, name=study.name or Path(where).stem)


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for i, name in enumerate(names) if name in names[:i]), None)
