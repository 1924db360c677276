"""What is built in or installed by others is found by its entry point; one's own by its file.

Kinds are `agents`, `tasks`, `rules`, `experts`, `rewards`, `noise`, `metrics` and `studies`; their entry point groups
are `seqil.agents` and so on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..errors import InvalidInputError, SeqilError, quoted, refuse_home, suggested
from ..mdp.task import Task
from . import own_files
from .option_types import argument_types, mismatch, read

if TYPE_CHECKING:
    from ..decoding.interface import Rule

OTHERWISE = ("steps", "learning_rate")
"""Arguments of agents that are settings of a run, and no options."""
_MAKERS = {
    "rules": "register one that returns a rule",
    "experts": "register one of (task, learner) that returns a seqil.experts.Expert",
    "noise": "register one of (task, learner) that returns seqil.noise.Weights",
    "rewards": "register one of (task, learner) that returns a seqil.rewards.TextReward",
}


@dataclass(frozen=True)
class Plugin:
    """What a distribution registers.

    Attributes:
        name: the id, as on the command line.
        package: the distribution, and its `version`; `?` where its metadata are damaged.
        about: first line of the docstring, or the one line that says why it cannot be used.
        usable: whether `load` gives something.
    """

    name: str
    package: str
    version: str
    about: str
    usable: bool


def names(kind: str) -> list[str]:
    """Known ids."""
    return sorted({point.name for point in _points(kind)} | _built_in(kind).keys())


def registered(kind: str) -> list[Plugin]:
    """All that is registered, by name, imported to see whether it can be used."""
    return [_plugin(kind, point) for point in sorted(_points(kind), key=lambda point: (point.name, _package(point)))]


def load(kind: str, name: str) -> Any:
    """What is registered under `name`, or stands in a file or module, `my_agents.py:Mine`.

    Of agents and tasks it is the class; of rules what makes one of its arguments; of experts, rewards and noise
    what makes one of a task and the learner; of metrics and studies the thing itself.

    Raises:
        InvalidInputError: no distribution registers the name, several do, or what one registers cannot be imported or
            is not of the kind.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{one(kind)} {name!r} is not a name")
    if own_files.is_reference(name):
        if name[0] == ":" or name[-1] == ":":
            raise InvalidInputError(f"{one(kind)} {name!r} is half a name; write FILE:NAME, my_file.py:mine say")
        return _sound(kind, f"{one(kind)} {name!r}", own_files.find(name))
    found = [point for point in _points(kind) if point.name == name]
    if not found and name in _built_in(kind):
        return _built_in(kind)[name]
    if not found and own_files.is_file(name):
        raise InvalidInputError(f"{one(kind)} {name!r} is a file: {_in_file(kind, name)}")
    if not found:
        known = ", ".join(names(kind)) or f"none by a name alone; give one of your own, my_{kind}.py:mine"
        raise InvalidInputError(f"unknown {one(kind)} {name!r}; known: {known}{suggested(name, names(kind))}")
    if len(found) > 1:
        packages = sorted(" ".join(_package(point)) for point in found)
        raise InvalidInputError(
            f"{one(kind)} {name!r} is registered {len(found)} times, by {' and '.join(packages)}; keep one of them"
        )
    what = f"{one(kind)} {name!r} ({found[0].value})"
    with _blamed(f"{what} cannot be imported"):
        loaded = found[0].load()
    return _sound(kind, what, loaded)


def _in_file(kind: str, name: str) -> str:
    """What to name of a file: all in it that is of the kind."""
    there = [own for own, thing in own_files.defined_in(name).items() if _fault(kind, thing) is None]
    if not there:
        return f"nothing in it is {'an' if kind[0] in 'ae' else 'a'} {one(kind)}"
    return f"name what is in it, {' or '.join(quoted(f'{name}:{own}') for own in there)}"


def one(kind: str) -> str:
    """The word for one of a kind."""
    return "study" if kind == "studies" else kind.removesuffix("s")


