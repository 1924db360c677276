"""Classes and functions by the file or module that they stand in: `my_agents.py:Mine`, `my_package.agents:Mine`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..capacity import read_bytes
from ..errors import OWN_FILE, InvalidInputError, SeqilError, suggested


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
    try:
        text = read_bytes(path)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read ({error.strerror}); name a Python file") from None
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
    """Sha256 of the source of what a reference names: what it was, however its file has changed around it."""
    return hashlib.sha256(inspect.getsource(find(reference)).encode()).hexdigest()
