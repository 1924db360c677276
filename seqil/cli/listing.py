"""`seqil list`: what is installed of a kind, and what one of them takes."""

from __future__ import annotations

import importlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import check_known
from .options import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

Kind = StrEnum("Kind", "agents tasks rules experts rewards noise metrics studies")
_STUDIES = "benchmarks.compounding_error.studies"


@app.command(name="list", epilog="Examples:\n\n  seqil list agents\n\n  seqil list agents gail\n\n  seqil list rules")
def list_(
    kind: Annotated[Kind, typer.Argument(help="What is to be listed.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Argument(
            help="One of them, or one of your own by its file, my_agent.py:Mine: what it is and takes.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what is installed of a kind, and which of them cannot be used, and why."""
    from . import commands

    commands.quiet()
    if name is None:
        show_plugins(commands.console, kind)
    else:
        show_one(commands.console, kind, name)


def show_plugins(console: Console, kind: str) -> None:
    """Print what is registered, by whom; what cannot be used stands there with the reason."""
    from rich.text import Text

    from ..runs import known_metrics, plugins
    from .described import show_rows

    found = known_metrics.listed() if kind == "metrics" else plugins.registered(kind)
    rows = [(p.name, Text(p.about, style="" if p.usable else "red"), f"{p.package} {p.version}") for p in found]
    if kind == "studies":
        rows += [(name, Text(study.question), "this repository") for name, study in _in_this_repository().items()]
    if rows:
        show_rows(console, ("name", "what it is", "from"), rows)
    if kind == "studies" and not _in_this_repository():
        console.print(
            "The built-in studies are in the repository, below benchmarks/, and not in the installed package.",
            soft_wrap=True,
        )
    elif not rows:
        console.print(f"none is installed: no distribution has the entry point group seqil.{kind}", soft_wrap=True)


def show_one(console: Console, kind: str, name: str) -> None:
    """Print what one of a kind says of itself, and its options if it is an agent or a task.

    Raises:
        InvalidInputError: there is none of that name.
    """
    from ..runs import known_metrics, own_files, plugins
    from .described import options_of, show_options

    built_in: Any = known_metrics.metric(name) if kind == "metrics" else None
    if kind == "metrics" and not (built_in or own_files.is_reference(name) or own_files.is_file(name)):
        check_known("metric", name, [metric.name for metric in known_metrics.listed()])
    if kind == "studies":
        built_in = _in_this_repository().get(name)
    options = options_of(kind, name) if kind in ("agents", "tasks") else None
    loaded = built_in or plugins.load(kind, name)
    console.print(plugins.about(kind, name, loaded, whole=True), soft_wrap=False)
    if options is not None and name in plugins.names(kind):
        console.print(f"\nIn Python: from {loaded.__module__} import {loaded.__name__}", soft_wrap=False)
    if options is not None:
        show_options(console, kind, name, options)


def _in_this_repository() -> Mapping[str, Any]:
    """The studies beside the package, where this is a checkout; they are not shipped."""
    root = Path(__file__).resolve().parents[2]
    if not (root / _STUDIES.replace(".", "/")).is_dir():
        return {}
    sys.path.insert(0, str(root))
    try:
        presets: Mapping[str, Any] = importlib.import_module(_STUDIES).PRESETS
    finally:
        sys.path.remove(str(root))
    return presets
