"""Adapters of `peft` on the layers of a model, and wrappers that hide a model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, InvalidInputError, MissingExtraError, UnsupportedModelError, first_line

SETTINGS = "adapter_config.json"
_BASE = "base"
MERGED = "has_merged_adapters"
"""Attribute of a model whose weights are no longer those of the folder that it came from."""


def bare(model: Any) -> tuple[nn.Module, Any]:
    """The causal language model inside, its adapters among its modules, and the `PeftModel` around it, or None.

    Raises:
        UnsupportedModelError: adapters that are no modules of its layers, or a wrapper that works through `forward`
            alone, which a policy does not call.
    """
    if hasattr(model, "get_base_model") and hasattr(model, "peft_config"):
        for config in model.peft_config.values():
            if getattr(config, "is_prompt_learning", False) or getattr(config, "modules_to_save", None):
                raise UnsupportedModelError(
                    f"adapters of type {config.peft_type}, or with modules_to_save, "
                    "are not ones inside the layers of a model; use LoRA on its linear layers"
                )
        return model.get_base_model(), model
    if hasattr(model, "_orig_mod") or isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise UnsupportedModelError(
            f"{type(model).__name__} works through the forward of the model that it wraps, which a policy does not "
            "call; compile the loss of the agent instead, and for several devices give Training ranks"
        )
    return model, None


def with_lora(model: nn.Module, rank: int) -> nn.Module:
    """Low-rank adapters on every linear layer but the head (Hu et al. 2022); all else is frozen.

    Raises:
        MissingExtraError: `peft` is not installed.
        InvalidInputError: a rank below 1.
    """
    if rank < 1:
        raise InvalidInputError(f"lora={rank}: a rank is at least 1")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise MissingExtraError("LoRA needs peft; pip install -e '.[peft]'") from None
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with _without_its_question():
        adapted: nn.Module = get_peft_model(model, config)
    return adapted


@contextmanager
def _without_its_question() -> Iterator[None]:
    """peft asks every model for a property that transformers has renamed, which then warns the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        yield


def save(adapted: Any, folder: Path) -> None:
    """Write adapters, and their base model too where it lies in no folder of its own, as it is now."""
    base = Path(str(adapted.get_base_model().name_or_path or "."))
    config = adapted.peft_config[adapted.active_adapter]
    merged = getattr(adapted.get_base_model(), MERGED, False)
    if merged or not base.is_absolute() or not (base / "config.json").exists():
        with torch.random.fork_rng(devices=[]):
            copy.deepcopy(adapted).unload().save_pretrained(folder / _BASE)
        config.base_model_name_or_path = _BASE
    else:
        config.base_model_name_or_path = str(base)
    adapted.save_pretrained(folder, save_embedding_layers=False)


def base_of(folder: Path) -> Path:
    """Where the base model of saved adapters lies."""
    import json

    named = Path(str(json.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("base_model_name_or_path")))
    return named if named.is_absolute() else folder / named


def load(base: nn.Module, folder: Path) -> nn.Module:
    """The base model with the adapters of a folder, to be trained further."""
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingExtraError(f"{folder} holds adapters, which need peft; pip install -e '.[peft]'") from None
    try:
        with torch.random.fork_rng(devices=[]), _without_its_question():
            adapted: nn.Module = PeftModel.from_pretrained(base, str(folder), is_trainable=True)
    except Exception as error:  # whatever a file may hold breaks peft anywhere
        raise CheckpointError(f"the adapters in {folder} cannot be loaded: {first_line(error)}") from None
    return adapted
