"""A policy of whole texts from the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM

from ..capacity import check_memory
from ..errors import InvalidInputError
from ..mdp.vocabulary import Vocabulary
from ..policy.saved.files import SETTINGS, load_model
from ..randomness import seeded
from .whole_text import WholeTextPolicy


def make(
    policy_class: type[WholeTextPolicy],
    vocabulary: Vocabulary,
    cells: int,
    *,
    path: str | None,
    sizes: tuple[int, int, int],
    seed: int,
    device: str,
    options: Mapping[str, Any],
) -> WholeTextPolicy:
    """The untrained policy: over a small BERT from scratch, or over the masked language model in a folder.

    Args:
        policy_class: what is made.
        vocabulary: the ids.
        cells: that a new model has positions for.
        path: of a Hugging Face masked LM, or of a checkpoint of such a policy.
        sizes: layers, width and heads of a new model.
        seed: of its weights.
        device: of the policy.
        options: of the class.
    """
    if path is not None and (Path(path) / SETTINGS).exists():
        return policy_class.from_pretrained(path, vocabulary).to(torch.device(device))
    model = small_bert(vocabulary, cells, *sizes, seed) if path is None else load_model(path, masked=True)
    return policy_class(model, vocabulary, **options).to(torch.device(device))


def small_bert(
    vocabulary: Vocabulary, cells: int, layers: int, width: int, heads: int, seed: int, dropout: float = 0.0
) -> BertForMaskedLM:
    """An untrained BERT over the tokens and a mask."""
    if layers < 1:
        raise InvalidInputError(
            f"layers={layers}: a policy of whole texts reads what surrounds a token and needs a layer; give --layers 1"
        )
    if width % heads:
        raise InvalidInputError(f"width={width} is not a multiple of heads={heads}")
    parameters = width * (12 * layers * width + vocabulary.size + cells)
    check_memory(16 * parameters, f"training a model of {parameters:,} parameters", "lower layers or width")
    config = BertConfig(
        vocab_size=vocabulary.size + 1,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=cells,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=None,
    )
    with seeded(seed):
        return BertForMaskedLM(config)
