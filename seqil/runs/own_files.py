"""Classes and functions by the file or module that they stand in: `my_agents.py:Mine`, `my_package.agents:Mine`."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..capacity import read_bytes
from ..errors import OWN_FILE, InvalidInputError, SeqilError, refuse_home, suggested


def is_reference(name: str) -> bool:
    """Whether a name is a place in a file or module and no id."""
    return ":" in name


def is_file(name: str) -> bool:
    """Whether a name is that of a Python file, in which something is still to be named."""
    return name.endswith(".py")


def defined_in(name: str) -> dict[str, Any]:
    """What a file defines itself, by public name; what it imports is left out."""
    module = run_file(Path(name))
    own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    return {key: value for key, value in own.items() if getattr(value, "__module__", None) in (module.__name__, None)}


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module, once per process and text of the file.

    Raises:
        InvalidInputError: it cannot be read, or fails; one line says where and why.
    """
    refuse_home(str(path))
    try:
        text = read_bytes(path)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.strerror}); name a Python file by its path from the working directory"
        ) from None
    name = OWN_FILE + hashlib.sha256(str(path.resolve()).encode() + text).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInputError(f"{path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SeqilError | KeyboardInterrupt):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InvalidInputError(f"{path} cannot be run: {reason}") from error
    return module


def find(reference: str) -> Any:
    """What `file.py:Name` or `module:Name` names.

    Raises:
        InvalidInputError: there is no such file, module or name.
    """
    where, _, name = reference.rpartition(":")
    if where.endswith(".py"):
        module = run_file(Path(where))
    else:
        try:
            module = importlib.import_module(where)
        except (Exception, SystemExit) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InvalidInputError(f"{reference} cannot be imported: {reason}") from error
    if not hasattr(module, name):
        known = [key for key in vars(module) if not key.startswith("_")]
        raise InvalidInputError(f"{where} defines no {name!r}{suggested(name, known)}")
    return getattr(module, name)


def reference_to(cls: Any) -> str:
    """What `find` finds it by, in another process too; a file below the working directory by its relative path.

    Raises:
        InvalidInputError: the class or function stands in no file, or inside of something else.
    """
    if cls.__qualname__ != cls.__name__:
        raise InvalidInputError(f"{cls.__qualname__} stands inside of something else; define it at the top of a file")
    if cls.__module__ != "__main__" and not cls.__module__.startswith(OWN_FILE):
        return f"{cls.__module__}:{cls.__name__}"
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None:
        raise InvalidInputError(
            f"{cls.__name__} stands in no file, so that no other process can load it; put it in one"
        )
    path, here = Path(file).resolve(), Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{cls.__name__}"


def digest(reference: str) -> str:
    """Sha256 of the source of what a reference names, and of all that it refers to in its own file and beside it.

    However the file has changed around these, it is the same.
    """
    return hashlib.sha256("\n".join(_sources(find(reference))).encode()).hexdigest()


def digests(names: Iterable[str]) -> list[str]:
    """Of those names that are references."""
    return [digest(name) for name in names if is_reference(name)]


def _sources(thing: Any) -> list[str]:
    """Its own source, then in the order of the file what that names at its top, and files of modules beside it."""
    own, file = inspect.getsource(thing), Path(inspect.getsourcefile(thing) or "")
    text = file.read_text(encoding="utf-8")
    known = {name: node for node in ast.parse(text).body for name in _bound(node)}
    used, waiting = {thing.__name__}, [thing.__name__]
    while waiting:
        node = known.get(waiting.pop())
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} if node is not None else set()
        new = (names & known.keys()) - used
        used |= new
        waiting += new
    others = {id(known[name]): known[name] for name in known if name in used - {thing.__name__}}
    module = sys.modules[thing.__module__]
    beside = {path for name in used for path in [_file_beside(vars(module).get(name), known.get(name), file)] if path}
    segments = [ast.get_source_segment(text, node) or "" for node in others.values()]
    return [own, *segments, *(path.read_text(encoding="utf-8") for path in sorted(beside))]


def _bound(node: ast.stmt) -> list[str]:
    """Names that a statement at the top of a file gives."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _file_beside(value: Any, node: ast.stmt | None, file: Path) -> Path | None:
    """The file of a module that is imported from the folder of one's own file."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return None
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    found = getattr(sys.modules.get(str(name)), "__file__", None)
    return Path(found) if found and Path(found).resolve().parent == file.resolve().parent else None
