"""Folders of Hugging Face models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SETTINGS = "seqil.json"


def load_model(folder: str | Path) -> PreTrainedModel:
    """The Hugging Face causal LM of a local folder; safetensors only, nothing is unpickled, downloaded or run.

    Raises:
        CheckpointError: no such folder, no model in it, a damaged one, or one that brings its own code.
    """
    from transformers import AutoModelForCausalLM

    if not (Path(folder) / "config.json").exists():
        raise CheckpointError(f"model {str(folder)!r} is not a folder with a Hugging Face model (no config.json)")
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise CheckpointError(f"model {str(folder)!r} cannot be loaded: {first_line(error)}") from None
