"""Text that appears as it is written, deletions included."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import torch
from rich.cells import cell_len
from torch import Tensor
from transformers import TextStreamer

from ..errors import InvalidInputError, visible
from ..errors.arguments import typed
from ..mdp.rendering import in_common
from ..mdp.vocabulary import Vocabulary

_STRUCK, _PLAIN = "\x1b[9;31m", "\x1b[0m"
_BROKEN = "\ufffd"
_DELETED = "\u232b"
_TAB = "\u2409"


class DeletionStreamer(TextStreamer):  # type: ignore[misc]
    """A streamer of transformers that knows the backspace: for `generate` and `complete`.

    On a terminal deleted text is struck out where it stands, or vanishes. Elsewhere nothing can be taken back: there,
    and where `NO_COLOR` or `TERM=dumb` forbid to strike out, each deleted character is followed by one `⌫`, as on a
    keyboard. Bytes of a character appear together; `eos` is not shown.

    Args:
        tokenizer: a tokenizer, or whatever else has `decode(ids)`: a task.
        backspace: id of the deletion; None: that of `<|backspace|>` in the tokenizer, or its number of ids.
        eos: id of the end; None: that of the tokenizer.
        skip_prompt: whether the first ids, which are the prompt, are left out.
        erase: whether deleted text vanishes instead of being struck out.
        decode_kwargs: for `tokenizer.decode`.
    """

    @typed
    def __init__(
        self,
        tokenizer: Any,
        backspace: int | None = None,
        eos: int | None = None,
        skip_prompt: bool = False,
        erase: bool = False,
        **decode_kwargs: Any,
    ) -> None:
        if not callable(getattr(tokenizer, "decode", None)):
            raise InvalidInputError(
                f"DeletionStreamer: tokenizer={tokenizer!r:.60} cannot decode ids; give a tokenizer or a task"
            )
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.backspace = _backspace_of(tokenizer) if backspace is None else backspace
        self.eos = getattr(tokenizer, "eos_token_id", None) if eos is None else eos
        self.erase = erase
        self.moves = _can_move(erase)
        self._begins = True
        self.standing: list[int] = []
        self._hidden = ""
        self._shown: list[tuple[str, bool]] = []  # characters, and whether they are struck out

    def put(self, value: Tensor | Sequence[int]) -> None:
        """The ids of the prompt, then one action after another, of one row."""
        ids = _ids(value)
        if self._begins:
            self._begins = False
            self.standing = ids
            if self.skip_prompt:
                self._hidden = self._text()
            self._show(self._text())
            return
        for token in ids:
            if token == self.backspace and not self.standing:
                raise InvalidInputError("DeletionStreamer: a deletion, and no id is left to delete")
            if token == self.backspace:
                self.standing.pop()
            elif token != self.eos:
                self.standing.append(token)
            self._show(self._text().rstrip(_BROKEN))

    def end(self) -> None:
        """Show what was held back, and make ready for another text."""
        self._show(self._text())
        self.on_finalized_text("", stream_end=True)
        self._begins = True
        self.standing, self._hidden, self._shown = [], "", []

    def _text(self) -> str:
        ids = [token for token in self.standing if token != self.eos]
        text = str(self.tokenizer.decode(ids, **self.decode_kwargs)) if ids else ""
        return text[in_common(text, self._hidden) :]

    def _show(self, text: str) -> None:
        """Bring the screen from the text before to this one."""
        text = visible(text)
        if self.moves:
            text = text.replace("\t", _TAB)  # whose width depends on where it stands
        kept = [at for at, (_, deleted) in enumerate(self._shown) if not deleted]
        before = "".join(self._shown[at][0] for at in kept)
        same = in_common(before, text)
        gone, more = kept[same:], [(character, False) for character in text[same:]]
        if not gone:
            self._shown += more
            self.on_finalized_text(text[same:])
        elif not self.moves:
            self._shown = [self._shown[at] for at in kept[:same]] + more
            self.on_finalized_text(_DELETED * len(gone) + text[same:])
        else:
            self._rewrite(gone, more)

    def _rewrite(self, gone: list[int], more: list[tuple[str, bool]]) -> None:
        """Go back to the first character that is gone, and write from there on."""
        back = self._back_to(gone[0])
        if self.erase:
            self._shown = self._shown[: gone[0]] + more
            self.on_finalized_text(back + "\x1b[J" + "".join(character for character, _ in more))
            return
        for at in gone:
            self._shown[at] = (self._shown[at][0], True)
        again = "".join(f"{_STRUCK}{c}{_PLAIN}" if deleted else c for c, deleted in self._shown[gone[0] :])
        self._shown += more
        self.on_finalized_text(back + again + "".join(character for character, _ in more))

    def _back_to(self, at: int) -> str:
        """From behind the last character to before character `at`."""
        text = "".join(character for character, _ in self._shown)
        (line, column), (last, _) = _place(text[:at]), _place(text)
        up = f"\x1b[{last - line}A" if last > line else ""
        return f"{up}\r" + (f"\x1b[{column}C" if column else "")


def _ids(value: Any) -> list[int]:
    """Ids of one row."""
    try:
        cells = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        cells = torch.empty(1)
    if cells.dim() > 1 and cells.shape[0] > 1:
        raise InvalidInputError(f"DeletionStreamer shows one row, not {cells.shape[0]}; generate one at a time")
    if cells.numel() and (cells.is_floating_point() or cells.is_complex() or cells.dtype == torch.bool):
        rest = "; give tokenizer(text).input_ids" if isinstance(value, str) else ""
        raise InvalidInputError(f"DeletionStreamer: {value!r:.60} are not ids{rest}")
    found: list[int] = cells.flatten().tolist()
    return found


def _place(text: str) -> tuple[int, int]:
    """Line and column behind a text on the screen, whose long lines are broken."""
    width = shutil.get_terminal_size().columns
    line = column = 0
    for character in text:
        if character == "\n":
            line, column = line + 1, 0
        else:
            column += cell_len(character)
            if column > width:
                line, column = line + 1, cell_len(character)
    return line, column


def _can_move(erase: bool) -> bool:
    terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return terminal and (erase or not os.environ.get("NO_COLOR"))


def _backspace_of(tokenizer: Any) -> int:
    known: dict[str, int] = getattr(tokenizer, "get_added_vocab", dict)()
    return known["<|backspace|>"] if "<|backspace|>" in known else Vocabulary.from_tokenizer(tokenizer).backspace
