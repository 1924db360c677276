"""What was written and what was deleted, for readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from ..errors import InvalidInputError, visible
from .edits import DELETE, INSERT, SUBSTITUTE
from .vocabulary import Vocabulary

Decode = Callable[[Sequence[int]], str]
Span = tuple[str, bool]
"""A piece of text, and whether it was deleted."""

_STRUCK = "\u0336"
_BROKEN = "\ufffd"


def written(vocabulary: Vocabulary, actions: Iterable[int]) -> list[tuple[int, bool]]:
    """Every token that was written, in order, and whether it was deleted later."""
    tokens: list[tuple[int, bool]] = []
    standing: list[int] = []
    for action in actions:
        if action == vocabulary.backspace:
            at = standing.pop()
            tokens[at] = (tokens[at][0], True)
        else:
            standing.append(len(tokens))
            tokens.append((action, False))
    return tokens


def spans(vocabulary: Vocabulary, actions: Iterable[int], decode: Decode, prompt: Sequence[int] = ()) -> list[Span]:
    """Readable text in runs of kept and deleted tokens: `[("2 + 2 = ", False), ("5", True), ("4", False)]`.

    Kept text is decoded as a whole, after the prompt: joined, the kept runs are what `decode` gives, so that
    characters of several bytes and blanks between tokens are where they belong. A deleted run is what it added to the
    text before it, at least a replacement character.
    """
    return runs(written(vocabulary, actions), decode, prompt)


def revised(tokens: list[tuple[int, bool]], kind: int, place: int, token: int) -> list[tuple[int, bool]]:
    """`written` after one more edit, of a kind of `seqil.mdp.edits`: what it takes away stays where it was, deleted.

    `stop` and what is no kind change nothing.
    """
    standing = [at for at, (_, deleted) in enumerate(tokens) if not deleted]
    at = standing[place] if place < len(standing) else len(tokens)
    if kind == INSERT:
        return [*tokens[:at], (token, False), *tokens[at:]]
    if kind in (DELETE, SUBSTITUTE):
        instead = [(token, False)] if kind == SUBSTITUTE else []
        return [*tokens[:at], (tokens[at][0], True), *instead, *tokens[at + 1 :]]
    return tokens


def runs(tokens: Sequence[tuple[int, bool]], decode: Decode, prompt: Sequence[int] = ()) -> list[Span]:
    """`spans` of tokens, each with whether it was deleted."""
    kept = [token for token, deleted in tokens if not deleted]
    whole, standing = _read(decode, [*prompt, *kept]), 0
    reached = _shared(decode, prompt, whole)
    found: list[Span] = []
    for deleted, run in groupby(tokens, key=lambda pair: pair[1]):
        ids = [token for token, _ in run]
        if deleted:
            before = [*prompt, *kept[:standing]]
            text = _read(decode, [*before, *ids])
            found.append((text[_shared(decode, before, text) :] or _BROKEN, True))
        else:
            standing += len(ids)
            ends = standing == len(kept)
            upto = len(whole) if ends else max(reached, _shared(decode, [*prompt, *kept[:standing]], whole))
            found.append((whole[reached:upto], False))
            reached = upto
    return [(text, deleted) for text, deleted in found if text]


def continuation(decode: Decode, prompt: Sequence[int], text: Sequence[int]) -> str:
    """What ids add to the text of a prompt; where they change it, what they are by themselves."""
    before, whole = _read(decode, prompt), _read(decode, [*prompt, *text])
    return whole.removeprefix(before) if whole.startswith(before) else _read(decode, text)


def legible(runs: Iterable[Span]) -> list[Span]:
    """Runs without characters that a terminal would obey, for readers."""
    return [(visible(text), deleted) for text, deleted in runs]


def struck(runs: Iterable[Span]) -> str:
    """Deleted text struck out by combining characters."""
    return "".join("".join(c + _STRUCK for c in text) if deleted else text for text, deleted in runs)


def marked(runs: Iterable[Span]) -> str:
    """Deleted text between `[-` and `-]`, for where nothing can be struck out."""
    return "".join(f"[-{text}-]" if deleted else text for text, deleted in runs)


def _read(decode: Decode, ids: Sequence[int]) -> str:
    text = decode(ids) if ids else ""
    if not isinstance(text, str):
        raise InvalidInputError(f"decode of a task or tokenizer gave {text!r:.60}; return a string")
    return text


def _shared(decode: Decode, ids: Sequence[int], text: str) -> int:
    """Characters that a text has in common with what stands before, whose last one may still be incomplete."""
    return in_common(_read(decode, ids), text)


def in_common(one: str, other: str) -> int:
    """Characters at the beginning that two texts have in common."""
    differ = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
