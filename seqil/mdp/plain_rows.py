"""Trajectories as rows of tokens and labels, for trainers that know nothing of deletions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .vocabulary import Vocabulary

IGNORED = -100
"""Label of a token that does not count, in transformers' losses."""


def as_rows(
    v: Vocabulary,
    prompts: Tensor,
    actions: Tensor,
    lengths: Tensor,
    imitate: Tensor,
    log_prob: Tensor | None = None,
) -> list[dict[str, list[Any]]]:
    """One row per deletion, of the text that it was made in, and one per final text.

    The row of a deletion counts the token that is deleted and the backspace behind it, the row of a final text the
    tokens that stand: every action that is imitated counts once, after the text of its state. So the likelihood of the
    rows is that of the trajectories, but for actions that are not legal, which a plain trainer does not leave out.

    Args:
        v: the ids.
        prompts: int64 [B, P], padded with `v.size`.
        actions: int64 [B, T], padded likewise.
        lengths: int64 [B], of the actions.
        imitate: bool [B, T], whether an action counts.
        log_prob: [B, T], that rows are to hold those of their labels, 0 where none counts; None: they hold none.

    Returns:
        Dicts of `input_ids` and `labels`, as long as each other; labels are not shifted, `IGNORED` where none counts.
    """
    rows: list[list[tuple[int, int, float]]] = []
    columns = (prompts, actions, lengths, imitate, actions * 0.0 if log_prob is None else log_prob)
    for prompt, taken, length, counts, log in zip(*(column.tolist() for column in columns), strict=True):
        cells = [(token, IGNORED, 0.0) for token in prompt if token != v.size]
        for action, counted, one in zip(taken[:length], counts, log, strict=False):
            cells.append((action, action, one) if counted else (action, IGNORED, 0.0))
            if action == v.backspace:
                rows.append([*((token, IGNORED, 0.0) for token, _, _ in cells[:-2]), *cells[-2:]])
                del cells[-2:]
        rows.append(cells)
    names = ("input_ids", "labels") if log_prob is None else ("input_ids", "labels", "log_probs")
    counting = [row for row in rows if any(label != IGNORED for _, label, _ in row)]
    return [dict(zip(names, map(list, zip(*row, strict=True)), strict=False)) for row in counting]
