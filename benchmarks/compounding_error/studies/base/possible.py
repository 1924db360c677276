"""What of a study cannot be run, or would be run in vain: said before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os.path import exists

from seqil.errors import InvalidInputError
from seqil.mdp.memory import PREFIX, Memory

from ...running.cells import Cell, task_of
from ...running.measurement import rules_of
from ...study import Study


def lacking(study: Study) -> list[str]:
    """What places need and is not here, a line for each, with what makes it."""
    needs = {place.name: place.needs for place in study.places if place.needs}
    return [f"{name} needs {file}, which is not here; {how}" for name, (file, how) in needs.items() if not exists(file)]


def refuse_twins(cells: Sequence[Cell]) -> None:
    """Refuse arms that would be the same run, which says nothing of either.

    Raises:
        InvalidInputError: naming both.
    """
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(f"{cell.key} {cell.seed}", cell)
        if twin is not cell:
            raise InvalidInputError(
                f"{twin.arm.name!r} on {twin.place.name} and {cell.arm.name!r} on {cell.place.name} are one run, to "
                "the bit; leave one out, or let them differ in a setting"
            )


def refuse_impossible(cells: Sequence[Cell]) -> None:
    """Refuse what a cell would only say once it is trained: rules that there are not, or not for its task.

    Raises:
        InvalidInputError: naming the cell and the decoding.
    """
    for cell in (one for one in cells if one.seed == 0):
        settings = cell.settings
        if Memory.of(settings.model.memory) is not PREFIX and not settings.model.backspace:
            raise InvalidInputError(f"{cell}: memory={settings.model.memory!r} would do nothing without a backspace")
        for how in cell.arm.ways(cell.place):
            try:
                for rules in ((), *how.candidates):
                    rules_of(task_of(settings), replace(how, rules=(*rules, *how.rules)))
            except InvalidInputError as error:
                raise InvalidInputError(f"{cell.arm.name!r} on {cell.place.name}, {how.name!r}: {error}") from None
