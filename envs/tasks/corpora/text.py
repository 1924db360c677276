"""Any text of the user's, as bytes or through a tokenizer."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqil import Vocabulary
from seqil.errors import InvalidInputError, first_line
from seqil.mdp.rendering import in_common
from seqil.policy.saved.tokenizers import load_tokenizer

from ..base.corpus import read_corpus
from ..base.excerpts import ExcerptTask, Windows, check_lengths
from ..base.reading.documents import refuse_field
from ..base.reading.named_fields import Chat


class Text(ExcerptTask):
    """Continuations of one's own documents, or completions of one's own prompts.

    - **Tokens**: bytes (V = 257, `eos` = 256), or the ids of a Hugging Face tokenizer with its own `eos`.
    - **Files**: plain text (`.txt`, `.md`, any other suffix), in which the tokenizer's `eos`, written out, separates
      documents; records (`.jsonl`, `.json`, `.csv`, `.tsv`, `.parquet`); a data set saved by the library `datasets`,
      whose own splits are kept; a folder of such files, hidden ones left out. Parquet and saved data sets need the
      extra `datasets`. Where files of records name splits (`train-….parquet` beside `test-….parquet`), or, where
      there are none, files of plain text do, these are kept, and other files of the folder are left out.
    - **Items**: documents are cut into windows of `prompt_length` and `max_length` tokens that do not overlap; the end
      of a document is a text that ends. A single document of plain text has no end: its windows all have
      `max_length` tokens. A record with `prompt` and `completion` is one item, and so is every answer of an assistant
      in `messages` (through the tokenizer's chat template) but those of `weight` 0: prompts are kept whole and only
      the completion is learned.
      An empty prompt is the start token of the tokenizer, or `eos`. Duplicates are removed.
    - **Splits**: by the hash of file, document and block, a block being 32 windows; a split that this leaves empty
      gets the last twentieth of training, so that three items are enough for three splits.
    - **Size**: from 16 MB of files on, ids are kept in a folder below the one for temporary files, by the content of
      the files and the tokenizer, and read from there: some 50 bytes of memory per window, whatever the text takes.
    - **Horizon**: fixed for a single document, else up to `max_length`. **Teacher**, **first error**, **success**:
      none.

    Args:
        path: a file, or a folder whose files are read in order.
        tokenizer: a tokenizer, or the folder of one; None: bytes.
        prompt_length: tokens of the prompt of a window.
        max_length: tokens of the continuation, at most.
        field: of the records; None: `prompt` and `completion`, `messages` or `text`, whichever there is.

    Raises:
        InvalidInputError: nothing to read, not UTF-8, a record without the field, a completion that is longer than
            `max_length`, too short for a window, or a tokenizer without `eos`.
        MissingExtraError: a form that needs the extra `datasets`.
    """

    name = "text"

    def __init__(
        self,
        path: str | Path,
        tokenizer: str | Path | Any = None,
        prompt_length: int = 32,
        max_length: int = 96,
        field: str | None = None,
    ) -> None:
        if not str(path):
            raise InvalidInputError("text: path is empty; give a text file or a folder of them")
        if re.match(r"(?i)[a-z][a-z0-9+.-]+:/", str(path)) and not Path(path).exists():
            raise InvalidInputError(f"text: path={path} is an address; nothing is downloaded: fetch it first")
        if field == "":
            raise InvalidInputError("text: field is empty; name the field of the records, or leave it out")
        check_lengths(self.name, prompt_length, max_length)
        self.tokenizer = _tokenizer(tokenizer)
        self._encoding: Bytes | Tokens = Bytes() if self.tokenizer is None else Tokens(self.tokenizer)
        self.vocabulary = self._encoding.vocabulary
        refuse_field(Path(path), field)
        corpus = read_corpus(Path(path), field, self._encoding)
        self.left_out, self.lost = corpus.left_out, getattr(self._encoding, "lost", "")
        if not len(corpus.documents):
            raise InvalidInputError(f"{path} is empty; give a file with text in it")
        _check_completions(str(path), corpus.documents, max_length)
        self.windows = Windows.of_documents(self.name, self.vocabulary, prompt_length, max_length, corpus)
        if not len(self.windows.places):
            raise InvalidInputError(
                f"{path} holds no window of {prompt_length} + {max_length} tokens; give more text, or take smaller "
                "windows by prompt_length and max_length"
            )
        self.max_length, self.min_length = max_length, self.windows.min_length

    def encode(self, text: str) -> list[int]:
        """A prompt as ids, with the start token of the tokenizer if it has one; an empty text is the start token."""
        return [*self._encoding.begin, *map(int, self._encoding.encode(text))] or [self.vocabulary.eos]

    def pieces(self) -> list[bytes | None]:
        """Bytes, without a tokenizer, whose own are asked for otherwise."""
        return [*(bytes([byte]) for byte in range(256)), None] if self.tokenizer is None else super().pieces()

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; `eos` is not shown, broken bytes as replacement characters."""
        return self._encoding.decode([t for t in tokens if t != self.vocabulary.eos])


class Bytes:
    """A token for each byte of UTF-8."""

    vocabulary = Vocabulary(size=257, eos=256)
    eos = 256
    identity = "bytes"
    dtype: type[np.unsignedinteger[Any]] = np.uint16

    def __init__(self) -> None:
        self.eos_text: str | None = None
        self.begin: list[int] = []

    def encode(self, text: str) -> Sequence[int]:
        """Bytes."""
        return np.frombuffer(text.encode(), np.uint8)  # type: ignore[return-value]

    def pair(self, prompt: str | Chat, completion: str | Chat) -> tuple[list[int], list[int]]:
        """Bytes of both; messages need a tokenizer's template."""
        if not (isinstance(prompt, str) and isinstance(completion, str)):
            raise InvalidInputError(
                "it holds messages; give the tokenizer whose chat template writes them out "
                "(--task-option tokenizer=FOLDER)"
            )
        return list(prompt.encode()) or [self.eos], list(completion.encode())

    def decode(self, ids: Sequence[int]) -> str:
        """Broken bytes as replacement characters."""
        return bytes(ids).decode(errors="replace")


class Tokens:
    """The ids of a Hugging Face tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = Vocabulary.from_tokenizer(tokenizer)
        self.eos = self.vocabulary.eos
        self.eos_text: str | None = tokenizer.eos_token
        self.dtype: type[np.unsignedinteger[Any]] = np.uint16 if self.vocabulary.size <= 1 << 16 else np.uint32
        start = tokenizer("")["input_ids"][:1]
        own = (getattr(tokenizer, "bos_token_id", None), getattr(tokenizer, "cls_token_id", None))
        self.begin: list[int] = start if start and start[0] in own else []
        self.lost, self._met, self._unseen = "", set[str](), 1 << 16  # characters that are looked at

    @property
    def identity(self) -> str:
        """What the tokenizer consists of."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        inside = backend.to_str() if backend is not None else repr(sorted(self.tokenizer.get_vocab().items()))
        parts = (type(self.tokenizer).__name__, inside, str(getattr(self.tokenizer, "chat_template", None)), self.begin)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Without special tokens but those that the text itself spells.

        Raises:
            InvalidInputError: it spells the backspace.
        """
        try:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        except Exception as error:  # whatever a tokenizer breaks at
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise InvalidInputError(
                    "it holds half a character, a surrogate alone such as U+D83D; take it out"
                ) from None
            raise InvalidInputError(f"the tokenizer fails on it: {first_line(error)}; give another") from None
        self._look_for_lost(text)
        if ids and max(ids) >= self.vocabulary.size:
            spelt = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise InvalidInputError(f"the text spells {spelt}, which is an action and no text; write it otherwise")
        return ids

    def _look_for_lost(self, text: str) -> None:
        """Note characters of the first texts for which there is no id; marks that a normaliser may drop are none."""
        new = dict.fromkeys(text[: self._unseen]) if self._unseen > 0 else {}
        self._unseen -= len(text)
        for c in new:
            if c not in self._met and c.isprintable() and not c.isspace() and unicodedata.category(c)[0] != "M":
                self.lost += "" if self.tokenizer(c, add_special_tokens=False, verbose=False)["input_ids"] else c
        self._met.update(new)

    def pair(self, prompt: str | Chat, completion: str | Chat) -> tuple[list[int], list[int]]:
        """Each by itself, as it is when the model is asked; messages by the tokenizer's template."""
        if isinstance(prompt, str) and isinstance(completion, str):
            before, after = [*self.begin, *self.encode(prompt)] or [self.eos], self.encode(completion)
        else:
            before, after = map(
                self.encode, self._written(_messages(prompt, "user"), _messages(completion, "assistant"))
            )
            before = before or [self.eos]
        return before, self._ended(after)

    def decode(self, ids: Sequence[int]) -> str:
        """The text."""
        return str(self.tokenizer.decode(list(ids)))

    def _written(self, prompt: Chat, completion: Chat) -> tuple[str, str]:
        apply = self.tokenizer.apply_chat_template
        if not getattr(self.tokenizer, "chat_template", None):
            raise InvalidInputError("it holds messages, but the tokenizer has no chat template; give it one")
        try:
            before = apply(prompt, tokenize=False, add_generation_prompt=True)
            whole = apply([*prompt, *completion], tokenize=False)
        except Exception as error:  # a template is a program
            raise InvalidInputError(f"the chat template fails on it: {first_line(error)}") from None
        if not whole.startswith(before):
            raise InvalidInputError(
                "the chat template writes a prompt that the whole conversation does not begin with "
                f"({_apart(before, whole)}); give a tokenizer whose template writes both alike, or "
                "prompt and completion as texts"
            )
        return before, whole.removeprefix(before)

    def _ended(self, ids: list[int]) -> list[int]:
        """A completion without its `eos`; of what a template writes after that, only white space is left out."""
        if self.eos not in ids:
            return ids
        at = ids.index(self.eos)
        if self.decode([t for t in ids[at:] if t != self.eos]).strip():
            raise InvalidInputError(f"its completion goes on after {self.eos_text}, which ends a text")
        return ids[:at]


def _apart(prompt: str, whole: str) -> str:
    """Where they part."""
    at = in_common(prompt, whole)
    return f"{prompt[at : at + 20]!r} in the one, {whole[at : at + 20]!r} in the other"


def _messages(given: str | Chat, role: str) -> Chat:
    return [{"role": role, "content": given}] if isinstance(given, str) else given


def _check_completions(path: str, documents: Any, max_length: int) -> None:
    own = documents[documents[:, 1] >= 0]
    length = own[:, 2] - own[:, 1]
    if (length > max_length).any():
        raise InvalidInputError(
            f"{path}: {int((length > max_length).sum())} of {len(own)} completions are longer than "
            f"max_length={max_length}; give max_length={int(length.max())} (by --task-option), or shorter ones"
        )


def _tokenizer(given: Any) -> Any:
    return load_tokenizer(given) if isinstance(given, str | Path) else given
