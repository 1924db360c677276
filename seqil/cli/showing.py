"""Samples for readers: on a terminal, in plain text, and as JSON; also while a run goes on."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.text import Text
from torch import Tensor

from ..capacity import read_bytes
from ..decoding import Rule
from ..drawing import Drawn, drawn
from ..errors import InvalidInputError, SeqilError, visible
from ..errors.command_line import UnprintedError, to_nowhere
from ..errors.guarded_folders import refuse_guarded
from ..errors.limits import check_room
from ..integrations import trackers
from ..mdp.prefix import Prompts
from ..mdp.rendering import Span, legible, marked
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..metrics import cost
from ..policy.token_policy import TokenPolicy
from ..revision import WholeTextPolicy
from ..runs.checkpoint import RunFolder
from ..runs.option_types import mismatch, read, types_of
from ..runs.resumption import warn
from .validation import Validation

_END_OF_PROMPT = "[|]"
_BETWEEN = "---"
_SAMPLES = 3

Say = Callable[[str, int], None]


def shown_as(asked: str | None, console: Console) -> str:
    """`ansi` where deleted text can be struck out, else `marks`, unless something is asked for."""
    styled = console.is_terminal and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return asked or ("ansi" if styled else "marks")


def show(console: Console, task: Task, prompts: Sequence[Sequence[int]], found: Drawn, form: str) -> None:
    """Print prompts and what was written, one sample after another.

    Args:
        console: where to.
        task: its `decode` makes text of ids.
        prompts: of the rows.
        found: the texts behind them.
        form: `ansi`: prompts dim, deleted text struck out; `marks`: `[|]` after the prompt, `[-` and `-]` around
            deleted text; `json`: an object per line with `prompt`, `text`, `spans` (pairs of a text and whether it was
            deleted) and `ended`.
    """
    rows = enumerate(zip(prompts, found.trajectories.ended.tolist(), strict=True))
    samples = [(task.decode(prompt), found.spans(task, prompt, row), ended) for row, (prompt, ended) in rows]
    apart = any("\n" in prompt + text for prompt, runs, _ in samples for text, _ in runs)
    for number, (prompt, runs, ended) in enumerate(samples):
        if form == "json":
            print(_as_json(prompt, runs, ended), file=console.file)
            continue
        if number and apart:
            console.print(_BETWEEN)
        prompt, runs = visible(prompt), legible(runs)
        if form == "ansi":
            print_styled(console, prompt, runs)
        else:
            print(f"{prompt}{_END_OF_PROMPT}{marked(runs)}", file=console.file)


def texts(
    task: Task,
    policy: TokenPolicy | WholeTextPolicy,
    prompts: Prompts,
    temperature: float,
    seed: int,
    rules: Sequence[Rule] = (),
    max_length: int | None = None,
    max_actions: int | None = None,
    **more: Any,
) -> Drawn:
    """One text per prompt, within the budget of the task unless another is asked for; `more` is of `drawn`."""
    _check_actions(policy, max_actions)
    budget = task.budget(max_actions, max_length)
    if not isinstance(policy, WholeTextPolicy):
        _check_room(task, budget, max_length, more.get("min_length"))
    return drawn(
        task,
        policy,
        prompts,
        generator=torch.Generator().manual_seed(seed),
        max_actions=budget,
        max_length=max_length,
        temperature=temperature,
        rules=rules,
        **more,
    )


def check_sampling(
    task: Task, policy: TokenPolicy | WholeTextPolicy, prompts: Sequence[Tensor], max_actions: int | None
) -> None:
    """Refuse, before anything is trained, what could not be sampled when it is.

    Args:
        task: of the run.
        policy: of the run.
        prompts: cells int64 [B, P] of prompts that texts are to be written after.
        max_actions: of a text; None: the task's budget.

    Raises:
        InvalidInputError: a budget of no use, or within which no text can end, or more positions than the model has.
    """
    _check_actions(policy, max_actions)
    if isinstance(policy, WholeTextPolicy):
        return
    budget = task.budget(max_actions)
    check_room(budget, task.min_length)
    for cells in prompts:
        policy.check_positions(cells.shape[1] + (task.max_length if policy.memory.rewinds else budget - 1))


def _check_room(task: Task, budget: int, max_length: int | None, min_length: int | None) -> None:
    least = min(task.min_length, max_length or task.max_length)
    check_room(budget, least if min_length is None else min_length)


def _check_actions(policy: TokenPolicy | WholeTextPolicy, max_actions: int | None) -> None:
    """Refuse a budget of actions where there are none."""
    if max_actions is not None and isinstance(policy, WholeTextPolicy):
        raise InvalidInputError("--max-actions would do nothing: whole texts are not written by actions; leave it out")


def manner(policy: TokenPolicy | WholeTextPolicy, asked: Mapping[str, str]) -> dict[str, Any]:
    """`{"block": "4"}` as arguments of the policy's `manner`, each read as its annotation says."""
    if not asked:
        return {}
    if not isinstance(policy, WholeTextPolicy):
        raise InvalidInputError("--writing would do nothing: this run writes token by token; leave it out")
    known = types_of(policy.manner)
    found = {name: read(text, known.get(name)) for name, text in asked.items()}
    if wrong := mismatch(found, known):
        raise InvalidInputError(f"--writing: {wrong}")
    return found


