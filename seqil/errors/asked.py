"""What sampling, policies of whole texts and chains on them are asked for, refused by name where it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import InvalidInputError
from .arguments import on_one_line
from .indices import check_inside, whole_of


def key_generator(where: str, generator: torch.Generator | None) -> torch.Generator:
    """The generator that is given; None: a fresh one of a fixed seed, for torch's own is nobody's argument.

    Raises:
        InvalidInputError: one that is not on the CPU.
    """
    if generator is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(generator, torch.Generator):
        raise InvalidInputError(f"{where}: generator={on_one_line(generator, 60)} is not a torch.Generator")
    if generator.device.type != "cpu":
        raise InvalidInputError(f"{where}: the generator is on {generator.device}; give torch.Generator(), on the CPU")
    return generator


def check_rules(where: str, rules: Any) -> None:
    """Refuse what is no list of decoding rules.

    Raises:
        InvalidInputError: something else, or a list with something else in it.
    """
    listed = isinstance(rules, Sequence) and not isinstance(rules, str)
    wrong = [rule for rule in rules if not hasattr(rule, "begin") or isinstance(rule, type)] if listed else [rules]
    if wrong:
        shown = on_one_line(wrong[0], 60)
        raise InvalidInputError(f"{where}: {shown} is no rule; give a list of them, [decoding.top_k(5)] say")


def mask_of(where: str, masked: Any, rows: int, cells: int) -> Tensor:
    """Bool [B, W].

    Raises:
        InvalidInputError: another kind or shape.
    """
    if not isinstance(masked, Tensor) or masked.dtype != torch.bool or masked.shape != (rows, cells):
        of = f"{masked.dtype} {tuple(masked.shape)}" if isinstance(masked, Tensor) else on_one_line(masked, 60)
        raise InvalidInputError(f"{where}: masked is bool [{rows}, {cells}], a mark for each cell of a text; got {of}")
    return masked


def tags_of(where: str, tags: Any, like: Tensor, known: tuple[str, ...]) -> Tensor:
    """A place in the known tags for each row, int64 as `like`; None: the first.

    Raises:
        InvalidInputError: no whole numbers, another number of them than rows, or (but on CUDA) a place of no tag.
    """
    if tags is None:
        return torch.zeros_like(like)
    found = whole_of(where, "tags", tags).to(like.device)
    if found.shape != like.shape:
        raise InvalidInputError(f"{where}: tags have shape {tuple(found.shape)}; give one for each of {len(like)} rows")
    check_inside(where, f"tags ({', '.join(known)})", found, len(known))
    return found


def scores_of(scores: Any, texts: int) -> Tensor:
    """What a scorer of the user's own returned: float [K], without NaN.

    Raises:
        InvalidInputError: anything else.
    """
    try:
        found = torch.as_tensor(scores)
    except (TypeError, ValueError, RuntimeError):
        found = torch.empty(())
    if found.shape != (texts,) or found.is_complex():
        got = tuple(found.shape) if isinstance(scores, Tensor) else on_one_line(scores, 60)
        raise InvalidInputError(f"the scorer returned {got}; return a tensor of a number for each of {texts} texts")
    if found.is_floating_point() and bool(found.isnan().any()):
        raise InvalidInputError("the scorer returned NaN; return a number for each text, -inf for one that is out")
    return found
