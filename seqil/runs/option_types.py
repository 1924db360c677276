"""Whether values from a file or the command line are what a constructor's annotations say."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ..errors.arguments import looks_like_number, number_of, resolved

_PLAIN: dict[type, Any] = {bool: bool, int: int | float, float: float, str: str}
"""What a default says of an option that nothing else is said of."""


def argument_types(cls: type) -> dict[str, Any]:
    """Annotations of a constructor's arguments, those of base classes included.

    An argument without one, or with one that cannot be resolved, is of the kind of its default, if that is plain.
    """
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        make = vars(base).get("__init__")
        if inspect.isfunction(make):
            found |= types_of(make)
    return found


def types_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a function's arguments, as of `argument_types`."""
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    return {name: _type_of(p, scope) for name, p in inspect.signature(function).parameters.items()}


def _type_of(parameter: inspect.Parameter, scope: dict[str, Any]) -> Any:
    said = Any if parameter.annotation is parameter.empty else resolved(parameter.annotation, scope)
    return _PLAIN.get(type(parameter.default), Any) if said is Any else said


def mismatch(values: Mapping[str, Any], annotated: Mapping[str, Any]) -> str | None:
    """What is wrong with the first value that does not fit, as `gamma='x' is not a float`; None if all do."""
    for name, value in values.items():
        if not fits(value, annotated.get(name, Any)):
            if isinstance(value, int) and abs(value) >= 2**63:
                return f"{name}={value} is too large; give less than 2^63"
            return f"{name}={value!r} is not {shown(annotated[name])}"
    return None


def fits(value: Any, annotation: Any) -> bool:
    """Whether `value` may be passed: a bool is no number, an int is a float, what is not understood passes."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in get_args(annotation))
    if origin is Literal:
        return value in get_args(annotation)
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is Callable or origin is Callable:
        return callable(value)
    expected = origin or annotation
    if expected is Any or not isinstance(expected, type):
        return True
    if isinstance(value, int) and expected in (int, float):
        return not isinstance(value, bool) and abs(value) < 2**63
    try:
        return isinstance(value, expected)
    except TypeError:  # a protocol that says nothing at run time
        return True


def read(text: str, annotation: Any) -> Any:
    """What a text on the command line stands for: JSON or a number of Python, and itself where a string is expected."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # not JSON, or more digits or brackets than Python reads
        return _number(text, parts)
    others = [part for part in parts if part not in (str, Path, Any)]
    stringly = len(others) < len(parts) and parts != (Any,)
    return text if stringly and not isinstance(value, str) and not any(fits(value, part) for part in others) else value


def _number(text: str, parts: tuple[Any, ...]) -> Any:
    """What JSON does not take for a number, `.6` say; the text where that is none, or a text is expected."""
    if str in parts or Path in parts or not (looks_like_number(text) or {int, float} & {*parts}):
        return text
    try:
        return number_of(text)
    except ValueError:
        return text


def shown(annotation: Any) -> str:
    """An annotation in words: `an int`, `a str or None`, `one of each, once`."""
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(annotation)))}"
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    names = ["None" if part is type(None) else getattr(part, "__name__", str(part)) for part in parts]
    return ("an " if names[0][0] in "aeiou" else "a ") + " or ".join(names)
