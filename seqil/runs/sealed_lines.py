"""JSON objects, one a line, each with the SHA-256 of its own bytes at its end: a line that was changed is known."""

from __future__ import annotations

import hashlib
import re

_SEAL = re.compile(rb'(.*), "sha256": "([0-9a-f]{64})"\}\s*', re.DOTALL)


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
