"""Lengths of texts, budgets of actions, and what this machine can hold: estimated first, refused with the estimate."""

from __future__ import annotations

import os

from . import InvalidInputError, counted


def check_lengths(max_length: int, min_length: int) -> None:
    """Refuse length limits that no sequence can meet."""
    if max_length < 1:
        raise InvalidInputError(f"max_length={max_length}: at least one token must be allowed")
    if not 0 <= min_length <= max_length:
        raise InvalidInputError(f"min_length={min_length} must lie in 0..max_length={max_length}")


def within_budget(max_actions: int | None, max_length: int) -> int:
    """The most actions of a text: what was asked for; where nothing was, `4 * max_length`."""
    if max_actions is None:
        return 4 * max_length
    if max_actions < 1:
        raise InvalidInputError(f"max_actions={max_actions}: allow at least one action")
    return max_actions


def check_budget(max_actions: int, needed: int, why: str) -> None:
    """Refuse a budget within which no text can be ended.

    Args:
        max_actions: the budget.
        needed: fewest actions of a text.
        why: what takes them.

    Raises:
        InvalidInputError: `max_actions=3 ends before any text can: min_length=8 and its eos takes 9 actions; allow
            more`.
    """
    if max_actions < needed:
        raise InvalidInputError(
            f"max_actions={max_actions} ends before any text can: {why} takes {counted(needed, 'action')}; allow more"
        )


def check_room(max_actions: int, min_length: int) -> None:
    """Refuse a budget that ends before a text of `min_length` tokens and its `eos` can.

    Raises:
        InvalidInputError: as of `check_budget`.
    """
    check_budget(max_actions, min_length + 1, f"min_length={min_length} and its eos")


_MOST_READINGS = 10**8


def check_readings(number: int, what: str, remedy: str) -> None:
    """Refuse what asks a policy more often than days allow.

    Raises:
        InvalidInputError: `1,000,000,000 sweeps are 4,000,000,000 readings of the policy, …; lower sweeps`.
    """
    if number > _MOST_READINGS:
        raise InvalidInputError(f"{what} would be {number:,} readings of the policy, more than days allow; {remedy}")


def check_memory(needed: float, what: str, remedy: str) -> None:
    """Refuse what takes more bytes than this machine has.

    Args:
        needed: bytes.
        what: takes them, for the message.
        remedy: what to lower.

    Raises:
        InvalidInputError: `a rollout of 1,000,000 actions would take 200 GiB, this machine has 8; lower max_actions`.
    """
    present = present_memory()
    if needed > present:
        raise InvalidInputError(
            f"{what} would take {needed / 2**30:,.0f} GiB, this machine has {present / 2**30:,.0f}; {remedy}"
        )


def present_memory() -> int:
    """Bytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
