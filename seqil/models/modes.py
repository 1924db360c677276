"""Training and evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(policy: object) -> Iterator[None]:
    """Without dropout; afterwards every module is in the mode that it was in."""
    modes = {module: module.training for module in policy.modules()} if isinstance(policy, nn.Module) else {}
    for module in modes:
        module.training = False
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
