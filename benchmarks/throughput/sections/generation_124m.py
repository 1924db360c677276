"""What `generation` measures, for a model of the shape of GPT-2: minutes on a CPU."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..subjects.measure import CPU, Ratio
from ..subjects.models import GPT2_124M, Subject
from .generation import Setting, lines

_SETTINGS = {
    "cpu": (Setting(1, 128, 16), Setting(64, 128, 16), Setting(64, 512, 16)),
    "cuda": (Setting(1, 512, 256), Setting(64, 512, 256), Setting(256, 512, 256)),
}
_DTYPES = {"cpu": (torch.float32, torch.bfloat16), "cuda": (torch.bfloat16,)}


def measure(repetitions: int, device: torch.device = CPU) -> Iterator[Ratio]:
    """GPT-2 with 124 million parameters, on a CPU float32 and bfloat16, on CUDA bfloat16."""
    for dtype in _DTYPES[device.type]:
        subject = Subject.of(GPT2_124M, 1024, dtype, device)
        for setting in _SETTINGS[device.type]:
            yield from lines(f"124M, {dtype}".replace("torch.", ""), subject, setting, min(repetitions, 3))
