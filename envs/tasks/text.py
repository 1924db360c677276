"""Any text of the user's, as bytes or through a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqil import Task, Trajectories, Vocabulary
from seqil.errors import InvalidInputError, first_line

from .base.requests import split_of
from .base.windows import Windows

_BLOCK = 32  # windows that go to one split together


class Text(Task):
    """Continuations of windows of one's own files.

    - **Tokens**: bytes (V = 257, `eos` = 256), or the ids of a Hugging Face tokenizer with its own `eos`.
    - **Items**: windows of `prompt_length` and `max_length` tokens that do not overlap, duplicates removed; split by
      the hash of file name and block, a block being 32 windows.
    - **Horizon**: fixed. **Teacher**, **first error**, **success**: none.

    Args:
        path: a UTF-8 text file, or a folder whose text files (any suffix, hidden ones left out) are read in order.
        tokenizer: a tokenizer, or the folder of one; None: bytes.
        prompt_length: tokens of the prompt.
        max_length: tokens of the continuation.

    Raises:
        InvalidInputError: nothing to read, not UTF-8, too short for a window, or a tokenizer without `eos`.
    """

    name = "text"

    def __init__(
        self, path: str | Path, tokenizer: str | Path | Any = None, prompt_length: int = 32, max_length: int = 96
    ) -> None:
        if not str(path):
            raise InvalidInputError("text: path is empty; give a text file or a folder of them")
        self.max_length = self.min_length = max_length
        self.tokenizer = _tokenizer(tokenizer)
        if self.tokenizer is None:
            self.vocabulary = Vocabulary(size=257, eos=256)
        else:
            self.vocabulary = Vocabulary.from_tokenizer(self.tokenizer)
        self.windows = Windows(
            self.name, self.vocabulary, prompt_length, max_length, self._blocks(Path(path), prompt_length + max_length)
        )
        if not any(self.windows.by_split.values()):
            raise InvalidInputError(f"{path} holds no window of {prompt_length} + {max_length} tokens; give more text")

    def available(self, split: str) -> int:
        """Windows."""
        return self.windows.available(split)

    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """Heads of windows."""
        return self.windows.prompts(n, split, seed)

    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """Their continuations."""
        return self.windows.demonstrations(n, split, seed)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text; `eos` is not shown, broken bytes as replacement characters."""
        kept = [t for t in tokens if t != self.vocabulary.eos]
        return bytes(kept).decode(errors="replace") if self.tokenizer is None else str(self.tokenizer.decode(kept))

    def _blocks(self, path: Path, width: int) -> Iterator[tuple[str, list[int]]]:
        for name, text in _read(path):
            ids = list(text.encode()) if self.tokenizer is None else self.tokenizer(text)["input_ids"]
            for block, at in enumerate(range(0, len(ids), _BLOCK * width)):
                yield split_of(self.name, f"{name}:{block}"), ids[at : at + _BLOCK * width]


def _read(path: Path) -> Iterator[tuple[str, str]]:
    if not path.exists():
        raise InvalidInputError(f"{path} does not exist; give a text file or a folder of them")
    folder = path.is_dir()
    if not folder and not path.is_file():
        raise InvalidInputError(f"{path} is a pipe or a device; give a text file or a folder of them")
    found = sorted(p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path))) if folder else [path]
    if not found:
        raise InvalidInputError(f"folder {path} holds no files; give a text file or a folder of them")
    for file in found:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"{file} cannot be read as UTF-8 text: {error}") from None
        if not text.strip() and not folder:
            raise InvalidInputError(f"{file} is empty; give a file with text in it")
        yield file.relative_to(path).as_posix() if folder else file.name, text


def _hidden(path: Path) -> bool:
    """Whether the file or a folder that it lies in is hidden: those of version control, say."""
    return any(part.startswith(".") for part in path.parts)


def _tokenizer(given: Any) -> Any:
    if not isinstance(given, str | Path):
        return given
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(given, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever a file may hold breaks transformers anywhere
        raise InvalidInputError(f"tokenizer {given} cannot be loaded: {first_line(error)}") from None
