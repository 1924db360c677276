"""Agents and tasks, built in or installed by others, are found by their entry points."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from .errors import InvalidInputError


def names(kind: str) -> list[str]:
    """Known ids; `kind` is `agents` or `tasks`."""
    return sorted({point.name for point in entry_points(group=f"seqil.{kind}")})


def load(kind: str, name: str) -> Any:
    """The class registered under `name`, or one line that says what there is."""
    found = [point for point in entry_points(group=f"seqil.{kind}") if point.name == name]
    if not found:
        raise InvalidInputError(f"unknown {kind[:-1]} {name!r}; known: {', '.join(names(kind))}")
    try:
        return found[0].load()
    except Exception as error:
        raise InvalidInputError(
            f"{kind[:-1]} {name!r} ({found[0].value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


def construct(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Build it, refusing options that its constructor does not know."""
    cls = load(kind, name)
    known = parameters(cls)
    for option in options:
        if option not in known:
            raise InvalidInputError(f"{kind[:-1]} {name!r} has no option {option!r}; it has: {', '.join(known)}")
    return cls(*args, **options)


def parameters(cls: type) -> list[str]:
    """Keyword arguments of a constructor; `**options` stand for those of its base class."""
    given = inspect.signature(cls).parameters.values()
    own = [p.name for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_KEYWORD for p in given) and cls.__base__ not in (None, object):
        own += [name for name in parameters(cls.__base__) if name not in own]
    return [name for name in own if name not in ("policy", "loss")]