@contextmanager
def _blamed(complaint: str) -> Iterator[None]:
    """A stranger's code may raise anything."""
    try:
        yield
    except SeqilError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidInputError(f"{complaint}: {reason.removesuffix(':')}") from error


def _sound(kind: str, what: str, loaded: Any) -> Any:
    fault = _fault(kind, loaded)
    if fault:
        raise InvalidInputError(f"{what} {fault}")
    return loaded


def construct(kind: str, name: str, /, *args: Any, **options: Any) -> Any:
    """Build it from what a file or the command line holds.

    Raises:
        InvalidInputError: an option that its constructor does not know, lacks, or that is of another type than
            annotated; or the constructor itself failed. The plug-in is named.
    """
    cls, what = load(kind, name), f"{one(kind)} {name!r}"
    known = parameters(cls)
    shown = [name for name in known if kind != "agents" or name not in OTHERWISE]
    for option in options:
        if option not in known:
            raise InvalidInputError(
                f"{what} has no option {option!r}; it has: {', '.join(shown)}{suggested(option, shown)}"
            )
    try:
        inspect.signature(cls).bind(*args, **options)
    except TypeError as error:
        lacking = next((p for p in _required(cls)[len(args) :] if p not in options), "KEY")
        raise InvalidInputError(
            f"{what}: {error}; give it with --{one(kind)}-option {lacking}=VALUE, "
            f"in Python with {cls.__name__}({lacking}=…)"
        ) from None
    wrong = mismatch(options, argument_types(cls))
    if wrong:
        raise InvalidInputError(f"{what}: {wrong}")
    with _blamed(f"{what} cannot be constructed"):
        made = cls(*args, **options)
    unset = [] if kind != "tasks" else [f for f in ("name", "vocabulary", "max_length") if not hasattr(made, f)]
    if unset:
        raise InvalidInputError(f"{what} has no {unset[0]}; let its class or its __init__ set it")
    return made


def made(kind: str, name: str, *args: Any) -> Any:
    """What the maker `name` makes: an expert, a reward or a source of noise, that is a function of prefixes.

    Raises:
        InvalidInputError: there is no such maker, it failed, or what it returned is no function. It is named.
    """
    make, what = load(kind, name), f"{one(kind)} {name!r}"
    with _blamed(f"{what} cannot be made"):
        found = make(*args)
    if not callable(found) and not (kind == "noise" and name == "none"):  # which makes no mistakes
        raise InvalidInputError(f"{what} made something of type {type(found).__name__} and no function of prefixes")
    return found


def rule(text: str, reader: Any = None) -> Rule:
    """A decoding rule as the command line writes it: `tabu`, `min_p=0.05`, `my_rules.py:mine=3`.

    Args:
        text: of it.
        reader: the task, for rules about its text: those whose maker takes it by the keyword `reader`.

    Raises:
        InvalidInputError: there is no such rule, it takes other arguments, or what was made is no rule.
    """
    from ..decoding.written import parse

    with _blamed(f"rule {text!r} cannot be made"):
        found = parse(text, partial(load, "rules"), reader)
    if not callable(getattr(found, "begin", None)):
        raise InvalidInputError(
            f"rule {text!r} made something of type {type(found).__name__} that has no begin(policy)"
        )
    return found


def rules(texts: Sequence[str], reader: Any = None) -> list[Rule]:
    """Decoding rules in order, each as of `rule`.

    Raises:
        InvalidInputError: one is given twice, or as of `rule`.
    """
    twice = next((text for i, text in enumerate(texts) if text in texts[:i]), None)
    if twice is not None:
        raise InvalidInputError(f"rule {twice!r} is given twice; once does it")
    return [rule(text, reader) for text in texts]


