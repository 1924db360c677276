"""What lies beside a model in its folder: a tokenizer belongs to it, and no other vocabulary does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "spiece.model", "tokenizer.model")


def has_tokenizer(folder: str | Path) -> bool:
    """Whether a tokenizer lies there."""
    return any((Path(folder) / name).exists() for name in _TOKENIZER)


def with_tokenizer(options: Mapping[str, Any], known: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """Options of a task that knows `tokenizer` and was given none: that of the model, if it has one."""
    own = "tokenizer" in known and options.get("tokenizer") is None and model is not None and has_tokenizer(model)
    return {**options, "tokenizer": model} if own else dict(options)


def refuse_other_vocabulary(folder: str | Path, size: int) -> None:
    """Refuse ids that mean something else to the model of a folder.

    Raises:
        InvalidInputError: naming both sizes.
    """
    if not has_tokenizer(folder):
        return
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception:  # of no known kind: the head will tell
        return
    own = max(tokenizer.get_vocab().values()) + 1
    if own - size not in (0, 1):  # with a backspace, or without
        raise InvalidInputError(
            f"the tokenizer in {str(folder)!r} has {own} ids, the task a vocabulary of {size}: the model "
            "would read other tokens than were written; give the task the tokenizer of the model"
        )
