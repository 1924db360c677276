"""Real English with code in it: the docstrings of Python's standard library."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from seqil import Task, Vocabulary
from seqil.errors import InvalidInputError

from ..base.excerpts import ExcerptTask, Windows
from ..base.requests import split_of

_FIRST = ord(" ") - 1  # id 0 is the newline, ids 1 … 95 are the characters from space to tilde
_WORD = re.compile(r"[A-Za-z]+")


class Docstrings(Task):
    """Texts of the characters of docstrings: ids, words, and what is no word."""

    vocabulary = Vocabulary(size=97, eos=96)

    @property
    def words(self) -> frozenset[str]:
        """Every word of the snapshot, all splits."""
        return _words()

    def first_unknown_word(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """Index into `tokens` of the last letter of the first word that the snapshot lacks; None if there is none.

        A word counts once it is finished; one that began before the prompt or was cut at the end does not.
        """
        text = self.decode([*prompt, *(t for t in tokens if t != self.vocabulary.eos)])
        for match in _WORD.finditer(text):
            inside = match.start() > 0 and len(prompt) < match.end() < len(text)
            if inside and match.group() not in self.words:
                return match.end() - 1 - len(prompt)
        return None

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters; `eos` is not shown."""
        return "".join("\n" if t == 0 else chr(t + _FIRST) for t in tokens if t != self.vocabulary.eos)


class PyDoc(Docstrings, ExcerptTask):
    """Continuations of docstrings, character by character.

    - **Tokens**: newline, the 95 printable ASCII characters, and `eos`: V = 97.
    - **Items**: a frozen snapshot (CPython, PSF licence, beside this file), cut into windows of `prompt_length` and
      `max_length` characters that do not overlap; split by module, duplicates removed.
    - **Horizon**: fixed; `eos` follows the last character of the window.
    - **Teacher**, **first error**, **success**: none; `first_unknown_word` is a proxy for the first error.

    Args:
        prompt_length: characters of the prompt.
        max_length: characters of the continuation.
    """

    name = "pydoc"

    def __init__(self, prompt_length: int = 32, max_length: int = 96) -> None:
        self.max_length = self.min_length = max_length
        self.windows = Windows.of_parts(
            self.name,
            self.vocabulary,
            prompt_length,
            max_length,
            ((split_of(self.name, module), encode(text)) for module, text in snapshot()),
        )


def encode(text: str) -> list[int]:
    """Characters as ids; text must be printable ASCII and newlines."""
    return [0 if character == "\n" else ord(character) - _FIRST for character in text]


@lru_cache(maxsize=1)
def snapshot() -> tuple[tuple[str, str], ...]:
    """Pairs of module and docstring, checked against the manifest."""
    folder = files("envs.tasks") / "data"
    packed = (folder / "pydoc.json.xz").read_bytes()
    manifest = json.loads((folder / "pydoc.manifest.json").read_text(encoding="utf-8"))
    if hashlib.sha256(packed).hexdigest() != manifest["sha256"]:
        raise InvalidInputError("pydoc.json.xz differs from its manifest; install seqil again")
    return tuple((module, text) for module, texts in json.loads(lzma.decompress(packed)) for text in texts)


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    return frozenset(word for _, text in snapshot() for word in _WORD.findall(text))
