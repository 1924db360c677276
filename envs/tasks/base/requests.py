"""What is asked of a task: splits by the hash of an item, and options within their range."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import accumulate

from seqil.errors import InvalidInputError, check_known
from seqil.mdp.task import SPLITS

_SHARES = (90, 5, 5)  # of a hundred items, by split


def split_of(task: str, item: str) -> str:
    """The split that an item belongs to: sha256 of task and canonical item, modulo 100 (90 train, 5 valid, 5 test)."""
    bucket = int.from_bytes(hashlib.sha256(f"{task}\n{item}".encode()).digest(), "big") % 100
    return next(name for name, end in zip(SPLITS, accumulate(_SHARES), strict=True) if bucket < end)


def check_request(n: int, split: str) -> None:
    """Refuse a split that does not exist, and fewer items than one."""
    check_known("split", split, SPLITS)
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
