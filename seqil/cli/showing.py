"""Samples for readers: on a terminal, in plain text, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ..mdp.rendering import Span, marked, spans
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories

_END_OF_PROMPT = "[|]"
_BETWEEN = "---"


def shown_as(asked: str | None, console: Console) -> str:
    """`ansi` where deleted text can be struck out, else `marks`, unless something is asked for."""
    styled = console.is_terminal and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return asked or ("ansi" if styled else "marks")


def show(console: Console, task: Task, prompts: Sequence[Sequence[int]], written: Trajectories, form: str) -> None:
    """Print prompts and what was written, one sample after another.

    Args:
        console: where to.
        task: its `decode` makes text of ids.
        prompts: of the rows.
        written: the rows.
        form: `ansi`: prompts dim, deleted text struck out; `marks`: `[|]` after the prompt, `[-` and `-]` around
            deleted text; `json`: an object per line with `prompt`, `text`, `spans` (pairs of a text and whether it was
            deleted) and `ended`.
    """
    rows = zip(prompts, written.actions.tolist(), written.lengths.tolist(), written.ended.tolist(), strict=True)
    samples = [
        (task.decode(prompt), spans(task.vocabulary, actions[:length], task.decode, prompt), ended)
        for prompt, actions, length, ended in rows
    ]
    apart = any("\n" in prompt + text for prompt, runs, _ in samples for text, _ in runs)
    for number, (prompt, runs, ended) in enumerate(samples):
        if form == "json":
            print(_as_json(prompt, runs, ended), file=console.file)
            continue
        if number and apart:
            console.print(_BETWEEN)
        if form == "ansi":
            print_styled(console, prompt, runs)
        elif console.is_terminal:  # which control characters would confuse
            console.print(f"{prompt}{_END_OF_PROMPT}{marked(runs)}", soft_wrap=True)
        else:
            print(f"{prompt}{_END_OF_PROMPT}{marked(runs)}", file=console.file)


def _as_json(prompt: str, runs: Sequence[Span], ended: bool) -> str:
    text = "".join(text for text, deleted in runs if not deleted)
    return json.dumps({"prompt": prompt, "text": text, "spans": [list(run) for run in runs], "ended": ended})


def print_styled(console: Console, prompt: str, runs: Sequence[Span]) -> None:
    """A line with its beginning dim and deleted text struck out."""
    line = Text(prompt, style="dim")
    for text, deleted in runs:
        line.append(text, style="strike red" if deleted else "not dim")
    forced = Console(file=console.file, highlight=False, markup=False, force_terminal=True, color_system="standard")
    forced.print(line, soft_wrap=True)
