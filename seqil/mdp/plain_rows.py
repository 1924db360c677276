"""Trajectories as rows of tokens and labels, for trainers that know nothing of deletions."""

from __future__ import annotations

from .trajectory import Trajectories

IGNORED = -100
"""Label of a token that does not count, in transformers' losses."""


def as_rows(trajectories: Trajectories) -> list[dict[str, list[int]]]:
    """One row per deletion, of the text that it was made in, and one per final text.

    The row of a deletion counts the token that is deleted and the backspace behind it, the row of a final text the
    tokens that stand: every action that is imitated counts once, after the text of its state. So the likelihood of the
    rows is that of the trajectories, but for actions that are not legal, which a plain trainer does not leave out.

    Returns:
        Dicts of `input_ids` and `labels`, as long as each other; labels are not shifted, `IGNORED` where none counts.
    """
    v, rows = trajectories.vocabulary, []
    columns = (trajectories.prompts, trajectories.actions, trajectories.lengths, trajectories.imitate)
    for prompt, actions, length, counts in zip(*(column.tolist() for column in columns), strict=True):
        text = [token for token in prompt if token != v.size]
        labels = [IGNORED] * len(text)
        for action, counted in zip(actions[:length], counts, strict=False):
            text.append(action)
            labels.append(action if counted else IGNORED)
            if action == v.backspace:
                rows.append(_row(text, [IGNORED] * (len(text) - 2) + labels[-2:]))
                del text[-2:], labels[-2:]
        rows.append(_row(text, labels))
    return [row for row in rows if any(label != IGNORED for label in row["labels"])]


def _row(text: list[int], labels: list[int]) -> dict[str, list[int]]:
    return {"input_ids": list(text), "labels": list(labels)}