def read_options(kind: str, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Options of a constructor from what stands on the command line."""
    types = argument_types(load(kind, name))
    for option, text in texts.items():
        if Path in (types.get(option), *get_args(types.get(option))):
            refuse_home(text)
    return {option: read(text, types.get(option, Any)) for option, text in texts.items()}


def parameters(cls: type) -> list[str]:
    """Keyword arguments of a constructor; `**options` stand for those of its base class."""
    given = inspect.signature(cls).parameters.values()
    own = [p.name for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_KEYWORD for p in given) and cls.__base__ not in (None, object):
        own += [name for name in parameters(cls.__base__) if name not in own]
    return [name for name in own if name not in ("policy", "loss")]


def _required(cls: type) -> list[str]:
    """Arguments of a constructor that have no default."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    given = inspect.signature(cls).parameters.values()
    return [p.name for p in given if p.kind in named and p.default is p.empty]


def _points(kind: str) -> list[EntryPoint]:
    return list(entry_points(group=f"seqil.{kind}"))


def _built_in(kind: str) -> Mapping[str, Callable[..., Any]]:
    """Those that are here even where an editable installation is older than their entry points."""
    from ..decoding.rules import RULES
    from ..learning.experts import EXPERTS
    from ..learning.noise import SOURCES
    from ..learning.rewards import REWARDS

    tables: dict[str, Mapping[str, Callable[..., Any]]] = {
        **{"rules": RULES, "experts": EXPERTS, "rewards": REWARDS, "noise": SOURCES}
    }
    return tables.get(kind, {})


def _plugin(kind: str, point: EntryPoint) -> Plugin:
    try:
        said = about(kind, point.name, load(kind, point.name))
    except InvalidInputError as error:
        return Plugin(point.name, *_package(point), str(error), usable=False)
    return Plugin(point.name, *_package(point), said, usable=True)


def about(kind: str, name: str, loaded: Any, whole: bool = False) -> str:
    """What it says of itself: its first line, or the `whole` before its arguments; of a rule how it is written, too."""
    said = getattr(loaded, {"metrics": "about", "studies": "question"}.get(kind, "__doc__"), None)
    lines = inspect.cleandoc(said).splitlines() if isinstance(said, str) else []
    ends = [i for i, line in enumerate(lines) if line in ("Args:", "Attributes:", "Raises:", "Returns:")]
    lines = lines[: ends[0] if ends else len(lines)] if whole else lines[:1]
    text = "\n".join(lines).strip()
    if kind != "rules":
        return text
    from ..decoding.written import form

    return ": ".join([form(name, loaded), *[text] * bool(text)])


def _package(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that registers it."""
    try:
        metadata = point.dist.metadata  # type: ignore[union-attr]
        return metadata["Name"] or "?", metadata["Version"] or "?"
    except Exception:  # what a half-removed distribution raises depends on the version of Python
        return "?", "?"


def _no_metric(loaded: Any) -> str:
    if callable(loaded) and not isinstance(loaded, type):
        return "is a function, and no metric yet: make one of it, seqil.Metric(NAME, ABOUT, FUNCTION, UNIT)"
    return "is not a metric: register a seqil.Metric"


def _fault(kind: str, loaded: Any) -> str | None:
    """What keeps it from being of the kind; of a study its own package says so."""
    if kind == "metrics":
        from ..metrics.entries import Metric

        return None if isinstance(loaded, Metric) else _no_metric(loaded)
    if kind == "studies":
        return None
    if kind in _MAKERS:
        return None if callable(loaded) else f"is not a function, but of type {type(loaded).__name__}; {_MAKERS[kind]}"
    if not isinstance(loaded, type):
        return f"is not a class, but of type {type(loaded).__name__}; register the class"
    abstract: frozenset[str] = getattr(loaded, "__abstractmethods__", frozenset())
    if abstract:
        return f"does not define {', '.join(sorted(abstract))}"
    if kind == "tasks":
        return None if issubclass(loaded, Task) else "is not a task: subclass seqil.Task"
    from ..learning.agent import Agent

    return None if issubclass(loaded, Agent) else "is not an agent: subclass seqil.Agent"
