"""Rows, devices and values of steps that a user gives, checked before torch indexes by them or copies to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from . import InvalidInputError
from .arguments import on_one_line


def is_whole(found: Tensor) -> bool:
    """Whether it is a tensor of integers; bools are none."""
    return not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)


_CELLS: dict[str, tuple[str, int, Callable[[Tensor], bool]]] = {
    "actions": ("int64", 2, is_whole),
    "prompts": ("int64", 2, is_whole),
    "lengths": ("int64", 1, is_whole),
    "imitate": ("bool", 2, lambda found: found.dtype == torch.bool),
    "ended": ("bool", 1, lambda found: found.dtype == torch.bool),
    "log_prob": ("float32", 2, Tensor.is_floating_point),
    "labels": ("int64", 2, is_whole),
}
"""Of trajectories: what a field holds, and its dimensions."""


def whole_of(where: str, name: str, given: Any) -> Tensor:
    """Integers of any shape, as int64.

    Raises:
        InvalidInputError: anything else.
    """
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(1)
    if found.numel() and not is_whole(found):
        raise InvalidInputError(f"{where}: {name}={on_one_line(given, 60)} are no integers; give int64")
    return found.long()


def check_inside(where: str, name: str, values: Tensor, size: int) -> None:
    """Refuse integers that do not lie in 0 … size - 1; not on CUDA, where the host would have to wait."""
    wrong = (values < 0) | (values >= size)
    if not values.is_cuda and wrong.any():
        found = int(values[wrong].flatten()[0])
        raise InvalidInputError(f"{where}: {name} hold {found}; they go from 0 to {size - 1}")


def check_cells(where: str, fields: Mapping[str, Any], size: int) -> None:
    """Refuse fields of trajectories of another kind or shape; ids and lengths out of range, but on CUDA."""
    shape: Any = getattr(fields["actions"], "shape", ())
    for name, (kind, dims, fits) in _CELLS.items():
        found: Any = fields.get(name)
        if found is None and name in ("log_prob", "labels"):
            continue
        asked = 1 if name == "prompts" else dims
        sound = isinstance(found, Tensor) and found.dim() == dims and fits(found)
        if not sound or found.shape[:asked] != shape[:asked]:
            shown = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else on_one_line(found, 60)
            columns = ", columns" * (dims - 1)
            raise InvalidInputError(
                f"{where}: {name} is {shown}; it must be {kind} [rows{columns}], as the actions are"
            )
    for name in ("prompts", "actions", "labels"):
        if fields.get(name) is not None:
            check_inside(where, name, fields[name], size + 1)
    check_inside(where, "lengths", fields["lengths"], shape[1] + 1)


def rows_of(where: str, rows: Any, count: int) -> Tensor | slice:
    """Which of `count` rows are meant: a slice as it is, a list of numbers or a bool per row as a tensor [n].

    Raises:
        InvalidInputError: anything else, and a row that there is not.
    """
    if isinstance(rows, slice):
        return rows
    try:
        found = torch.as_tensor(rows)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(())
    found = found.long() if found.numel() == 0 and found.dim() else found  # a list of nothing is one of floats
    if found.dim() != 1 or found.is_floating_point() or found.is_complex():
        raise InvalidInputError(
            f"{where}: rows={on_one_line(rows, 60)} is not a slice, a list of row numbers, or a bool for each of "
            f"{count} rows"
        )
    if found.dtype == torch.bool and len(found) != count:
        raise InvalidInputError(f"{where}: a bool for each row, {len(found)} of them for {count} rows")
    if found.dtype != torch.bool:
        found = found.long()
        wrong = (found < -count) | (found >= count)
        if not found.is_cuda and wrong.any():  # there the host would have to wait for the answer
            known = f"rows go from 0 to {count - 1}" if count else "there are no rows"
            raise InvalidInputError(f"{where}: there is no row {int(found[wrong][0])}; {known}")
    return found


def counts_of(where: str, name: str, counts: Any, most: Tensor) -> Tensor:
    """Int64 [K], one for each of `most` (int64 [K]), none above it.

    Raises:
        InvalidInputError: another shape or kind, a negative one, or more than there are.
    """
    try:
        found = torch.as_tensor(counts, device=most.device)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(())
    if found.shape != most.shape or (found.numel() and not is_whole(found)):
        rows = f"{len(most)} whole numbers, one for each row"
        raise InvalidInputError(f"{where}: {name}={on_one_line(counts, 60)} is not a list of {rows}")
    found = found.long()
    wrong = (found < 0) | (found > most)
    if wrong.any():
        at = int(wrong.nonzero()[0])
        raise InvalidInputError(f"{where}: {name} {int(found[at])} of row {at} does not lie in 0..{int(most[at])}")
    return found


def device_of(where: str, device: Any) -> torch.device:
    """A device that torch knows and can use here.

    Raises:
        InvalidInputError: another name, another kind of thing, or CUDA where there is none.
    """
    try:
        found = torch.device(device)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInputError(
            f"{where}: device={on_one_line(device, 60)} is not a device; give 'cpu' or 'cuda'"
        ) from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError(f"{where}: device={device}: torch finds no CUDA here; give 'cpu'")
    return found


def per_step(name: str, values: Tensor | Sequence[Sequence[float]], actions: Tensor) -> Tensor:
    """A copy of `values`, one for each of the actions."""
    try:
        cells = torch.as_tensor(values, device=actions.device).clone()
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInputError(f"{name} must be a tensor, or lists as long as {actions.shape[1]} actions") from None
    if cells.shape != actions.shape:
        raise InvalidInputError(f"{name} has shape {tuple(cells.shape)}; it must be {tuple(actions.shape)}")
    return cells


def marks_of(cells: Tensor) -> Tensor:
    """What counts, bool; weights between 0 and 1 would be lost."""
    if cells.dtype != torch.bool and not bool(((cells == 0) | (cells == 1)).all()):
        raise InvalidInputError("imitate says of each step whether it counts; give True or False, not a weight")
    return cells.bool()
