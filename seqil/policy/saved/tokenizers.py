"""The tokenizer that is saved beside a model, with the backspace among its tokens."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ...errors import InvalidInputError
from ...mdp.vocabulary import BACKSPACE, Vocabulary
from ...models.folders import has_tokenizer


def with_backspace(tokenizer: Any, vocabulary: Vocabulary) -> Any:
    """A copy whose id V is the special token `<|backspace|>`.

    Raises:
        InvalidInputError: a tokenizer of another vocabulary, or with an unused id, which the backspace would take.
    """
    own = Vocabulary.from_tokenizer(tokenizer)
    if own != vocabulary:
        raise InvalidInputError(f"the tokenizer has {own}, the policy {vocabulary}; save it with its own tokenizer")
    unused = sorted({*range(vocabulary.size)} - {*tokenizer.get_vocab().values()})
    if unused:  # a tokenizer that is loaded gives its next token the number of its tokens as id
        raise InvalidInputError(
            f"the tokenizer has no token of id {unused[0]}, so its {BACKSPACE} would not keep the id "
            f"{vocabulary.backspace}; add tokens for ids that are not used first"
        )
    made = copy.deepcopy(tokenizer)
    made.add_tokens([BACKSPACE], special_tokens=True)
    return made


def beside(model: Any, vocabulary: Vocabulary, backspace: bool) -> Any:
    """The tokenizer in the folder that a model was loaded from, fit to be saved with it; None if there is none."""
    folder = str(getattr(model, "name_or_path", "") or "")
    if not folder or not has_tokenizer(folder):
        return None
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(Path(folder), local_files_only=True, trust_remote_code=False)
        return with_backspace(found, vocabulary) if backspace else found
    except Exception:  # of no known kind, or another's: the model was trained on ids all the same
        return None
