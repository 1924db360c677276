"""What is asked of a task: splits by the hash of an item, and options within their range."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from seqil.errors import InvalidInputError

SPLITS = {"train": range(0, 90), "valid": range(90, 95), "test": range(95, 100)}


def split_of(task: str, item: str) -> str:
    """The split that an item belongs to: sha256 of task and canonical item, modulo 100 (90 train, 5 valid, 5 test)."""
    bucket = int.from_bytes(hashlib.sha256(f"{task}\n{item}".encode()).digest(), "big") % 100
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def check_request(n: int, split: str) -> None:
    """Refuse a split that does not exist, and fewer items than one."""
    if not isinstance(split, str) or split not in SPLITS:
        raise InvalidInputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if n < 1:
        raise InvalidInputError(f"{n} items were asked for; ask for at least one")


def check_range(task: str, low: float, high: float = math.inf, **options: float) -> None:
    """Refuse an option that is not in `low … high`."""
    for name, value in options.items():
        if not low <= value <= high:
            bounds = f"at least {low}" if high == math.inf else f"in {low}..{high}"
            raise InvalidInputError(f"{task}: {name}={value} must be {bounds}")


def foreign_prompt(task: str, prompt: Sequence[int], what: str) -> InvalidInputError:
    """The error for a prompt that is not what the prompts of a task are."""
    return InvalidInputError(f"{task}: prompt {list(prompt)} is not {what}")
