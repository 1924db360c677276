"""What is written beside a model of how plain `generate` of transformers writes by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_SAMPLING = ("temperature", "top_k", "top_p", "min_p")


@contextmanager
def written_plainly(model: Any, eos: int, beyond: Sequence[int]) -> Iterator[None]:
    """Inside, the generation config of a model is one of which plain `generate` and `seqil.generate` write alike.

    That of its past may hold beams, penalties, forced or forbidden tokens, other ends and lengths: each would write
    something else than the policy, or be refused. Of it the ids of start and padding stay, and how it samples:
    `do_sample` with temperature, top_k, top_p and min_p, which both honour. Nor does its config name code (`auto_map`)
    that is not written with it. Afterwards the model has its own again.

    Args:
        model: of transformers.
        eos: the end of a text, the only one.
        beyond: rows of the head that are no tokens; they are suppressed.
    """
    own, said = getattr(model, "generation_config", None), vars(model.config)
    code = {} if getattr(model, "_auto_class", None) else {"auto_map": said.pop("auto_map", None)}
    if own is not None:
        model.generation_config = _plain(own, eos, beyond)
    try:
        yield
    finally:
        said.update({name: value for name, value in code.items() if value is not None})
        if own is not None:
            model.generation_config = own


def _plain(own: Any, eos: int, beyond: Sequence[int]) -> Any:
    given = ((name, getattr(own, name, None)) for name in ("bos_token_id", "pad_token_id"))
    ids: dict[str, Any] = {name: value for name, value in given if isinstance(value, int)}
    ids |= {"eos_token_id": eos, "suppress_tokens": sorted(beyond) or None}
    sampling = {"do_sample": True, **{name: getattr(own, name, None) for name in _SAMPLING}}
    try:
        if own.do_sample is True and (own.temperature is None or 0 < own.temperature < math.inf):
            made = type(own)(**ids, **sampling)
            made.validate(strict=True)
            return made
    except (ValueError, TypeError):  # with what transformers does not save either, it is of no use
        pass
    return type(own)(**ids)
