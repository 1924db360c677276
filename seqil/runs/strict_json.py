"""Strict JSON of values that JSON has no word for: infinity, minus infinity and NaN.

Such a float becomes the object `{"float": "inf"}` (`"-inf"`, `"nan"`), which every reader of JSON takes and no text of
a record can be mistaken for; `loads` makes it a float again. An object on a line of its own may bear the SHA-256 of its
bytes at its end, so that a line that was changed is known.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, NoReturn

from ..errors import InvalidInputError

_SEAL = re.compile(rb'(.*), "sha256": "([0-9a-f]{64})"\}\s*', re.DOTALL)
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


def bears_seal(line: bytes) -> bool:
    """Whether a line has a sum at its end, right or wrong."""
    return _SEAL.fullmatch(line) is not None


def sealed(text: str) -> str:
    """The text of a JSON object with the sum of its bytes as one more field, `sha256`, the last."""
    return f'{text[:-1]}, "sha256": "{hashlib.sha256(text.encode()).hexdigest()}"}}'


def unsealed(line: bytes) -> bytes | None:
    """The text that was sealed, or as it is where it bears no sum; None: it is not what was sealed."""
    found = _SEAL.fullmatch(line)
    if found is None:
        return line
    text = found[1] + b"}"
    return text if hashlib.sha256(text).hexdigest().encode() == found[2] else None
