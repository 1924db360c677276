"""Adapters of `peft` on the layers of a model, and wrappers that hide a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..errors import CheckpointError, InvalidInputError, MissingExtraError, UnsupportedModelError, first_line
from ..errors.tensor_files import naming_tensors
from ..randomness import borrowed
from .silence import silently

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
    with silently():  # of layers that its own patterns miss, those of a mixture of experts say
        adapted: nn.Module = get_peft_model(model, config)
    return adapted


def save(adapted: Any, folder: Path) -> None:
    """Write adapters, and their base model too where no folder of its own holds it as it is now."""
    base = Path(str(adapted.get_base_model().name_or_path or "."))
    config = adapted.peft_config[adapted.active_adapter]
    if not base.is_absolute() or not _holds(base, adapted.get_base_model()):
        with borrowed():
            copy.deepcopy(adapted).unload().save_pretrained(folder / _BASE)
        config.base_model_name_or_path = _BASE
    else:
        config.base_model_name_or_path = str(base)
    adapted.save_pretrained(folder, save_embedding_layers=False)


_HELD: WeakKeyDictionary[nn.Module, tuple[Any, ...]] = WeakKeyDictionary()
"""Models whose folders have proved to hold their weights, with the sums of their bits then."""


def _holds(folder: Path, model: nn.Module) -> bool:
    """Whether the weights of a model below its adapters are those of a folder: it may have been trained before."""
    if getattr(model, MERGED, False) or not (folder / "config.json").exists():
        return False
    own = {name.replace(".base_layer.", "."): p for name, p in model.named_parameters() if ".lora_" not in name}
    state = (str(folder), *map(_bits, own.values()))
    if _HELD.get(model) != state:
        if not _equal(folder, own, f"{model.base_model_prefix}."):
            return False
        _HELD[model] = state
    return True


def _bits(parameter: Tensor) -> int:
    """The sum of its numbers, read as whole ones: fused optimizers change weights without counting it as a version."""
    flat = parameter.detach().contiguous()
    return int(flat.view({1: torch.int8, 2: torch.int16, 4: torch.int32}.get(flat.element_size(), torch.int64)).sum())


def _equal(folder: Path, own: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether the files of a folder hold these parameters; what was quantised when it was loaded cannot be told."""
    found = 0
    for file in sorted(folder.glob("*.safetensors")):
        with naming_tensors(file), safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # it is no mapping
                there = own.get(name, own.get(f"{prefix}{name}", own.get(name.removeprefix(prefix))))
                found += there is not None
                if there is None or not there.is_floating_point():
                    continue
                value = opened.get_tensor(name)
                if value.shape != there.shape or not torch.equal(value.to(there), there.detach()):
                    return False
    return found > 0


def base_of(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Where the base model of saved adapters lies, by what their settings say."""
    named = Path(str(settings.get("base_model_name_or_path")))
    return named if named.is_absolute() else folder / named


def load(base: nn.Module, folder: Path) -> nn.Module:
    """The base model with the adapters of a folder, to be trained further."""
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingExtraError(f"{folder} holds adapters, which need peft; pip install -e '.[peft]'") from None
    try:
        with borrowed(), silently():
            adapted: nn.Module = PeftModel.from_pretrained(base, str(folder), is_trainable=True)
    except Exception as error:  # whatever a file may hold breaks peft anywhere
        raise CheckpointError(f"the adapters in {folder} cannot be loaded: {first_line(error)}") from None
    return adapted
