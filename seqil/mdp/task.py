"""What a task is: prompts, demonstrations, and whatever is known exactly about them."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import InvalidInputError, check_known
from ..errors.arguments import check_count, check_kind, on_one_line, typed
from ..errors.limits import check_lengths, check_memory, within_budget
from .prefix import Prefixes, ids_of
from .trajectory import Trajectories
from .vocabulary import Vocabulary

SPLITS = ("train", "valid", "test")
"""Of the items of every task."""

Method = TypeVar("Method", bound=Callable[..., Any])


class Task(ABC):
    """A source of prompts and demonstrations with, where they are known, an exact teacher and a judge.

    Attributes:
        name: the id, as on the command line.
        vocabulary: the ids of its tokens.
        max_length: most generated tokens that a text of the task needs, `eos` not counted.
        min_length: fewest generated tokens before `eos`; equal to `max_length` on a fixed-horizon task.
        max_actions: most actions of one sampled text, deletions and `eos` included, that its numbers are measured with
            (see `budget`). A task says it where errors show long after they were made, so that much is deleted again
            and again; None: four per token.
        judged: whether `first_error` is to be believed: so it is where a task defines it, unless the task says no.
        one_guess: whether a text holds one guess and all else can be read off what stands. Then first errors sit at its
            position, and errors per token at risk are the share of wrong texts under another name: not reported.
        beyond_data: whether success asks for more than the demonstrations show, so that they have none themselves.
    """

    name: str
    vocabulary: Vocabulary
    max_length: int
    min_length: int = 0
    max_actions: int | None = None
    judged: bool = False
    one_guess: bool = False
    beyond_data: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "judged" not in vars(cls):
            cls.judged = cls.first_error is not Task.first_error
        for name, checked in _DOORS.items():
            if inspect.isfunction(vars(cls).get(name)):
                setattr(cls, name, checked(vars(cls)[name]))

    @abstractmethod
    def prompts(self, n: int, split: str, seed: int) -> list[list[int]]:
        """The prompts of the first `n` items of a split: at least one token each."""

    @abstractmethod
    def demonstrations(self, n: int, split: str, seed: int) -> Trajectories:
        """The first `n` items of a split, without backspaces, each ended by `eos`; same prompts as `prompts`."""

    def available(self, split: str) -> int | None:
        """How many items there are in a split; None: as many as one asks for."""
        check_known("split", split, SPLITS)
        return None

    def at_most(self, n: int, split: str) -> int:
        """`n`, or what there is where a split has fewer items."""
        check_count("Task.at_most", "n", n)
        there = self.available(split)
        return n if there is None else min(n, there)

    @typed
    def budget(self, asked: int | None = None, max_length: int | None = None) -> int:
        """The most actions that a sampled text may take: whatever samples from the task asks here.

        Success is a function of it, for a text that is still mending when it is spent counts as unfinished. So all
        numbers of a task are of one budget, unless somebody asked for another.

        Args:
            asked: for; None: `max_actions`, and of longer texts than the task's at least four per token.
            max_length: most generated tokens, if not the task's.
        """
        length = self.max_length if max_length is None else max_length
        check_lengths(length, 0)
        if asked is None and self.max_actions is not None:
            asked = self.max_actions if length <= self.max_length else max(self.max_actions, 4 * length)
        return within_budget(asked, length)

    def next_distribution(self, prefixes: Prefixes) -> Tensor | None:
        """The teacher's law of the next token, float64 [B, V], rows that sum to 1; None where there is no teacher.

        After an error the row is the teacher's law at some continuation that the task defines, or uniform.
        """
        return None

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """Index into `tokens` (the generated text) of the first wrong one; None if there is none, or no judge."""
        return None

    def first_unknown_word(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """A proxy for the first error where no token is impossible, as an index into `tokens`; None if there is none.

        It judges where a task defines it and is not `judged`: what it finds need not be wrong, so deletions are not
        measured against it.
        """
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether the generated text of each prefix holds an error: bool [B], as `first_error` says of each.

        A task that is asked for many prefixes, by an expert say, had better decide this for all of them at once.
        """
        if type(self).first_error is Task.first_error:
            return torch.zeros_like(prefixes.ended)
        texts = zip(prefixes.texts(prompt=True), prefixes.prompt_length.tolist(), strict=True)
        wrong = [self.first_error(text[:n], text[n:]) is not None for text, n in texts]
        return torch.tensor(wrong, dtype=torch.bool, device=prefixes.tokens.device)

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool | None:
        """Whether the generated text, `eos` included, is right; None where that is not defined."""
        return None

    def attribute(self, prefixes: Prefixes) -> Tensor | None:
        """A number of each text that is to be high, float64 [B], for agents that improve texts; None: there is none."""
        return None

    def confusions(self, prefixes: Prefixes) -> Tensor | None:
        """Plausible wrong tokens at each prefix, as weights float [B, V]; None where the task has none of its own."""
        return None

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids as readable text."""
        tokens = _tokens(self, tokens)
        return " ".join("</s>" if t == self.vocabulary.eos else str(t) for t in tokens)

    def pieces(self) -> list[bytes | None]:
        """What each token adds to a text, in UTF-8; None: it is no text. For rules about the text of a task."""
        return [self.decode([token]).encode() for token in range(self.vocabulary.size)]

    def encode(self, text: str) -> list[int]:
        """A prompt as ids: the longest token that `decode` shows so, one after another, blanks between them skipped.

        An empty text is the start token, `eos`.

        Raises:
            InvalidInputError: a text that is none of the task's.
        """
        shown = {self.decode([token]): token for token in reversed(range(self.vocabulary.size))}
        shown.pop("", None)
        ids, at = [], 0
        while at < len(text):
            fitting = (n for n in range(max(map(len, shown)), 0, -1) if text[at : at + n] in shown)
            n = next(fitting, 0)
            if n:
                ids.append(shown[text[at : at + n]])
            elif not text[at].isspace():
                raise InvalidInputError(f"task {self.name!r} has no token for {text[at:]!r:.40}")
            at += max(n, 1)
        return ids or [self.vocabulary.eos]


def _tokens(task: Task, tokens: Any) -> list[int]:
    try:
        ids = ids_of(tokens)
    except TypeError:
        shown = on_one_line(tokens, 60)
        raise InvalidInputError(f"task {task.name!r}: tokens={shown} are no ids; give a list of ints") from None
    foreign = [token for token in ids if not 0 <= token < task.vocabulary.size]
    if foreign:
        known = f"they go from 0 to {task.vocabulary.size - 1}"
        raise InvalidInputError(f"task {task.name!r} has no token {on_one_line(foreign[0], 40)}; {known}")
    return ids


def _of_items(method: Method) -> Method:
    @wraps(method)
    def checked(self: Task, n: int, split: str, seed: int) -> Any:
        check_known("split", split, SPLITS)
        if n > _MANY:
            held = 24 * self.at_most(n, split) * (self.max_length + 1)
            check_memory(held, f"{n:,} items of task {self.name!r}", "ask for fewer")
        return method(self, n, split, seed)

    return typed(checked)  # type: ignore[return-value]


def _of_split(method: Method) -> Method:
    @wraps(method)
    def checked(self: Task, split: str) -> Any:
        check_known("split", split, SPLITS)
        return method(self, split)

    return checked  # type: ignore[return-value]


def _of_text(method: Method) -> Method:
    @wraps(method)
    def checked(self: Task, *args: Any, **options: Any) -> Any:
        try:
            return method(self, *args, **options)
        except InvalidInputError:
            raise
        except (TypeError, ValueError, LookupError, RuntimeError):
            for ids in args[:2]:
                _tokens(self, ids)
            raise

    return checked  # type: ignore[return-value]


def _of_states(method: Method) -> Method:
    @wraps(method)
    def checked(self: Task, *args: Any, **options: Any) -> Any:
        if args:
            check_kind(f"task {getattr(self, 'name', '')!r}", "prefixes", args[0], Prefixes)
        return method(self, *args, **options)

    return checked  # type: ignore[return-value]


def _of_tokens(method: Method) -> Method:
    @wraps(method)
    def checked(self: Task, tokens: Sequence[int]) -> Any:
        return method(self, _tokens(self, tokens))

    return checked  # type: ignore[return-value]


_MANY = 10**6
_DOORS: dict[str, Callable[[Any], Any]] = {
    "__init__": typed,
    "prompts": _of_items,
    "demonstrations": _of_items,
    "available": _of_split,
    "decode": _of_tokens,
    "first_error": _of_text,
    "success": _of_text,
    "next_distribution": _of_states,
    "has_error": _of_states,
    "attribute": _of_states,
    "confusions": _of_states,
}
"""What every task checks of the arguments of a method."""
