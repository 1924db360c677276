"""Arguments of what is public, checked against their annotations where a user calls.

Looked at are numbers, switches and texts, arrays, tensors and lists of numbers, functions, a generator, a policy, a
vocabulary and other records of ours. An integer is whatever has `__index__`, numpy's and torch's among them; a float is
what has `__float__`; a bool is neither, and of arrays and tensors those of one number are one. Integers beyond 64 bits
are refused, but for seeds.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast, get_args, get_origin

import torch

from . import InvalidInputError, SeqilError, first_line
from . import on_one_line as on_one_line
from .kinds import array_of, described, is_array, is_number, looked_at, single
from .kinds import resolved as resolved

F = TypeVar("F", bound=Callable[..., Any])


def typed(function: F, wide: bool = False) -> F:
    """Refuse arguments of another kind than their annotations, by name.

    Args:
        function: that is called then.
        wide: whether arrays, which lists of numbers are made, tensors, functions and tasks are looked at, too; not of
            those that say better themselves what they take.

    Raises:
        InvalidInputError: when called, `max_length='3' is not an int`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which says what is missing
        known = looked_at(function, wide)
        for name, value in given.arguments.items():
            if name in known:
                _refuse(function, name, value, known[name])
                of_torch = isinstance(value, torch.Tensor)
                if value is not None and any(is_array(kind) for kind in known[name]):
                    if not (of_torch and torch.Tensor in known[name]):
                        given.arguments[name] = array_of(value)
                elif is_number(known[name]) and hasattr(value, "dtype") and single(value, "biuf"):
                    if not (of_torch and value.requires_grad):
                        with suppress(RuntimeError):  # under vmap it is many
                            given.arguments[name] = value.item()  # a number of theirs is taken as one of Python
                elif name == "vocabulary" and isinstance(value, Mapping):  # its JSON form
                    made = [kind.of(value) for kind in known[name] if hasattr(kind, "of")]
                    given.arguments[name] = made[0] if made else value
        return function(*given.args, **given.kwargs)

    return checked  # type: ignore[return-value]


def typed_widely(function: F) -> F:
    """`typed`, of arrays, tensors, functions and tasks, too."""
    return typed(function, wide=True)


def of_arrays(function: F) -> F:
    """`typed_widely`, of a function of arrays that calls none of the caller's; what does not fit is refused, too.

    Raises:
        InvalidInputError: when called, numpy or torch complain, `f: p [2] and q [3] do not go together: …`.
    """
    signature, checks = inspect.signature(function), typed_widely(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        try:
            return checks(*args, **kwargs)
        except SeqilError:
            raise
        except (ArithmeticError, IndexError, TypeError, ValueError, RuntimeError) as error:
            other = isinstance(error, RuntimeError) and type(error) is not RuntimeError  # no depth left, say
            if other or _OF_THE_MACHINE.search(str(error)):
                raise
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError:
                raise error from None
            shown = ", ".join(f"{name}{_shown(value)}" for name, value in given.items() if value is not None)
            wrong = "cannot be used" if len(given) == 1 else "do not go together"
            raise InvalidInputError(f"{function.__qualname__}: {shown} {wrong}: {first_line(error)}") from error

    return checked  # type: ignore[return-value]


_OF_THE_MACHINE = re.compile("alloc|memory|CUDA")


def _shown(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"={on_one_line(value, 60)}" if shape is None else f" {[*shape]}"


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


def check_switch(where: str, name: str, value: Any) -> None:
    """Refuse what is no bool: an array may be neither true nor false."""
    if value is not True and value is not False:
        check_kind(where, name, value, bool)


def check_temperature(temperature: float) -> None:
    """Refuse one at which float32 overflows."""
    if temperature != 0 and not 1e-6 <= temperature <= 1e6:
        raise InvalidInputError(f"temperature={temperature} must be 0 (greedy) or lie in [1e-6, 1e6]")


def check_fields(record: Any, wide: bool = False) -> None:
    """The same of the fields of a dataclass, once they are set."""
    for name, kinds in looked_at(cast(Hashable, type(record)), wide).items():
        if hasattr(record, name):  # a field may be set later
            _refuse(type(record), name, getattr(record, name), kinds)


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
    if not any(described(kind)[1](value) for kind in kinds):
        if all(is_array(kind) or (get_origin(kind) is Sequence and get_args(kind)[0] is float) for kind in kinds):
            raise InvalidInputError(f"{place}: {name}={on_one_line(value, 80)} are no numbers; give [0.5, 1.0], say")
        said = " or ".join(described(kind)[0] for kind in kinds)
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
