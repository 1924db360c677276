"""Text as it was written, deletions included, as one SVG: animated where pictures are, and whole where they are not."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.cells import cell_len

from ..errors import InvalidInputError, visible
from ..mdp.rendering import in_common
from ..mdp.vocabulary import Vocabulary

Decode = Callable[[Sequence[int]], str]
_COLUMNS, _WIDE, _HIGH, _EDGE = 72, 8.4, 22, 18
_PAUSE = 12  # actions that the finished text is shown for
_SECONDS = 0.16  # per action
_MOST = 2000  # characters
_BROKEN = "\ufffd"
_STYLE = """
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;fill:#1d2330}
rect{fill:#fbfaf8;stroke:#d9d6cf}.p{fill:#5b6373}.g{fill:#b3261e;text-decoration:line-through}.n{opacity:0}
@media(prefers-color-scheme:dark){text{fill:#e7e9ee}rect{fill:#14171d;stroke:#2e343f}.p{fill:#a2aab8}.g{fill:#ff8a80}}
@media(prefers-reduced-motion:reduce){*{animation:none!important}}
"""


@dataclass(frozen=True)
class Character:
    """One that was ever shown: in which action it appeared, and in which it was deleted, if it was."""

    shown: str
    born: int
    died: int | None = None


def characters(
    vocabulary: Vocabulary, prompt: Sequence[int], actions: Sequence[int], decode: Decode
) -> list[Character]:
    """Every character of a text in the order of writing; those of the prompt are born at 0, actions count from 1."""
    standing: list[int] = []
    stages = [standing[:]]
    for action in actions:
        if action == vocabulary.backspace:
            standing.pop()
        elif action != vocabulary.eos:
            standing.append(action)
        stages.append(standing[:])
    return followed(prompt, stages, decode)


def followed(prompt: Sequence[int], stages: Sequence[Sequence[int]], decode: Decode) -> list[Character]:
    """Every character of a text in its place, of what stood behind the prompt at the beginning and after each action.

    Args:
        prompt: token ids.
        stages: token ids without `eos`; the first is there from the beginning.
        decode: text of ids.
    """
    found: list[Character] = [Character(one, 0) for one in visible(decode(prompt))]
    for at, standing in enumerate(stages):
        text = visible(decode([*prompt, *standing]))
        text = text if at == len(stages) - 1 else text.rstrip(_BROKEN)
        kept = [i for i, one in enumerate(found) if one.died is None]
        before = "".join(found[i].shown for i in kept)
        same = in_common(before, text)
        tail = min(in_common(before[::-1], text[::-1]), len(before) - same, len(text) - same)
        for i in kept[same : len(kept) - tail]:
            found[i] = replace(found[i], died=at)
        place = kept[len(kept) - tail] if tail else len(found)
        found[place:place] = [Character(one, at) for one in text[same : len(text) - tail]]
    return found


def svg(command: str, texts: Sequence[Sequence[Character]]) -> str:
    """The texts one after another below the command that wrote them, light or dark as the reader has it.

    Without animation, or where the reader wants no motion, it is the end: deleted text struck out where it stood.

    Raises:
        InvalidInputError: more text than a picture holds.
    """
    if sum(map(len, texts)) > _MOST:
        raise InvalidInputError(
            f"a recording holds {_MOST} characters; record fewer or shorter texts (-n, --max-length)"
        )
    pieces, offset, line = [_piece(0, 0, f"$ {command}"[:_COLUMNS], "p", "")], 0, 1
    total = sum(max((max(c.born, c.died or 0) for c in text), default=0) + 1 for text in texts) + _PAUSE
    times: dict[str, str] = {}
    for text in texts:
        for row, column, run in _runs(text):
            first, shown = run[0], "".join(c.shown for c in run)
            look = "p" if not first.born else ""
            begun, ended = offset + first.born, None if first.died is None else offset + first.died
            if ended is None:
                pieces.append(_piece(line + row, column, shown, look, _timed(times, begun, None, total)))
            else:
                pieces.append(_piece(line + row, column, shown, "n", _timed(times, begun, ended, total)))
                pieces.append(_piece(line + row, column, shown, "g", _timed(times, ended, None, total)))
        line += max((row for row, _, _ in _runs(text)), default=0) + 1
        offset += max((max(c.born, c.died or 0) for c in text), default=0) + 1
    width, height = round(_COLUMNS * _WIDE + 2 * _EDGE), line * _HIGH + 2 * _EDGE
    about = "Text as it was written; what was deleted is struck out: " + " / ".join(map(_plain, texts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{html.escape(about)}"><style>{_STYLE}{"".join(times.values())}</style>'
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>{"".join(pieces)}</svg>\n'
    )


def _runs(text: Sequence[Character]) -> Iterator[tuple[int, int, list[Character]]]:
    """Line, column and characters that appear together and vanish together; long lines are broken."""
    placed: list[tuple[int, int, Character]] = []
    row = column = 0
    for one in text:
        wide = 0 if one.shown == "\n" else cell_len(one.shown)
        if one.shown == "\n" or column + wide > _COLUMNS:
            row, column = row + 1, 0
        if wide:
            placed.append((row, column, one))
        column += wide
    for (line, _, _), run in groupby(placed, key=lambda p: (p[0], p[2].born, p[2].died)):
        found = list(run)
        yield line, found[0][1], [one for _, _, one in found]


def _piece(line: int, column: int, shown: str, look: str, time: str) -> str:
    classes = " ".join(filter(None, (look, time)))
    x, y = _EDGE + column * _WIDE, _EDGE + 15 + line * _HIGH
    wide = cell_len(shown) * _WIDE
    return (
        f'<text x="{x:.1f}" y="{y}" textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"'
        f"{f' class={chr(34)}{classes}{chr(34)}' if classes else ''}>{html.escape(shown)}</text>"
    )


def _timed(times: dict[str, str], begun: int, ended: int | None, total: int) -> str:
    """A class that is visible between two actions; its rules are added to `times`."""
    if begun == 0 and ended is None:
        return ""
    name = f"t{begun}" + ("" if ended is None else f"-{ended}")
    on, off = 100 * begun / total, 100 if ended is None else 100 * ended / total
    after = "" if ended is None else f"{off:.2f}%,100%{{opacity:0}}"
    times[name] = (
        f"@keyframes {name}{{0%{{opacity:0}}{on:.2f}%{{opacity:1}}{after}}}"
        f".{name}{{animation:{name} {total * _SECONDS:.1f}s step-end infinite}}"
    )
    return name


def _plain(text: Sequence[Character]) -> str:
    return "".join(f"[-{c.shown}-]" if c.died is not None else c.shown for c in text).replace("-][-", "")
