"""Arguments of what is public, checked against their annotations where a user calls.

Only what everybody gets wrong is looked at: numbers, switches and texts, a generator, a policy and a vocabulary. An
integer is whatever has `__index__`, numpy's and torch's among them; a float is what has `__float__`; a bool is neither,
and of arrays and tensors those of one number are one. Integers beyond 64 bits are refused, but for seeds.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import os
import re
import sys
import types
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import torch

from . import InvalidInputError, counted
from . import on_one_line as on_one_line

F = TypeVar("F", bound=Callable[..., Any])


def _has(method: str) -> Callable[[Any], bool]:
    return lambda value: hasattr(type(value), method) and not isinstance(value, bool | str | bytes)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("an int", lambda value: _has("__index__")(value) and _single(value, "iu")),
    float: ("a float", lambda value: _has("__float__")(value) and _single(value, "iuf")),
    bool: ("a bool", lambda value: isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")),
    str: ("a str", _is(str)),
    type(None): ("None", _is(type(None))),
    Path: ("a path", lambda value: isinstance(value, str | os.PathLike)),
    torch.Generator: ("a torch.Generator", _is(torch.Generator)),
}


_OF_OURS = ("policy", "vocabulary")
_CLASSES = ("Agent", "Noise", "Prefixes", "Ranks", "Sampling", "Trajectories")
"""Of ours, too: nothing else stands in for them."""


def _single(value: Any, kinds: str) -> bool:
    """Arrays and tensors have `__index__` and `__float__` whatever they hold: here one number, of numpy's kinds."""
    if isinstance(value, torch.Tensor):
        kind = "f" if value.is_floating_point() else "c" if value.is_complex() or value.dtype == torch.bool else "i"
        return value.numel() == 1 and kind in kinds
    return not hasattr(value, "dtype") or (
        getattr(value, "ndim", 0) == 0 and getattr(value.dtype, "kind", "f") in kinds
    )


def typed(function: F, functions: bool = False) -> F:
    """Refuse arguments of another kind than their annotations, by name.

    Args:
        function: that is called then.
        functions: whether arguments that are annotated as functions are looked at, too.

    Raises:
        InvalidInputError: when called, `max_length='3' is not an int`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which says what is missing
        known = _checks(function, functions)
        for name, value in given.arguments.items():
            if name in known:
                _refuse(function, name, value, known[name])
                if isinstance(
                    value, torch.Tensor | np.ndarray | np.generic
                ):  # a number of theirs is taken as one of Python
                    given.arguments[name] = value.item()
                elif name == "vocabulary" and isinstance(value, Mapping):  # its JSON form
                    made = [kind.of(value) for kind in known[name] if hasattr(kind, "of")]
                    given.arguments[name] = made[0] if made else value
        return function(*given.args, **given.kwargs)

    return checked  # type: ignore[return-value]


def check_function(where: str, name: str, value: Any, *arguments: str) -> None:
    """Refuse what is no function of these arguments, before it is called.

    Raises:
        InvalidInputError: `rollout: watch=3 is not a function of row and action`.
    """
    wanted = " and ".join(arguments)
    if not callable(value):
        raise InvalidInputError(f"{where}: {name}={on_one_line(value, 60)} is not a function of {wanted}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # of a builtin, which does not say
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise InvalidInputError(f"{where}: {name} is not a function of {wanted} ({error})") from None


def check_count(where: str, name: str, value: Any, least: int = 0) -> int:
    """A whole number, as one of Python.

    Raises:
        InvalidInputError: `top_k: k=0 must be at least 1`; something else, or a number of more than 64 bits.
    """
    check_kind(where, name, value, int)
    if value < least:
        raise InvalidInputError(f"{where}: {name}={value} must be at least {least}")
    return operator.index(value)


def check_number(where: str, name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds, as one of Python.

    Raises:
        InvalidInputError: `hazard: begin=-1 must lie in [0, 1]`; something else, NaN or infinity.
    """
    check_kind(where, name, value, float)
    if not (low <= value <= high and math.isfinite(value)):
        bounds = f"must lie in [{low:g}, {high:g}]" if math.isfinite(high) else f"must be at least {low:g}, and finite"
        raise InvalidInputError(f"{where}: {name}={value} {bounds if math.isfinite(low) else 'must be finite'}")
    return float(value)


def check_temperature(temperature: float) -> None:
    """Refuse one at which float32 overflows."""
    if temperature != 0 and not 1e-6 <= temperature <= 1e6:
        raise InvalidInputError(f"temperature={temperature} must be 0 (greedy) or lie in [1e-6, 1e6]")


def check_fields(record: Any) -> None:
    """The same of the fields of a dataclass, once they are set."""
    for name, kinds in _checks(cast(Hashable, type(record))).items():
        _refuse(type(record), name, getattr(record, name), kinds)


