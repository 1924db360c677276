"""Settings of a run from a file: TOML, JSON, or the `settings.json` of another run."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..capacity import read_bytes
from ..errors import InvalidInputError, first_line
from . import plugins
from .experiment import Settings


def read_config(path: Path) -> dict[str, Any]:
    """The settings that a file names, each of the type of the field of `Settings`.

    Raises:
        InvalidInputError: no such file, neither TOML nor JSON, or something that is no setting.
    """
    try:
        text = read_bytes(path).decode()
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # what is not JSON, TOML or UTF-8 is a ValueError
        raise InvalidInputError(f"--config {path} cannot be read: {first_line(error)}") from None
    if isinstance(found, dict) and isinstance(found.get("settings"), dict):  # of a run
        found = found["settings"]
    if not isinstance(found, dict):
        raise InvalidInputError(f"--config {path} holds no settings by name")
    try:
        Settings.of(found)
    except InvalidInputError as error:
        raise InvalidInputError(f"--config {path}: {error}") from None
    return found


def merged(
    defaults: Mapping[str, Any], config: Mapping[str, Any], given: Mapping[str, Any], texts: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of the command line over those of a file over the defaults.

    Args:
        defaults: a value for every setting.
        config: as `read_config` returns them.
        given: settings that stand on the command line.
        texts: for `task_options` and `agent_options` what stands there. Options of a file are those of its own task or
            agent: they do not outlive another one.
    """
    chosen = {**defaults, **config, **given}
    for kind in ("task", "agent"):
        same = config.get(kind, defaults[kind]) == chosen[kind]
        kept = config.get(f"{kind}_options", {}) if same else {}
        own = plugins.read_options(f"{kind}s", chosen[kind], texts[f"{kind}_options"])
        chosen[f"{kind}_options"] = {**kept, **own}
    return chosen
