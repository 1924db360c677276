"""Folders of Hugging Face models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import CheckpointError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTINGS = "seqil.json"


def load_model(folder: str | Path) -> PreTrainedModel:
    """The Hugging Face causal LM of a local folder; safetensors only, nothing is unpickled, downloaded or run.

    Raises:
        CheckpointError: no such folder, no model in it, a damaged one, one that brings its own code, or weights that
            are not those of the model that its config describes.
    """
    from transformers import AutoModelForCausalLM

    if not (Path(folder) / "config.json").exists():
        raise CheckpointError(f"model {str(folder)!r} is not a folder with a Hugging Face model (no config.json)")
    how = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        with torch.random.fork_rng(devices=[]):  # what is missing is drawn, before it is refused
            model, report = AutoModelForCausalLM.from_pretrained(folder, **how)
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise CheckpointError(f"model {str(folder)!r} cannot be loaded: {first_line(error)}") from None
    for what in ("missing", "unexpected", "mismatched"):
        names = sorted(map(str, report.get(f"{what}_keys", ())))
        if names:
            raise CheckpointError(
                f"model {str(folder)!r} holds other weights than its config.json describes: {len(names)} are {what}, "
                f"the first is {names[0]}; give them the names that transformers gives them"
            )
    return model
