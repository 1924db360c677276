"""Strict JSON of values that JSON has no word for: infinity, minus infinity and NaN.

Such a float becomes the object `{"float": "inf"}` (`"-inf"`, `"nan"`), which every reader of JSON takes and no text of
a record can be mistaken for; `loads` makes it a float again.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from ..errors import InvalidInputError

_KEY, _NAMES = "float", ("inf", "-inf", "nan")


def dumps(value: Any, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """JSON text of nested dicts, lists and plain values; numpy's arrays and numbers become lists and numbers.

    Raises:
        InvalidInputError: an object that is itself of the form above, which could not be told apart.
        TypeError: a value that is neither.
    """
    return json.dumps(_encoded(value), allow_nan=False, indent=indent, sort_keys=sort_keys)


def loads(text: str | bytes) -> Any:
    """What `dumps` wrote.

    Raises:
        json.JSONDecodeError: text that is not strict JSON; the bare words NaN and Infinity are not.
    """
    return json.loads(text, object_hook=_decoded, parse_constant=_refuse)


def _encoded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_KEY: str(float(value))}
    if isinstance(value, dict):
        if _is_float(value):
            raise InvalidInputError(f"{value} would be read as a number; name its key otherwise")
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if hasattr(value, "tolist"):
        return _encoded(value.tolist())
    return value


def _decoded(item: dict[str, Any]) -> Any:
    return float(item[_KEY]) if _is_float(item) else item


def _is_float(item: dict[str, Any]) -> bool:
    return len(item) == 1 and item.get(_KEY) in _NAMES


def _refuse(word: str) -> NoReturn:
    raise json.JSONDecodeError(f"{word} is no JSON", word, 0)
