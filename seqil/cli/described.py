"""What one agent or task is and takes: options with type, default, choices and a sentence, for `list` and for help."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 60
"""Columns of a window from which on rows are a table; in a narrower one they stand below each other."""
_TYPED = "seqil.typed"
_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_NO_BEGINNING = {"of", "over", "per", "for", "from", "at", "in", "to", "with", "between", "behind"}
_WORDS = {float: "number", int: "whole number", bool: "true or false", str: "text", Path: "path", type(None): "null"}


class Option(NamedTuple):
    """One option of a constructor.

    Attributes:
        name: as in `--agent-option NAME=VALUE`.
        kind: of values that it takes, in words.
        default: as one would write it; empty where it has to be given.
        about: what it is, in a sentence.
    """

    name: str
    kind: str
    default: str
    about: str


class Explained(TyperCommand):
    """A command whose help ends with the options of the task and the agent that stand before `--help` or behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of every command; help is asked for before anything is read, so what was typed is kept."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The options of the command, then theirs."""
        typed = ctx.meta.get(_TYPED, [])
        named = [(kind, _value(typed, f"--{kind.removesuffix('s')}")) for kind in ("tasks", "agents")]
        loaded = [(kind, name, options_of(kind, name)) for kind, name in named if name is not None]
        super().format_help(ctx, formatter)
        from rich.console import Console

        for kind, name, options in loaded:
            show_options(Console(highlight=False, markup=False), kind, name, options)


def _value(typed: Sequence[str], option: str) -> str | None:
    """The last value of an option among the arguments of a command."""
    pairs = [*zip(typed, [*typed[1:], ""], strict=True), *(arg.split("=", 1) for arg in typed if "=" in arg)]
    values = [value for name, value in pairs if name == option and value]
    return values[-1] if values else None


def show_options(console: Console, kind: str, name: str, options: Sequence[Option]) -> None:
    """Print the options of one agent or task below a line that says how they are given."""
    one = kind.removesuffix("s")
    if not options:
        console.print(f"\nThe {one} {name} has no options.", soft_wrap=True)
        return
    console.print(f"\nThe {one} {name} takes these, each by --{one}-option NAME=VALUE:\n")
    rows = [(o.name, f"{o.kind}{f', {o.default} by default' if o.default else ''}", o.about) for o in options]
    show_rows(console, ("option", "value", "what it is"), rows)


def show_rows(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; in a narrow window one row below the other, its first cell at the margin. No cell is cut."""
    from rich.padding import Padding
    from rich.table import Table

    if console.width >= _WIDE:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for place, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=place == 0)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for first, *others in rows:
        console.print(first)
        for other in others:
            if str(other):
                console.print(Padding(other, (0, 0, 0, 2)))


def options_of(kind: str, name: str) -> list[Option]:
    """Options of the constructor of an agent or a task.

    Raises:
        InvalidInputError: there is none of that name.
    """
    from ..learning.divergences import DIVERGENCES
    from ..runs import plugins
    from ..runs.option_types import argument_types

    cls = plugins.load(kind, name)
    kinds, said, defaults = argument_types(cls), _sentences(cls), _defaults(cls)
    choices: Mapping[str, Mapping[str, Any]] = getattr(cls, "choices", {})
    found = []
    for option in plugins.parameters(cls):
        if kind == "agents" and option in plugins.OTHERWISE:
            continue
        default = defaults.get(option, inspect.Parameter.empty)
        known = choices.get(option, {})
        words = _one_of(known) if known else _in_words(kinds.get(option, Any))
        about = _sentence(option, said.get(option, ""))
        found.append(Option(option, words, _spelt(default, known), about))
    if choices.get("divergence") is DIVERGENCES:
        scale = "Scale of the penalty of the divergence that is named; it takes effect with that option alone."
        found.insert(1, Option("alpha", "number", "0.01", scale))
    return found


def _one_of(known: Mapping[str, Any]) -> str:
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else last


def _in_words(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        words = dict.fromkeys(map(_in_words, get_args(annotation)))
        return " or ".join([word for word in words if word != "a value made in Python"] or words)
    if origin is Literal:
        return " or ".join(map(str, get_args(annotation)))
    return _WORDS.get(annotation, "a value made in Python")


def _spelt(default: Any, known: Mapping[str, Any]) -> str:
    """A default as one writes it: empty where there is none, the agent's own where it has no spelling."""
    if default is inspect.Parameter.empty:
        return ""
    for name, value in known.items():
        if value is default:
            return name
    if isinstance(default, bool) or default is None:
        return {True: "true", False: "false", None: "null"}[default]
    return str(default) if isinstance(default, int | float | str | Path) else "one of its own"


def _defaults(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        make: Callable[..., Any] | None = vars(base).get("__init__")
        if inspect.isfunction(make):
            found |= {name: p.default for name, p in inspect.signature(make).parameters.items()}
    return found


def _sentences(cls: type) -> dict[str, str]:
    """What docstrings say of arguments, the nearest class last."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        section = inspect.cleandoc(vars(base).get("__doc__") or "").partition("Args:\n")[2]
        section = re.split(r"\n\S", section)[0]
        for names, text in _ENTRY.findall(section):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _sentence(option: str, said: str) -> str:
    """With a beginning: `of the labels` is said of the option's name."""
    if not said:
        return "Its class says nothing of it."
    words = option.replace("_", " ")
    whole = f"{words} {said}" if said.split()[0].lower() in _NO_BEGINNING else said
    return whole[0].upper() + whole[1:]
