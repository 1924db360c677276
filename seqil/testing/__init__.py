"""Conformance in one line: `check_agent`, `check_task`, `check_env`, and Hypothesis `strategies`."""

import importlib
from typing import Any

_HOME = {"check_agent": "agents", "check_env": "envs", "check_task": "tasks"}

__all__ = ["check_agent", "check_env", "check_task", "strategies"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    if name == "strategies":
        return importlib.import_module(".strategies", __name__)
    raise AttributeError(f"module 'seqil.testing' has no attribute {name!r}")
