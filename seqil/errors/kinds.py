"""What annotations of arguments say, and whether a value is of that kind."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch

from . import counted


def _has(method: str) -> Callable[[Any], bool]:
    return lambda value: hasattr(type(value), method) and not isinstance(value, bool | str | bytes)


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


_KINDS: dict[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("an int", lambda value: _has("__index__")(value) and single(value, "iu")),
    float: ("a float", lambda value: _has("__float__")(value) and single(value, "iuf")),
    bool: ("a bool", lambda value: isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")),
    str: ("a str", _is(str)),
    type(None): ("None", _is(type(None))),
    Path: ("a path", lambda value: isinstance(value, str | os.PathLike)),
    torch.Generator: ("a torch.Generator", _is(torch.Generator)),
}


_OF_OURS = ("policy", "vocabulary")
_CLASSES = (
    *("Agent", "Cost", "Edits", "Estimate", "Noise", "Prefixes", "PrefixTable", "PrefixTree", "Ranks"),
    *("Sampling", "Steps", "Trajectories"),
)
"""Of ours, too: nothing else stands in for them."""


def single(value: Any, kinds: str) -> bool:
    """Arrays and tensors have `__index__` and `__float__` whatever they hold: here one number, of numpy's kinds."""
    if isinstance(value, torch.Tensor):
        kind = "f" if value.is_floating_point() else "c" if value.is_complex() or value.dtype == torch.bool else "i"
        return value.numel() == 1 and kind in kinds
    return not hasattr(value, "dtype") or (
        getattr(value, "ndim", 0) == 0 and getattr(value.dtype, "kind", "f") in kinds
    )


@functools.cache
def looked_at(function: Any, wide: bool = False) -> dict[str, tuple[Any, ...]]:
    """Kinds of the arguments that are looked at."""
    own = inspect.unwrap(function)
    scope = vars(sys.modules.get(own.__module__, types))  # a module of one's own may be registered nowhere
    scope = getattr(own, "__globals__", scope)
    parts = {name: parts_of(resolved(hint, scope)) for name, hint in own.__annotations__.items() if name != "return"}
    checked = {name: all(_matters(kind, wide) for kind in kinds) for name, kinds in parts.items()}
    return {name: kinds for name, kinds in parts.items() if name in _OF_OURS or checked[name]}


def _matters(kind: Any, wide: bool) -> bool:
    if kind in _KINDS or _is_ours(kind):
        return True
    if get_origin(kind) is Sequence:  # lists of lists are looked at where they are read
        return wide and all(
            one in (int, float) or is_array(one) or _is_ours(one) for one in parts_of(get_args(kind)[0])
        )
    return wide and (
        kind is torch.Tensor or is_array(kind) or get_origin(kind) is Callable or named(kind) in ("StepValues", "Task")
    )


def _is_ours(kind: Any) -> bool:
    return isinstance(kind, type) and named(kind) in (*_CLASSES, "TokenPolicy")


def named(kind: Any) -> str:
    """The name of a class, else nothing."""
    return getattr(kind, "__name__", "")


def is_array(kind: Any) -> bool:
    """Whether an annotation asks for an array."""
    return kind is np.ndarray or get_origin(kind) is np.ndarray


def is_number(kinds: tuple[Any, ...]) -> bool:
    """Whether annotations ask for a number or a switch."""
    return not {int, float, bool}.isdisjoint(kinds)


def described(kind: Any) -> tuple[str, Callable[[Any], bool]]:
    """What a complaint calls the kind, and the test of a value."""
    if get_origin(kind) is Callable:
        number = len(get_args(kind)[0]) if isinstance(get_args(kind)[0], list) else None
        return f"a function of {'' if number is None else counted(number, 'argument')}", partial(_takes, number)
    if kind is torch.Tensor:
        return "a tensor", _is(torch.Tensor)
    if is_array(kind):
        return "an array of numbers", _numeric
    if get_origin(kind) is Sequence:
        (one,) = get_args(kind)
        if one in (int, float):
            kinds = "iu" if one is int else "biuf"
            return f"a list of {'whole ' * (one is int)}numbers", lambda given: _numeric(given, kinds, 1)
        names, is_one = zip(*map(described, parts_of(one)), strict=True)
        return (
            f"a list, each {' or '.join(names)}",
            lambda given: isinstance(given, Sequence) and all(any(test(value) for test in is_one) for value in given),
        )
    return _KINDS[kind] if kind in _KINDS else (f"a seqil.{kind.__name__}", _is(kind))


def resolved(hint: Any, scope: dict[str, Any]) -> Any:
    """What an annotation says; nothing where its names are imported for type checkers only."""
    try:
        return get_type_hints(types.SimpleNamespace(__annotations__={"hint": hint}), scope)["hint"]
    except (NameError, TypeError, AttributeError):
        return Any


def _numeric(value: Any, kinds: str = "biuf", least: int = 0) -> bool:
    """Whether numpy makes an array of numbers of it; an empty list is one of any kind."""
    if isinstance(value, str | bytes | bool) or value is None:
        return False
    try:
        found = array_of(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return False
    return found.ndim >= least and (found.dtype.kind in kinds or (found.size == 0 and found.dtype.kind == "f"))


def array_of(value: Any) -> np.ndarray:
    """As numpy makes it; of exact numbers, fractions say, float64."""
    found = np.asarray(value)
    exact = found.dtype.kind == "O" and not any(one is None or isinstance(one, str | bytes) for one in found.flat)
    return found.astype(np.float64) if exact else found


def _takes(number: int | None, value: Any) -> bool:
    try:
        if callable(value) and number is not None:
            inspect.signature(value).bind(*range(number))
    except TypeError:
        return False
    except ValueError:  # of a builtin, which does not say
        return True
    return callable(value)


def parts_of(hint: Any) -> tuple[Any, ...]:
    """The kinds of which a value may be one."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
