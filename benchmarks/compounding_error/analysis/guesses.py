"""Guess and check: what a share of right first guesses and a chance of detection make of a text's success.

One number stands for the guess, one for the detector; both are read off the sample whose success they predict.
"""

from __future__ import annotations

import math
from typing import Any

from seqil.errors import InvalidInputError

from ..running.records import Record

TASK = "chain"
"""Where a text holds one guess, and a draft of it always as many tokens."""


def right(first: float, detection: float, memory: str) -> float:
    """Chance that the guess that is left standing is right; a right one is never deleted.

    `Guess.right` of `seqil.theory.closed_forms` is this for K = 1 / `first` equally likely tokens; here K need be no
    whole number.

    Args:
        first: chance that the first guess is right.
        detection: chance that a wrong one is deleted.
        memory: `prefix`, which does not know what was deleted, or another, which does and does not write it again.

    Raises:
        InvalidInputError: a chance outside 0 … 1, or no first guess is right.
    """
    if not (0 < first <= 1 and 0 <= detection <= 1):
        raise InvalidInputError(f"first={first} must lie in (0, 1] and detection={detection} in 0..1")
    if memory == "prefix":
        return first / (1 - detection * (1 - first))
    if detection in (0, 1):
        return first if detection == 0 else 1.0
    return -math.expm1(math.log(detection) / first) * first / (1 - detection)


def predicted(record: Record) -> tuple[float, float] | None:
    """Success as predicted and as measured; None where a record does not hold what that takes."""
    first, detection = _first(record), record["estimates"].get("backspace_recall")
    if first is None or detection is None:
        return None
    told = record["arm"].endswith(", tabu")  # the memory at sampling alone
    memory = "tried" if told else record["settings"].get("memory", "prefix")
    return right(first, float(detection["value"]), memory), float(record["estimates"]["success"]["value"])


def _first(record: Record) -> float | None:
    """Share of texts that are right without a deletion: those of the smallest budget that any text is right in."""
    known: dict[str, Any] | None = record.get("by_budget")
    if record["settings"]["task"] != TASK or not record["settings"].get("backspace", True) or not known:
        return None
    return next((count / known["n"] for count in known["right"] if count), None)
