"""Rules as they are written on the command line and in settings."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

from ..errors import InvalidInputError, check_known
from ..errors.arguments import check_kind, looks_like_number, number_of
from .interface import Rule
from .rules import RULES

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _built_in(name: str) -> Callable[..., Rule]:
    check_known("rule", name, RULES)
    return RULES[name]


def parse(text: str, find: Callable[[str], Callable[..., Rule]] = _built_in, reader: Any = None) -> Rule:
    """A rule as the command line writes it: `tabu`, `min_p=0.05`, `ban="foo",[3,4]`, `grammar=[0-9]+`.

    Args:
        text: a name and the arguments of what it names, as JSON. A text without commas may do without its quotes, and
            the only argument of a rule may hold whatever it likes.
        find: what makes a rule, by its name; `seqil.runs.plugins.rule` also finds those of others.
        reader: the task or the tokenizer, for what takes it as `reader`, by keyword alone.

    Raises:
        InvalidInputError: there is no rule of this name, or it takes other arguments.
    """
    check_kind("parse", "rule", text, str)
    name, equals, values = text.partition("=")
    make = find(name)
    known, texts = inspect.signature(make), _takes_text(make)
    asks = "reader" in known.parameters and known.parameters["reader"].kind is inspect.Parameter.KEYWORD_ONLY
    try:
        arguments = _read(values, texts, alone=len(_positions(make)) == 1) if equals else []
        bound = known.bind(*arguments, **({"reader": reader} if asks else {}))
    except (ValueError, TypeError, RecursionError):
        wanted = form(name, make)
        numbers = ", with numbers for what is in capitals" if "=" in wanted and not texts else ""
        raise InvalidInputError(f"rule {text!r} is not of the form {wanted}{numbers}") from None
    return make(*bound.args, **bound.kwargs)


def form(name: str, make: Callable[..., Rule]) -> str:
    """How a rule is written on the command line: `contrastive_search=K,ALPHA`."""
    given = [
        parameter.name.upper() + (",…" if parameter.kind is parameter.VAR_POSITIONAL else "")
        for parameter in inspect.signature(make).parameters.values()
        if parameter.kind in (*_POSITIONAL, parameter.VAR_POSITIONAL)
    ]
    return name + ("=" if given else "") + ",".join(given)


def _read(values: str, texts: bool, alone: bool) -> list[Any]:
    if not values:
        raise ValueError
    if texts and alone and not (values[0] == values[-1] == '"'):
        return [values]
    try:
        found: list[Any] = json.loads(f"[{values}]")
    except ValueError:
        return [(_value if texts else number_of)(value) for value in values.split(",")]
    return found


def _value(text: str) -> Any:
    if set(text) & set('[]{}"'):
        raise ValueError
    try:
        return json.loads(text)
    except ValueError:
        return number_of(text) if looks_like_number(text) else text


def _positions(make: Callable[..., Rule]) -> list[inspect.Parameter]:
    """Arguments that are given by place; of any number of them, two."""
    given = inspect.signature(make).parameters.values()
    many = [p for p in given if p.kind is p.VAR_POSITIONAL]
    return [p for p in given if p.kind in _POSITIONAL] + 2 * many


def _takes_text(make: Callable[..., Rule]) -> bool:
    """Whether its first argument may be a text."""
    try:
        hints = get_type_hints(make)
    except (NameError, TypeError, AttributeError):  # imported for type checkers only, or no annotation at all
        return False
    expected = hints.get(_positions(make)[0].name) if _positions(make) else None
    return str in (expected, *get_args(expected))
