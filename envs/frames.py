"""A text and its deletions as a picture, for videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqil.errors import MissingExtraError
from seqil.mdp.rendering import Span

WIDTH, HEIGHT = 640, 240
_SIZE, _LINE, _MARGIN = 18, 26, 16
_PAPER, _PROMPT, _INK, _GONE = (251, 250, 248), (91, 99, 115), (29, 35, 48), (179, 38, 30)

Frame = NDArray[np.uint8]


def frame(prompt: str, runs: Sequence[Span]) -> Frame:
    """The prompt grey, kept text black, deleted text red and struck out; uint8 [240, 640, 3], the last lines that fit.

    Args:
        prompt: as text.
        runs: pieces of text, and whether each was deleted.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise MissingExtraError(
            "render_mode='rgb_array' needs Pillow; in the folder of seqil: pip install -e '.[render]'"
        ) from None
    font = ImageFont.load_default(_SIZE)
    picture = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    coloured = [(prompt, _PROMPT), *((text, _GONE if deleted else _INK) for text, deleted in runs)]
    placed = [*_placed(coloured, font)]
    first = max((line for line, *_ in placed), default=0) - (HEIGHT - 2 * _MARGIN) // _LINE + 1
    for line, x, character, colour in placed:
        y = _MARGIN + (line - max(first, 0)) * _LINE
        if line >= first:
            draw.text((x, y), character, fill=colour, font=font)
            if colour == _GONE:
                draw.line((x, y + _SIZE * 0.6, x + font.getlength(character), y + _SIZE * 0.6), fill=colour, width=2)
    return np.asarray(picture, dtype=np.uint8).copy()


def _placed(
    pieces: Sequence[tuple[str, tuple[int, int, int]]], font: Any
) -> Iterator[tuple[int, float, str, tuple[int, int, int]]]:
    """Line, left edge and colour of every character; long lines are broken."""
    line, x = 0, float(_MARGIN)
    for text, colour in pieces:
        for character in text:
            wide = font.getlength(character)
            if character == "\n" or x + wide > WIDTH - _MARGIN:
                line, x = line + 1, float(_MARGIN)
            if character != "\n":
                yield line, x, character, colour
                x += wide
