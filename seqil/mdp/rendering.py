"""What was written and what was deleted, for readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from .vocabulary import Vocabulary


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


def spans(
    vocabulary: Vocabulary, actions: Iterable[int], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, bool]]:
    """Readable text in runs of kept and deleted tokens: `[("2 + 2 = ", False), ("5", True), ("4", False)]`."""
    runs = groupby(written(vocabulary, actions), key=lambda pair: pair[1])
    return [(decode([token for token, _ in run]), deleted) for deleted, run in runs]