def streamed(
    task: Task,
    policy: TokenPolicy | WholeTextPolicy,
    prompts: Sequence[Sequence[int]],
    temperature: float,
    seed: int,
    rules: Sequence[Rule],
    max_length: int | None,
    max_actions: int | None,
    **more: Any,
) -> Drawn:
    """The same, one after another, each shown as it is written."""
    from ..rollouts.streaming import DeletionStreamer

    if isinstance(policy, WholeTextPolicy):
        raise InvalidInputError("--stream is for policies that write token by token; leave it out")
    _check_room(task, task.budget(max_actions, max_length), max_length, more.get("min_length"))
    parts: list[Trajectories] = []
    apart = any("\n" in task.decode(prompt) for prompt in prompts)
    for row, prompt in enumerate(prompts):
        if parts and (apart := apart or "\n" in task.decode(parts[-1].replay().texts()[0])):
            print(_BETWEEN, flush=True)
        streamer = DeletionStreamer(task, task.vocabulary.backspace, task.vocabulary.eos)
        streamer.put(prompt)

        def watch(_: int, action: int, streamer: DeletionStreamer = streamer) -> None:
            streamer.put([action])

        own: dict[str, Any] = {"streams": torch.tensor([row]), "watch": watch, **more}
        found = texts(task, policy, [prompt], temperature, seed, rules, max_length, max_actions, **own)
        parts.append(found.trajectories)
        streamer.end()
    acted = Trajectories.cat(parts)
    return Drawn(acted, cost(acted, rules))


def check_target(option: str, path: Path | None, *suffixes: str) -> None:
    """Refuse a file that cannot be written, or whose name says that something else is meant to be in it."""
    if path is None:
        return
    refuse_guarded(option, path)
    if path.is_dir():
        raise InvalidInputError(f"{option} {path}: it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise InvalidInputError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if suffixes and path.suffix.lower() not in suffixes and (path.is_file() or not path.exists()):  # no device
        raise InvalidInputError(
            f"{option} {path}: it holds {suffixes[0][1:].upper()}; name a file {path.stem}{suffixes[0]}"
        )


def check_numbers(option: str, path: Path | None) -> None:
    """Refuse to write over a file that is there and holds anything but the numbers of an evaluation."""
    if path is None or not path.is_file() or not path.stat().st_size:
        return
    try:
        found = json.loads(read_bytes(path))
    except (ValueError, SeqilError, RecursionError):
        found = None
    if not isinstance(found, dict) or "estimates" not in found:
        raise InvalidInputError(f"{option} {path}: it is there and holds no evaluation; choose another file")


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


class _Outlasting:
    """A stream whose reader may go away."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Into nothing, once nobody reads."""
        self._kept(self.stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        self._kept(self.stream.flush)

    def _kept(self, act: Callable[..., Any], *args: Any) -> None:
        try:
            act(*args)
        except BrokenPipeError:
            to_nowhere(self.stream)
            warn("nobody reads what is printed any more; the run goes on")
        except UnprintedError as error:
            warn(f"{error}; the run goes on")


@contextmanager
def outlasting() -> Iterator[None]:
    """What goes on for hours does not end because `head` at the other end of a pipe has ended, or a disk is full."""
    if sys.stdout is None:  # it was closed
        yield
        return
    with redirect_stdout(cast(Any, _Outlasting(sys.stdout))):
        yield


class Samples:
    """What the policy writes after the first prompts of held-out items, always with the same random numbers.

    Args:
        console: where to.
        task: of the run.
        max_actions: of a sample; None: the task's budget.
        say: is told the text of them all, and the step.
    """

    def __init__(self, console: Console, task: Task, max_actions: int | None, say: Say) -> None:
        self.console, self.task, self.say = console, task, say
        self.budget = task.budget(max_actions)

    def __call__(self, step: int, policy: TokenPolicy) -> None:
        """Show those of a step."""
        task = self.task
        prompts = task.prompts(task.at_most(_SAMPLES, "valid"), "valid", 0)
        written = texts(task, policy, prompts, 1.0, 0, max_actions=self.budget)
        self.console.print(f"samples at step {step}:")
        show(self.console, task, prompts, written, shown_as(None, self.console))
        plain = StringIO()
        show(Console(file=plain, highlight=False, markup=False), task, prompts, written, "marks")
        self.say(plain.getvalue(), step)


@contextmanager
def watched(
    console: Console,
    run: RunFolder,
    task: Task,
    validation: Validation | None,
    max_actions: int | None,
    track: Sequence[str],
    step: int,
) -> Iterator[None]:
    """Tell trackers what a run logs from a step on, where it is ours, and show samples where it is validated."""
    with trackers.tracking(run.path, run.listeners, track if run.ours else (), step) as told:
        if validation is not None:
            validation.show = Samples(console, task, max_actions, told.say)
        yield