@functools.cache
def _checks(function: Any, functions: bool = False) -> dict[str, tuple[Any, ...]]:
    """Kinds of the arguments that are looked at."""
    own = inspect.unwrap(function)
    scope = vars(sys.modules.get(own.__module__, types))  # a module of one's own may be registered nowhere
    scope = getattr(own, "__globals__", scope)
    parts = {name: _parts(resolved(hint, scope)) for name, hint in own.__annotations__.items() if name != "return"}
    looked_at = {name: all(_looked_at(kind, functions) for kind in kinds) for name, kinds in parts.items()}
    return {name: kinds for name, kinds in parts.items() if name in _OF_OURS or looked_at[name]}


def _looked_at(kind: Any, functions: bool) -> bool:
    named = kind in _KINDS or getattr(kind, "__name__", "") in (*_CLASSES, "TokenPolicy")
    return named or (functions and get_origin(kind) is Callable)


def _kind(kind: Any) -> tuple[str, Callable[[Any], bool]]:
    if get_origin(kind) is Callable:
        number = len(get_args(kind)[0]) if isinstance(get_args(kind)[0], list) else None
        return f"a function of {'' if number is None else counted(number, 'argument')}", partial(_takes, number)
    return _KINDS[kind] if kind in _KINDS else (f"a seqil.{kind.__name__}", _is(kind))


def resolved(hint: Any, scope: dict[str, Any]) -> Any:
    """What an annotation says; nothing where its names are imported for type checkers only."""
    try:
        return get_type_hints(types.SimpleNamespace(__annotations__={"hint": hint}), scope)["hint"]
    except (NameError, TypeError, AttributeError):
        return Any


def _takes(number: int | None, value: Any) -> bool:
    try:
        if callable(value) and number is not None:
            inspect.signature(value).bind(*range(number))
    except TypeError:
        return False
    except ValueError:  # of a builtin, which does not say
        return True
    return callable(value)


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _refuse(where: Any, name: str, value: Any, kinds: tuple[Any, ...]) -> None:
    place = where.__qualname__.removesuffix(".__init__")
    named = [getattr(kind, "__name__", "") for kind in kinds if kind is not type(None)]
    if value is None and type(None) in kinds:
        return
    if name == "policy" or named == ["TokenPolicy"]:
        if any(getattr(kind, "_is_protocol", False) for kind in kinds):
            return  # what it lacks is said where it is used
        walks = hasattr(value, "vocabulary") and (named != ["TokenPolicy"] or hasattr(value, "log_probs"))
        if not walks and not isinstance(value, torch.nn.Module):  # which are refused by name
            raise InvalidInputError(f"{place}: {name}={on_one_line(value, 60)} is not a TokenPolicy")
        if not hasattr(value, "vocabulary") and hasattr(value, "get_output_embeddings"):
            name = type(value).__name__
            raise InvalidInputError(
                f"{place}: {name} is a model and no policy yet; give TokenPolicy(model, vocabulary)"
            )
        if named == ["TokenPolicy"] and not getattr(value, "autoregressive", True):
            raise InvalidInputError(
                f"{place}: {type(value).__name__} writes whole texts, and here one goes by the law of the next "
                "token, which this policy has not; give a TokenPolicy, or draw by policy.write(prompts, max_length=…)"
            )
    elif name == "vocabulary":
        bases = [base.__name__ for base in type(value).__mro__]
        if "Vocabulary" not in bases and not isinstance(value, Mapping):
            task = "task" in inspect.signature(where).parameters
            rest = f"; give its .vocabulary{', or task=…' * task}" if hasattr(value, "vocabulary") else ""
            raise InvalidInputError(f"{place}: vocabulary={on_one_line(value, 60)} is not a Vocabulary{rest}")
    else:
        check_kind(place, name, value, *kinds)


def check_kind(place: str, name: str, value: Any, *kinds: Any) -> None:
    """Refuse an argument that is of none of these kinds, as `typed` does.

    Raises:
        InvalidInputError: `rollout: max_length='3' is not an int`; an integer of more than 64 bits.
    """
    if not any(_kind(kind)[1](value) for kind in kinds):
        said = " or ".join(_kind(kind)[0] for kind in kinds)
        fraction = isinstance(value, float) and math.isfinite(value) and int in kinds and not value.is_integer()
        what = "is not a whole number" if fraction else f"is not {said}"
        raise InvalidInputError(f"{place}: {name}={on_one_line(value, 80)} {what}")
    if isinstance(value, int) and value.bit_length() > (63 if int in kinds and name != "seed" else 1000):
        raise InvalidInputError(f"{place}: {name}={on_one_line(value, 40)} is beyond 64 bits; lower it")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def looks_like_number(text: str) -> bool:
    """Whether a text is a number in digits, such as `.6`, `+5` or `1e-3`; `nan` may be a word."""
    return _NUMBER.fullmatch(text) is not None


def number_of(text: str) -> int | float:
    """A number as Python reads it, `.6` and `1_000` among them.

    Raises:
        ValueError: it is none.
    """
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"{text:.40} is beyond what a number holds")
    return number
