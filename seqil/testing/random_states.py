"""The random states that everyone shares, and that nothing here may touch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def untouched() -> Iterator[None]:
    """An AssertionError names the global random state that the block has changed."""
    before = _states()
    yield
    for name, state in _states().items():
        assert state == before[name], f"the global random state of {name} was changed; take a generator"


def _states() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
    }
