"""What a folder holds by its own files, so that the one that is wrong is named, and not what falls over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ...capacity import read_bytes, refuse_pointer
from ...errors import CheckpointError, InvalidInputError, UnsupportedModelError, first_line
from ...errors.tensor_files import naming_tensors
from ...models.silence import silently

CONFIG = "config.json"
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def check_config(folder: Path) -> Any:
    """The config of a model, once it has proved to be one.

    Raises:
        CheckpointError: naming `config.json`: it is damaged, or describes no model that transformers knows.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    file = folder / CONFIG
    said = json_object(file)
    kind = said.get("model_type")
    if not isinstance(kind, str):
        raise CheckpointError(f"{file} names no model_type; restore it: it is not the config of a model")
    if kind not in CONFIG_MAPPING_NAMES:
        why = "its custom code is not run" if "auto_map" in said else "correct it, or install a newer version"
        raise CheckpointError(f"{file}: this version of transformers knows no model of type {kind!r}; {why}")
    if said.get("quantization_config") is not None:
        raise CheckpointError(
            f"{file}: the weights are quantised, and are not trained here; give the model that they were made of, or "
            "dequantize() it with transformers and save that"
        )
    try:
        with silently():
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise CheckpointError(f"{file} is damaged ({first_line(error)}); restore it") from None


def check_kind(folder: Path, masked: bool) -> None:
    """Refuse a model of another kind than is asked for, by its config.

    Raises:
        CheckpointError: as of `check_config`.
        UnsupportedModelError: an encoder-decoder, an encoder, or one that models no text.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    config = check_config(folder)
    name, causal = config.model_type, type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    both_ways = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    wrong = (
        f"an encoder-decoder ({name}), which reads one text and writes another"
        if getattr(config, "is_encoder_decoder", False)
        else f"no masked language model ({name}), which this agent trains" if masked and not both_ways
        else f"no language model ({name})" if not masked and not causal
        else f"an encoder ({name}), which sees what is to come and is trained by agents of whole texts (--agent masked)"
        if not masked and both_ways and not getattr(config, "causal", False)
        else None
    )  # fmt: skip
    if wrong:
        remedy = "give one, BERT say" if masked else "give a decoder-only model, GPT-2 or Llama say"
        raise UnsupportedModelError(f"model {str(folder)!r} holds {wrong}; {remedy}")


def check_weights(folder: Path) -> None:
    """Refuse weights that are missing, damaged, would be unpickled, or were left behind by Git LFS.

    Raises:
        CheckpointError: naming the file.
        InvalidInputError: a pointer of Git LFS.
    """
    found, pickled = sorted(folder.glob("*.safetensors")), sorted(folder.glob("*.bin"))
    if pickled and not found:
        raise CheckpointError(
            f"{pickled[0]} holds pickled weights, which could run code and are not read; load them with transformers "
            "where you trust them, and save_pretrained writes safetensors"
        )
    there = {file.name for file in found}
    for name in sorted(_needed(folder) - there):
        if Path(name).name != name:
            raise CheckpointError(f"{folder / _INDEX} names {name}, which is no file beside it; save the model again")
        if there and name == _WHOLE:
            others = f"{sorted(there)[0]} there is part of them or has another name"
            raise CheckpointError(
                f"{folder / name} is missing, and so is {_INDEX}; {others}: fetch the index, or save the model again"
            )
        raise CheckpointError(
            f"{folder / name} is missing, which holds weights of the model; fetch it, or save it again"
        )
    for file in found:
        refuse_pointer(file)
        with naming_tensors(file, "fetch it again"), safe_open(file, "pt"):
            pass


def _needed(folder: Path) -> set[str]:
    """Names of the files of weights; transformers prefers the one to an index of several."""
    if (folder / _WHOLE).exists() or not (folder / _INDEX).exists():
        return {_WHOLE}
    table = json_object(folder / _INDEX).get("weight_map")
    return {str(name) for name in table.values()} if isinstance(table, dict) else {_WHOLE}


def json_object(file: Path) -> dict[str, Any]:
    """What a JSON file says.

    Raises:
        CheckpointError: naming the file: it is damaged, holds no object, or is a pointer of Git LFS.
    """
    try:
        found = json.loads(read_bytes(file).decode())
    except InvalidInputError as error:  # which names the file itself
        raise CheckpointError(str(error)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged ({first_line(error)}); restore it") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{file} holds no JSON object; restore it")
    return found
