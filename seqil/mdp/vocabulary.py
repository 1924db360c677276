"""The one place that knows the ids."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInputError
from ..errors.arguments import check_kind, on_one_line

BACKSPACE = "<|backspace|>"
"""Name of the backspace in a tokenizer."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens `0 … size-1`, one of which is `eos`; the action `size` is the backspace.

    In a tensor of cells the id `size` means "empty", in a tensor of actions it means "backspace";
    it is never a token.
    """

    size: int
    eos: int

    def __post_init__(self) -> None:
        for name in ("size", "eos"):
            check_kind("Vocabulary", name, getattr(self, name), int)
            object.__setattr__(self, name, operator.index(getattr(self, name)))
        if self.size < 2:
            raise InvalidInputError(
                f"Vocabulary: size={self.size} is too small; it needs eos and at least one more token"
            )
        if not 0 <= self.eos < self.size:
            raise InvalidInputError(f"Vocabulary: eos={self.eos} is not a token; choose an id in 0..{self.size - 1}")

    @property
    def backspace(self) -> int:
        """Id of the backspace action."""
        return self.size

    @property
    def num_actions(self) -> int:
        """Tokens and backspace: `A = size + 1`."""
        return self.size + 1

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> Vocabulary:
        """The vocabulary of a Hugging Face tokenizer: ids up to its largest, and its `eos_token_id`.

        Ids that no token has are tokens too, which nobody writes. A tokenizer that was saved with a policy has its
        backspace as the last of its tokens; it is not one of the vocabulary.

        Raises:
            InvalidInputError: no `eos`, or tokens that were added behind a backspace.
        """
        if getattr(tokenizer, "eos_token_id", None) is None:
            raise InvalidInputError(
                f"tokenizer {getattr(tokenizer, 'name_or_path', '') or type(tokenizer).__name__!r} has no eos token; "
                "set tokenizer.eos_token to the token that ends a text, in its folder the eos_token of "
                "tokenizer_config.json"
            )
        if not callable(getattr(tokenizer, "get_vocab", None)):
            raise InvalidInputError(f"{on_one_line(tokenizer, 60)} is no tokenizer: it has no get_vocab()")
        ids = tokenizer.get_vocab()
        size, backspace = max(ids.values()) + 1, ids.get(BACKSPACE)
        if backspace is not None and backspace != size - 1:
            raise InvalidInputError(
                f"the tokenizer has tokens up to id {size - 1}, behind its {BACKSPACE} of id {backspace}: a model that "
                "was trained with it would take the row of its backspace for a token; add tokens before training"
            )
        return cls(size=size if backspace is None else backspace, eos=tokenizer.eos_token_id)

    @classmethod
    def of(cls, value: Vocabulary | Mapping[str, int]) -> Vocabulary:
        """Accept a vocabulary or its JSON form `{"size": …, "eos": …}`."""
        if isinstance(value, Vocabulary):
            return value
        if isinstance(value, Mapping) and set(value) == {"size", "eos"}:
            return cls(**value)
        raise InvalidInputError(
            f'vocabulary {on_one_line(value, 80)} is neither a Vocabulary nor {{"size": …, "eos": …}}'
        )

    def to_json(self) -> dict[str, int]:
        """The mapping that `Vocabulary.of` reads."""
        return {"size": self.size, "eos": self.eos}
