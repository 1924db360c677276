"""Texts in, texts out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..capacity import read_bytes
from ..errors import InvalidInputError
from ..errors.arguments import typed
from ..mdp.rendering import continuation
from ..mdp.vocabulary import Vocabulary
from ..policy.token_policy import TokenPolicy
from .rollouts import rollout


@typed
def complete(policy: TokenPolicy, prompts: Sequence[str], reader: Any, *, max_length: int, **options: Any) -> list[str]:
    """What the policy writes after each prompt, in words.

    Args:
        policy: the policy.
        prompts: texts; an empty one stands for the start token.
        reader: a task or a tokenizer: how text becomes ids and ids become text.
        max_length: most generated tokens.
        options: of `rollout`: `generator`, `temperature`, `rules`, `min_length` …

    Returns:
        The texts that stand in the end, without `eos`.

    Raises:
        InvalidInputError: no prompts, a prompt that the reader cannot read, or what `rollout` refuses.
    """
    if isinstance(prompts, str):
        raise InvalidInputError("complete takes a list of prompts; put the prompt into brackets")
    if not isinstance(prompts, Sequence) or not all(isinstance(prompt, str) for prompt in prompts):
        raise InvalidInputError(f"complete takes a list of texts as prompts, not {prompts!r:.80}")
    _refuse_other_reader(reader, policy.vocabulary)
    ids = [read_prompt(reader, policy.vocabulary, prompt) for prompt in prompts]
    with torch.no_grad():
        texts = rollout(policy, ids, max_length=max_length, **options).replay().texts(eos=False)
    return [continuation(reader.decode, prompt, text) for prompt, text in zip(ids, texts, strict=True)]


def _refuse_other_reader(reader: Any, vocabulary: Vocabulary) -> None:
    """Refuse what gives other ids than the policy's, as far as its size tells, or none."""
    if isinstance(reader, str) or not hasattr(reader, "decode"):
        raise InvalidInputError(f"complete: reader={reader!r:.60} is neither a task nor a tokenizer")
    own = getattr(reader, "vocabulary", None)
    if own is None and hasattr(reader, "get_vocab"):
        size = max(reader.get_vocab().values()) + 1
    else:
        size = getattr(own, "size", vocabulary.size)
    if (size > vocabulary.size + 1) if own is None else (size != vocabulary.size):  # a tokenizer may have the backspace
        raise InvalidInputError(
            f"complete: the reader has {size} ids, the policy a vocabulary of {vocabulary.size}; give the task or the "
            "tokenizer that the policy was trained with"
        )


def read_prompt(reader: Any, vocabulary: Vocabulary, prompt: str) -> list[int]:
    """Ids of a prompt, by a task or a tokenizer; an empty one is the start token, or `eos`.

    Raises:
        InvalidInputError: a prompt that is no text, or none of the task, or a reader of other ids.
    """
    if not prompt.isascii() and any("\ud800" <= character <= "\udfff" for character in prompt):
        raise InvalidInputError(f"prompt {prompt!r:.60} holds a character that is none; give UTF-8 text")
    callable_ = callable(reader)
    ids: list[int] = reader(prompt, verbose=False)["input_ids"] if callable_ else reader.encode(prompt)
    beyond = [i for i in ids if not 0 <= i < vocabulary.size]
    if beyond:
        raise InvalidInputError(f"prompt {prompt!r:.60} holds the id {beyond[0]}, the vocabulary {vocabulary.size} ids")
    start = getattr(reader, "bos_token_id", None)
    return ids or [vocabulary.eos if start is None else start]


_FORMS = {
    b"\xff\xfe\0\0": "is UTF-32; save it as UTF-8",
    **dict.fromkeys((b"\xff\xfe", b"\xfe\xff"), "is UTF-16; save it as UTF-8"),
    b"\x1f\x8b": "is compressed; unpack it",
}


def prompt_of_file(file: Path) -> str:
    """The text of a file that is a prompt as a whole, without the line break at its end.

    Raises:
        InvalidInputError: it cannot be read as UTF-8.
    """
    try:
        text = read_bytes(file).decode("utf-8-sig").replace("\r\n", "\n").removesuffix("\n")
    except FileNotFoundError:
        raise InvalidInputError(f"--prompt-file {file} does not exist; name a file of text") from None
    except UnicodeDecodeError as error:
        form = next((form for begin, form in _FORMS.items() if error.object.startswith(begin)), None)
        what = form or f"holds the byte 0x{error.object[error.start]:02x}, which is none of UTF-8; save it as UTF-8"
        raise InvalidInputError(f"--prompt-file {file} cannot be read as UTF-8 text: it {what} first") from None
    except OSError as error:
        raise InvalidInputError(f"--prompt-file {file} cannot be read: {error}; name a file of text") from None
    if not text:
        raise InvalidInputError(f"--prompt-file {file} is empty; give a text, or --prompt '' to begin with nothing")
    return text
