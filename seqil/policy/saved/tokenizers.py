"""The tokenizer beside a model: loaded, compared with a vocabulary, and saved with the backspace among its tokens."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from ...capacity import check_file, read_bytes
from ...errors import InvalidInputError, first_line
from ...mdp.vocabulary import BACKSPACE, Vocabulary
from ...models.folders import TOKENIZER, VOCABULARIES, has_tokenizer
from ...models.silence import silently
from ..given.descriptions import CONFIG, check_config

_OTHER = "give another (--task-option tokenizer=FOLDER)"


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


def forget_backspace(folder: Path, tokenizer: Any, vocabulary: Vocabulary) -> None:
    """Take `<|backspace|>`, if it is the token of id V, out of a saved tokenizer: the model has no such row."""
    if tokenizer.get_vocab().get(BACKSPACE) != vocabulary.backspace:
        return
    for name in ("tokenizer.json", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        if (folder / name).exists():
            kept = _without(json.loads(read_bytes(folder / name)))
            (folder / name).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without(said: Any) -> Any:
    """A JSON value without what is named, or describes, the backspace."""
    if isinstance(said, dict):
        return {name: _without(one) for name, one in said.items() if name != BACKSPACE and not _describes(one)}
    return [_without(one) for one in said if not _describes(one)] if isinstance(said, list) else said


def _describes(one: Any) -> bool:
    return bool(one == BACKSPACE or (isinstance(one, dict) and one.get("content") == BACKSPACE))


def beside(model: Any, vocabulary: Vocabulary, backspace: bool) -> Any:
    """The tokenizer in the folder that a model was loaded from, fit to be saved with it; None if there is none."""
    folder = str(getattr(model, "name_or_path", "") or "")
    if not folder or not has_tokenizer(folder):
        return None
    try:
        found = load_tokenizer(folder)
        return with_backspace(found, vocabulary) if backspace else found
    except Exception:  # of no known kind, or another's: the model was trained on ids all the same
        return None


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer in a local folder; nothing is downloaded, and no code of its own is run.

    Raises:
        InvalidInputError: naming the folder or file, what is wrong with it and what to do.
        CheckpointError: a config beside it that describes no model, which transformers reads as well.
    """
    from transformers import AutoTokenizer

    place = Path(folder)
    if not place.is_dir():
        wrong = (
            "is a file; name its folder" if place.exists() else "is not there, and nothing is downloaded; name a folder"
        )
        raise InvalidInputError(f"tokenizer {folder} {wrong} (--task-option tokenizer=FOLDER)")
    for name in TOKENIZER:
        if (place / name).exists():
            check_file(place / name)
    try:
        with silently():
            return AutoTokenizer.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        own_code = "custom code" in str(error)
        if (place / CONFIG).exists() and not own_code:
            check_config(place)
        if not own_code and not any((place / name).exists() for name in VOCABULARIES):
            raise InvalidInputError(
                f"there is no tokenizer in {folder}: {' or '.join(VOCABULARIES)} is missing; save one there by its "
                f"save_pretrained, or {_OTHER}"
            ) from None
        raise InvalidInputError(
            f"tokenizer {folder} cannot be loaded: {first_line(error)}; restore its tokenizer.json and "
            f"tokenizer_config.json, or {_OTHER}"
        ) from None


def refuse_other_vocabulary(folder: str | Path, size: int) -> None:
    """Refuse ids that mean something else to the model of a folder.

    Raises:
        InvalidInputError: naming both sizes.
    """
    if not has_tokenizer(folder):
        return
    try:
        tokenizer = load_tokenizer(folder)
    except InvalidInputError:  # of no known kind: the head will tell
        return
    own = max(tokenizer.get_vocab().values()) + 1
    if own - size not in (0, 1):  # with a backspace, or without
        raise InvalidInputError(
            f"the tokenizer in {str(folder)!r} has {own} ids, the task a vocabulary of {size}: the model "
            "would read other tokens than were written; train a model of this tokenizer on your own text, --task text "
            "--task-option path=FILE, or leave --model out"
        )
