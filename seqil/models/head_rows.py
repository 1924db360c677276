"""Which row of a head is the backspace, and what it holds."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import InvalidInputError, UnsupportedModelError, on_one_line
from ..randomness import borrowed

MARK = "backspace_token_id"
"""Attribute of the config of a model that has a backspace: its row."""

MEMORY = "backspace_memory"
"""Likewise: what the states of its policy hold, by the name of a `seqil.mdp.memory`."""

Choice = Literal["keep", "mean"] | None
_TOKENS = (
    "if the model has other tokens than the task, give it a task over them, --task text with --task-option "
    "tokenizer=FOLDER say"
)
_PADDING = 512  # heads are padded to a multiple of this at most


def name_of(model: nn.Module) -> str:
    """Class and type of a model, for messages."""
    return f"{type(model).__name__} ({getattr(getattr(model, 'config', None), 'model_type', 'unknown type')})"


def rows_of(model: Any) -> int:
    """Rows of the head of a causal language model."""
    head = model.get_output_embeddings()
    if not isinstance(getattr(head, "weight", None), Tensor) or head.weight.dim() != 2:
        raise UnsupportedModelError(f"{name_of(model)} has no linear output head; pass a causal LM (…ForCausalLM)")
    return int(head.weight.shape[0])


def refuse_foreign_rows(model: Any, size: int) -> None:
    """Refuse a vocabulary that is not the model's, as far as the head can tell.

    Raises:
        InvalidInputError: more tokens than rows, far fewer than padding explains, or a row that is marked as the
            backspace and would be a token, or the other way round.
        UnsupportedModelError: a table of inputs of another length than the config says.
    """
    rows, V, mark = rows_of(model), size, getattr(model.config, MARK, None)
    table, says = len(model.get_input_embeddings().weight), getattr(model.config.get_text_config(), "vocab_size", None)
    if says not in (None, table):
        raise UnsupportedModelError(
            f"{name_of(model)} has a table of {table} rows where its config says vocab_size={says}: with a row more it "
            "could not be loaded from what is saved; use a model whose table is as long as it says, GPT-2 or Llama say"
        )
    if rows < V:
        raise InvalidInputError(
            f"the head of {name_of(model)} has {rows} rows, the vocabulary {V} tokens; "
            f"resize_token_embeddings and save it; {_TOKENS}"
        )
    if mark is not None and mark != V:
        raise InvalidInputError(
            f"row {mark} of {name_of(model)} is marked as its backspace, the vocabulary has {V} tokens, so that row "
            f"{V} would be; give the vocabulary of {mark} tokens, or export the model without its backspace first"
        )
    if mark is None and rows - V > _PADDING:
        raise InvalidInputError(
            f"the head of {name_of(model)} has {rows} rows, the vocabulary {V} tokens: more than padding explains; "
            f"{_TOKENS}"
        )


def behind_tokens(model: Any, size: int, choice: Choice) -> Tensor | None:
    """What the head holds in row `size`, [D], if that is a backspace; None: the mean of the tokens is meant.

    Raises:
        InvalidInputError: the row is there unmarked, of a padded head or of a model that was trained elsewhere, and it
            is for the caller to choose.
    """
    V, rows, marked = size, rows_of(model), getattr(model.config, MARK, None) is not None
    if choice is not None and (not isinstance(choice, str) or choice not in ("keep", "mean")):
        raise InvalidInputError(f"backspace_row={on_one_line(choice, 60)} is neither 'keep' nor 'mean'")
    if rows > V and not marked and choice is None:
        raise InvalidInputError(
            f"the head of {name_of(model)} has {rows} rows for {V} tokens; say whether row {V} is a backspace that was "
            "trained (backspace_row='keep') or padding (backspace_row='mean'), on the command line by --backspace-row; "
            f"{_TOKENS}"
        )
    if rows == V and choice == "keep":
        raise InvalidInputError(f"backspace_row='keep': the head of {name_of(model)} has {V} rows, all of them tokens")
    weight: Tensor = model.get_output_embeddings().weight
    return weight[V].detach().clone() if rows > V and choice != "mean" else None


@torch.no_grad()
def give_backspace(model: Any, size: int, choice: Choice, row: Tensor | None = None) -> None:
    """Make row `size` of the head, and of the embeddings, the backspace, and mark it as that.

    A new row is the mean of the token rows, or `row`. One that is marked is kept, else it is as `behind_tokens` says.
    """
    V, kept = size, behind_tokens(model, size, choice)
    weight = model.get_output_embeddings().weight
    _untie(model)
    if len(weight) == V:
        with borrowed(weight.device):
            model.resize_token_embeddings(V + 1, mean_resizing=False)
    if kept is None:
        for table in _tables(model):
            if len(table) > V:
                table[V] = table[:V].to(torch.float64).mean(0).to(table.dtype)
    if row is not None:
        weight = model.get_output_embeddings().weight
        weight[V] = row.to(weight.dtype)
    setattr(model.config, MARK, V)


def _untie(model: Any) -> None:
    """A head of its own stays one, though the config calls it tied: a file that holds both is loaded so, and another
    row would tie them.
    """
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    if head.weight.data_ptr() != table.weight.data_ptr():
        model.config.get_text_config().tie_word_embeddings = model.config.tie_word_embeddings = False


def _tables(model: Any) -> list[Tensor]:
    head = model.get_output_embeddings()
    found = [head.weight, model.get_input_embeddings().weight, getattr(head, "bias", None)]
    return [table for table in found if table is not None]
