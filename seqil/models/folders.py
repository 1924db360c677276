"""What lies beside a model in its folder: a tokenizer belongs to it, and no other vocabulary does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
TOKENIZER = (*VOCABULARIES, "tokenizer_config.json")


def has_tokenizer(folder: str | Path) -> bool:
    """Whether a tokenizer lies there."""
    return any((Path(folder) / name).exists() for name in TOKENIZER)


def with_tokenizer(options: Mapping[str, Any], known: Mapping[str, Any], model: str | None) -> dict[str, Any]:
    """Options of a task that knows `tokenizer` and was given none: that of the model, if it has one."""
    if "tokenizer" not in known or options.get("tokenizer") is not None or model is None:
        return dict(options)
    if not Path(model).exists():
        raise CheckpointError(
            f"model {model!r} is not there, and nothing is downloaded; put it back, or begin with another folder"
        )
    return {**options, "tokenizer": model} if has_tokenizer(model) else dict(options)
