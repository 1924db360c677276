"""Agents and tasks, built in or installed by others, are found by their entry points; one's own by their file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import InvalidInputError, SeqilError
from ..mdp.task import Task
from . import own_files
from .option_types import argument_types, mismatch, read


@dataclass(frozen=True)
class Plugin:
    """What a distribution registers.

    Attributes:
        name: the id, as on the command line.
        package: the distribution, and its `version`; `?` where its metadata are damaged.
        about: first line of the docstring, or the one line that says why it cannot be used.
        usable: whether `load` gives a class.
    """

    name: str
    package: str
    version: str
    about: str
    usable: bool


def names(kind: str) -> list[str]:
    """Known ids; `kind` is `agents` or `tasks`."""
    return sorted({point.name for point in _points(kind)})


def registered(kind: str) -> list[Plugin]:
    """All that is registered, by name, imported to see whether it can be used."""
    return [_plugin(kind, point) for point in sorted(_points(kind), key=lambda point: (point.name, _package(point)))]


def load(kind: str, name: str) -> Any:
    """The class registered under `name`, or that of a file or module, `my_agents.py:Mine`.

    Raises:
        InvalidInputError: no distribution registers the name, several do, or what one registers cannot be imported or
            is not an agent or task.
    """
    if own_files.is_reference(name):
        return _sound(kind, f"{kind[:-1]} {name!r}", own_files.find(name))
    found = [point for point in _points(kind) if point.name == name]
    if not found:
        raise InvalidInputError(f"unknown {kind[:-1]} {name!r}; known: {', '.join(names(kind))}")
    if len(found) > 1:
        packages = sorted(" ".join(_package(point)) for point in found)
        raise InvalidInputError(
            f"{kind[:-1]} {name!r} is registered {len(found)} times, by {' and '.join(packages)}; keep one of them"
        )
    what = f"{kind[:-1]} {name!r} ({found[0].value})"
    try:
        loaded = found[0].load()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidInputError(f"{what} cannot be imported: {reason}") from error
    return _sound(kind, what, loaded)


def _sound(kind: str, what: str, loaded: Any) -> Any:
    fault = _fault(kind, loaded)
    if fault:
        raise InvalidInputError(f"{what} {fault}")
    return loaded


def construct(kind: str, name: str, /, *args: Any, **options: Any) -> Any:
    """Build it from what a file or the command line holds.

    Raises:
        InvalidInputError: an option that its constructor does not know, lacks, or that is of another type than
            annotated; or the constructor itself failed. The plug-in is named.
    """
    cls, what = load(kind, name), f"{kind[:-1]} {name!r}"
    known = parameters(cls)
    for option in options:
        if option not in known:
            raise InvalidInputError(f"{what} has no option {option!r}; it has: {', '.join(known)}")
    try:
        inspect.signature(cls).bind(*args, **options)
    except TypeError as error:
        raise InvalidInputError(f"{what}: {error}; give it with --{kind[:-1]}-option KEY=VALUE") from None
    wrong = mismatch(options, argument_types(cls))
    if wrong:
        raise InvalidInputError(f"{what}: {wrong}")
    try:
        return cls(*args, **options)
    except SeqilError:
        raise
    except Exception as error:  # a stranger's constructor may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidInputError(f"{what} cannot be constructed: {reason}") from error


def read_options(kind: str, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Options of a constructor from what stands on the command line."""
    types = argument_types(load(kind, name))
    return {option: read(text, types.get(option, Any)) for option, text in texts.items()}


def parameters(cls: type) -> list[str]:
    """Keyword arguments of a constructor; `**options` stand for those of its base class."""
    given = inspect.signature(cls).parameters.values()
    own = [p.name for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_KEYWORD for p in given) and cls.__base__ not in (None, object):
        own += [name for name in parameters(cls.__base__) if name not in own]
    return [name for name in own if name not in ("policy", "loss")]


def _points(kind: str) -> list[EntryPoint]:
    return list(entry_points(group=f"seqil.{kind}"))


def _plugin(kind: str, point: EntryPoint) -> Plugin:
    try:
        about = load(kind, point.name).__doc__
        lines = inspect.cleandoc(about).splitlines() if isinstance(about, str) else []
    except InvalidInputError as error:
        return Plugin(point.name, *_package(point), str(error), usable=False)
    return Plugin(point.name, *_package(point), lines[0] if lines else "", usable=True)


def _package(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that registers it."""
    try:
        metadata = point.dist.metadata  # type: ignore[union-attr]
        return metadata["Name"] or "?", metadata["Version"] or "?"
    except Exception:  # what a half-removed distribution raises depends on the version of Python
        return "?", "?"


def _fault(kind: str, loaded: Any) -> str | None:
    """What keeps it from being an agent, a task or a metric."""
    if kind == "metrics":
        from ..metrics.entries import Metric

        return None if isinstance(loaded, Metric) else "is not a metric: register a seqil.Metric"
    if not isinstance(loaded, type):
        return f"is not a class, but of type {type(loaded).__name__}; register the class"
    abstract: frozenset[str] = getattr(loaded, "__abstractmethods__", frozenset())
    if abstract:
        return f"does not define {', '.join(sorted(abstract))}"
    if kind == "tasks":
        return None if issubclass(loaded, Task) else "is not a task: subclass seqil.Task"
    from ..learning.agent import Agent

    return None if issubclass(loaded, Agent) else "is not an agent: subclass seqil.Agent"
