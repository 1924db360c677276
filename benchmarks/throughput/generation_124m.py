"""What `generation` measures, for a model of the shape of GPT-2: minutes on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .generation import Setting, lines
from .measure import Ratio
from .models import GPT2_124M, Subject

_SETTINGS = (Setting(1, 128, 16), Setting(64, 128, 8), Setting(64, 512, 8))


def measure(repetitions: int) -> Iterator[Ratio]:
    """GPT-2 with 124 million parameters, float32 and bfloat16."""
    for dtype in (torch.float32, torch.bfloat16):
        subject = Subject.of(GPT2_124M, 1024, dtype)
        for setting in _SETTINGS:
            yield from lines(f"124M, {dtype}".replace("torch.", ""), subject, setting, min(repetitions, 3))
