"""Folders of Hugging Face models."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...capacity import read_bytes
from ...durable import read_tensors
from ...errors import CheckpointError, InvalidInputError, first_line
from ...errors.tensor_files import naming_tensors
from ...mdp.memory import PREFIX, Memory
from ...mdp.vocabulary import Vocabulary
from ...models import adapters
from ...models.head_rows import MARK, MEMORY, name_of, rows_of
from ...models.plain_generation import written_plainly
from ...models.silence import silently
from ...randomness import borrowed
from ..given import misnamed
from ..given.descriptions import CONFIG, check_kind, check_weights, json_object
from . import seals, tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..language_model import LanguageModel

_ROW, _TERM = "backspace_row.safetensors", "tried_term.safetensors"
_GENERATE = Path(__file__).with_name("custom_generate.txt")
SETTINGS = seals.SETTINGS


def load_model(folder: str | Path, masked: bool = False) -> PreTrainedModel:
    """The Hugging Face causal (or masked) LM of a local folder; safetensors only, nothing is unpickled or downloaded.

    Raises:
        CheckpointError: no such folder, no model in it, a damaged one, one that brings its own code, or weights that
            are not those of the model that its config describes.
    """
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    if not (Path(folder) / CONFIG).exists():
        what = misnamed.no_model(Path(folder))
        raise CheckpointError(f"model {str(folder)!r} is not a folder with a Hugging Face model ({what})")
    check_kind(Path(folder), masked)
    _refuse_unreadable(Path(folder))
    how = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    how["ignore_mismatched_sizes"] = True  # they are refused by name below
    try:
        with borrowed(), silently():  # what is missing is drawn, before it is refused
            kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
            model, report = kind.from_pretrained(Path(folder).absolute(), **how)  # it is known by that ever after
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise CheckpointError(
            f"model {str(folder)!r} cannot be loaded: transformers stops at {type(error).__name__}, "
            f"{first_line(error)}; look at its config.json and generation_config.json"
        ) from None
    for flag in ("output_attentions", "output_hidden_states"):  # of outputs that nothing here reads
        if getattr(model.config, flag, False):
            setattr(model.config, flag, False)
    for what in ("missing", "unexpected", "mismatched"):
        names = sorted(map(_with_sizes, report.get(f"{what}_keys", ())))
        if names:
            headless = what == "missing" and all(name.startswith(("lm_head", "cls.", "score")) for name in names)
            remedy = (
                "it was saved without a head for tokens: save the model of AutoModelForCausalLM, not what is below it"
                if headless and not masked
                else "give them the names that transformers gives them"
            )
            raise CheckpointError(
                f"model {str(folder)!r} holds other weights than its config.json describes: {len(names)} are {what}, "
                f"the first is {names[0]}; {remedy}"
            )
    _refuse_no_weights(Path(folder), model)
    _restore_padding(Path(folder), model)
    return model


def _with_sizes(key: Any) -> str:
    """The name of a weight, and of one that does not fit its sizes in the file and by the config."""
    if isinstance(key, str):
        return key
    name, there, wanted = key
    return f"{name}, {tuple(there)} where {tuple(wanted)} is described"


def _refuse_unreadable(folder: Path) -> None:
    """Weights as of `check_weights`, and settings that transformers passes over where it cannot read them."""
    check_weights(folder)
    settings = folder / "generation_config.json"
    if settings.exists():
        json_object(settings)


def _refuse_no_weights(folder: Path, model: PreTrainedModel) -> None:
    """transformers casts weights of any kind to numbers with a fraction, and takes NaN, in silence."""
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and not math.isfinite(parameter.detach().sum(dtype=torch.float64).item()):
            wrong = int((~parameter.isfinite()).sum())
            raise CheckpointError(
                f"model {str(folder)!r}: {wrong:,} of {parameter.numel():,} numbers of {name} are not finite; its "
                "training has diverged, or the file is damaged: load an earlier one"
            )
    prefix = f"{model.base_model_prefix}."
    parameters = {name.removeprefix(prefix) for name, _ in model.named_parameters()}
    for file in sorted(folder.glob("*.safetensors")):
        with naming_tensors(file), safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # it is no mapping
                kind = opened.get_slice(name).get_dtype()
                if name.removeprefix(prefix) in parameters and kind not in ("F64", "F32", "F16", "BF16"):
                    raise CheckpointError(
                        f"{file}: {name} holds numbers of type {kind}, which are no weights to train; "
                        "save the model in float32 or bfloat16"
                    )


@torch.no_grad()
def _restore_padding(folder: Path, model: PreTrainedModel) -> None:
    """The row of the padding as the file has it: some models zero it as they are loaded, and here it may be a token."""
    table, pad = model.get_input_embeddings().weight, getattr(model.config.get_text_config(), "pad_token_id", None)
    if not isinstance(pad, int) or not 0 <= pad < len(table):
        return
    prefix = f"{model.base_model_prefix}."
    names = {name.removeprefix(prefix) for name, one in model.named_parameters(remove_duplicate=False) if one is table}
    for file in sorted(folder.glob("*.safetensors")):
        with naming_tensors(file), safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # it is no mapping
                if name.removeprefix(prefix) in names:
                    table[pad] = opened.get_slice(name)[pad].to(table)


@dataclass(frozen=True)
class Saved:
    """What `seqil.json` says beside a model."""

    vocabulary: Vocabulary
    backspace: bool
    memory: Memory
    tried_term: bool = False

    def write(self, policy: LanguageModel, folder: Path, tokenizer: Any = None) -> None:
        """Write the model, with the generation config by which it writes tokens alone, its tokenizer, and this.

        Of a model with adapters, they and the row of the backspace are written, and the name of the model.

        Raises:
            CheckpointError: a model that transformers loads but does not save.
            InvalidInputError: a tokenizer of another vocabulary; nothing is written then.
        """
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"save_pretrained: {folder} is a file; choose another folder")
        model = policy.model
        if tokenizer is None:
            tokenizer = tokenizers.beside(model, self.vocabulary, self.backspace)
        elif self.backspace:
            tokenizer = tokenizers.with_backspace(tokenizer, self.vocabulary)
        if self.backspace:  # the code beside the model knows the memory by this
            setattr(model.config, MEMORY, self.memory.name)
        try:
            with written_plainly(model, self.vocabulary.eos, range(self.vocabulary.size, rows_of(model))):
                if policy.adapted:
                    adapters.save(policy.adapted[0], folder)
                else:
                    with silently():
                        model.save_pretrained(folder)
        except (OSError, SafetensorError):
            raise
        except Exception as error:  # whatever a model brought along
            raise CheckpointError(f"{name_of(model)} cannot be saved: {first_line(error)}") from None
        if policy.row is not None:
            save_file({"row": policy.row.detach().cpu()}, folder / _ROW)
        elif self.backspace and not self.tried_term:  # of which the code that generates knows nothing
            (folder / "custom_generate").mkdir(exist_ok=True)
            shutil.copyfile(_GENERATE, folder / "custom_generate" / "generate.py")
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
            if not self.backspace:
                tokenizers.forget_backspace(folder, tokenizer, self.vocabulary)
        said = {"vocabulary": self.vocabulary.to_json(), "backspace": self.backspace, "memory": self.memory.name}
        if policy.tried_term is not None:
            save_file({name: value.cpu() for name, value in policy.tried_term.state_dict().items()}, folder / _TERM)
            said["tried_term"] = True
        seals.write_sealed(folder, said)

    @classmethod
    def read(cls, folder: Path, verify: bool = True) -> Saved:
        """What `write` wrote.

        Args:
            folder: that of the model.
            verify: whether the files beside it must be those that were written.

        Raises:
            CheckpointError: it is missing or damaged, or a file beside it is.
        """
        path = folder / SETTINGS
        try:
            said = json.loads(read_bytes(path).decode())
            if not isinstance(said, dict):
                raise TypeError(f"it holds no object, but {said!r:.40}")
            term = said.get("tried_term", False)
            for name, value in (("backspace", said["backspace"]), ("tried_term", term)):
                if not isinstance(value, bool):
                    raise TypeError(f"{name} is {value!r}, neither true nor false")
            memory = Memory.of(said.get("memory", PREFIX))
            found = cls(Vocabulary.of(said["vocabulary"]), said["backspace"], memory, term)
        except FileNotFoundError:
            plain = (folder / "config.json").exists()
            remedy = "; load it by transformers and pass it to TokenPolicy, with a vocabulary" if plain else ""
            what = f"{folder} was not written by TokenPolicy.save_pretrained{remedy}{misnamed.newest_of(folder)}"
            raise CheckpointError(
                f"{path} is missing; {what if folder.exists() else 'there is no such folder'}"
            ) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); restore it or save the policy again") from None
        if verify:
            seals.check(folder, said)
        return found

    def load(self, folder: Path) -> nn.Module:
        """The model beside it, once its head has proved to be of this vocabulary, with its adapters."""
        adapted = (folder / adapters.SETTINGS).exists()
        place = adapters.base_of(folder, json_object(folder / adapters.SETTINGS)) if adapted else folder
        if not place.exists():
            raise CheckpointError(f"{folder} holds adapters on the model {place}, which is not there; put it back")
        model, V = load_model(place), self.vocabulary.size
        rows, mark = rows_of(model), getattr(model.config, MARK, V)
        if rows < V + (self.backspace and not adapted):
            raise CheckpointError(f"{folder}: the head has {rows} rows, too few for {self.vocabulary}")
        if mark != V:
            raise CheckpointError(f"{folder}: config.json marks row {mark} as the backspace, {SETTINGS} {V}")
        return adapters.load(model, folder) if adapted else model

    def row(self, folder: Path) -> Tensor:
        """The head row of the backspace beside adapters."""
        found = read_tensors(folder / _ROW)
        if "row" not in found:
            raise CheckpointError(f"{folder / _ROW} is damaged (it holds no row); restore it")
        return found["row"]

    def term(self, folder: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The learned term of what was tried, of the shapes of `like`."""
        found = read_tensors(folder / _TERM)
        shapes = {name: tuple(value.shape) for name, value in found.items()}
        if shapes != {name: tuple(value.shape) for name, value in like.items()}:
            raise CheckpointError(f"{folder / _TERM} holds {shapes}, which is of another model; restore it")
        return found
