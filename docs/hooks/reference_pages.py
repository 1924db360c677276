"""A hook of mkdocs: the pages of the reference, one per public module of `seqil` and one of all other public names."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def pages() -> dict[str, str]:
    """Markdown by path. Nothing is written by hand: what `seqil.__all__` names is what there is."""
    seqil = importlib.import_module("seqil")
    public = {name: getattr(seqil, name) for name in sorted(seqil.__all__)}
    modules = {name: value for name, value in public.items() if isinstance(value, ModuleType)}
    names = [_place(name, value) for name, value in public.items() if name not in modules]
    found = {"reference/names.md": "\n\n".join(["# Names of `seqil`", *(f"::: {name}" for name in names)])}
    for name, module in modules.items():
        parts = [f"# `seqil.{name}`", inspect.getdoc(module) or "", *(f"::: {place}" for place in _members(module))]
        found[f"reference/{name}.md"] = "\n\n".join(parts)
    return found


def _members(module: ModuleType) -> list[str]:
    """Where the public functions and classes of a module are defined, re-exported ones of its parts included."""
    named = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    values = {name: getattr(module, name) for name in named}
    defined = {name: value for name, value in values.items() if inspect.isclass(value) or inspect.isfunction(value)}
    own = {name: value for name, value in defined.items() if value.__module__.startswith(module.__name__)}
    return [_place(name, value) for name, value in own.items()]


def _place(name: str, value: Any) -> str:
    return f"{getattr(value, '__module__', 'seqil')}.{getattr(value, '__qualname__', name)}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    return files
