"""What the constructors of environments are given, refused by name where it cannot be used."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from seqil import Task, Vocabulary
from seqil.errors import InvalidInputError, SignatureError, suggested
from seqil.errors.arguments import on_one_line, typed
from seqil.errors.limits import check_lengths
from seqil.mdp.memory import Memory
from seqil.mdp.prefix import pad_prompts
from seqil.runs import plugins

_ELSEWHERE = {"max_episode_steps": "; here an episode ends after max_actions"}
"""What `gymnasium.make_vec` hands on to an environment that is a vector itself."""

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def checked_arguments(initialize: Constructor) -> Constructor:
    """A constructor that refuses arguments which it does not know or lacks, or that are of another kind.

    Raises:
        SignatureError: when called, for the first two, since others (TorchRL's `GymEnv`) try and catch a `TypeError`.
        InvalidInputError: when called, for numbers, switches and texts that are none, and for sizes beyond the memory.
    """
    signature, kinds = inspect.signature(initialize), typed(initialize)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    known = [p.name for p in parameters]
    placed = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    @wraps(initialize)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        where = type(self).__name__
        for name in options:
            if name not in known:
                raise SignatureError(
                    f"{where} got an unexpected keyword argument {name!r}; it has: {', '.join(known)}"
                    f"{_of_its_task(name, options.get('task'))}{_ELSEWHERE.get(name) or suggested(name, known)}"
                )
        if len(args) > len(placed):
            raise SignatureError(
                f"{where} takes {' and '.join(placed)} alone by place, and got {args[len(placed)]!r:.60}, too; "
                f"give it by name, {known[len(placed)]}=… say"
            )
        try:
            signature.bind(self, *args, **options)
        except TypeError as error:
            raise SignatureError(f"{where}: {error}") from None
        try:
            kinds(self, *args, **options)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            raise InvalidInputError(
                f"{where}: so many cells fit into no memory; lower max_length, max_actions or the number of rows"
            ) from None

    return cast(Constructor, checked)


def check_options(options: Any) -> None:
    """Refuse options of a reset that are no mapping."""
    if not (options is None or isinstance(options, Mapping)):
        raise InvalidInputError(f"options={options!r:.60} of a reset is not a mapping, {{'prompt': ids}} say")


def task_of(given: Task | str | None) -> Task | None:
    """A task, or the one of an id or of `my_task.py:Class`; none where none is given."""
    if isinstance(given, str):
        made: Task = plugins.construct("tasks", given)
        return made
    if isinstance(given, type) and issubclass(given, Task):
        raise InvalidInputError(f"task={given.__name__} is a class; give one of its tasks, {given.__name__}()")
    if not (given is None or isinstance(given, Task)):
        raise InvalidInputError(f"task={given!r:.60} is not a task: subclass seqil.Task")
    return given


def vocabulary_of(given: Vocabulary | Mapping[str, int] | None, task: Task | None) -> Vocabulary:
    """The vocabulary that is given, or the task's."""
    if given is None:
        if task is None:
            raise InvalidInputError("the environment needs a vocabulary, or a task, which has one")
        given = task.vocabulary
    vocabulary = Vocabulary.of(given)
    if task is not None and task.vocabulary != vocabulary:
        raise InvalidInputError(f"the task is over {task.vocabulary}, the environment over {vocabulary}")
    return vocabulary


def lengths_of(max_length: int | None, min_length: int | None, task: Task | None) -> tuple[int, int]:
    """Both limits; the task's, if the longest text is not given."""
    if max_length is None:
        if task is None:
            raise InvalidInputError("the environment needs max_length, or a task, which has one")
        max_length, min_length = task.max_length, task.min_length if min_length is None else min_length
    least = min_length or 0
    check_lengths(max_length, least)
    return operator.index(max_length), operator.index(least)


def prompts_of(vocabulary: Vocabulary, given: Any) -> list[list[int]]:
    """Prompts as id lists of at least one token: an empty one is the start token."""
    prompts = [prompt or [vocabulary.eos] for prompt in id_lists("prompts", given)]
    pad_prompts(vocabulary, prompts)
    return prompts


def seed_of(given: Any, kind: str = "not an int") -> int | None:
    """A seed as Python's own integer, which is what Gymnasium takes; None: none."""
    if given is None:
        return None
    try:
        if isinstance(given, bool | np.bool_):
            raise TypeError
        seed = operator.index(given)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInputError(f"seed={on_one_line(given, 60)} is {kind}; give 0, say") from None
    if seed < 0:
        raise InvalidInputError(f"seed={seed} is negative; give an int of at least 0")
    return seed


def id_lists(name: str, given: Any) -> list[list[int]]:
    """Lists of ids, as Python's own integers."""
    try:
        return [[operator.index(token) for token in row] for row in given]
    except (TypeError, ValueError, RuntimeError):
        shown = " ".join(repr(given).split())
        raise InvalidInputError(f"{name}={shown:.60} must be lists of integer ids, [[0, 1], [2]] say") from None


def check_memory(memory: Memory, backspace: bool) -> None:
    """Refuse a memory of deletions where there are none."""
    if memory.name != "prefix" and not backspace:
        raise InvalidInputError(
            f"memory={memory.name!r} remembers deletions, which backspace=False rules out; leave one of them out"
        )


def _of_its_task(option: str, task: Any) -> str:
    """Where an option belongs that the task has."""
    cls: type = plugins.load("tasks", task) if isinstance(task, str) else type(task)
    if task is None or option not in plugins.parameters(cls):
        return ""
    return f"; the task has it: give task={cls.__name__}({option}=…), of {cls.__module__}"
