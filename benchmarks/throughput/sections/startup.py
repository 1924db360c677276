"""Seconds until Python has imported the library, or the command line has said what it can do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from ..subjects.measure import Ratio, interleaved, ratio


def measure(repetitions: int) -> Iterator[Ratio]:
    """Against the import of torch, which everything but help needs; seconds of the clock on the wall."""
    ways = {
        "import seqil": _Command("-c", "import seqil"),
        "seqil --help": _Command("-m", "seqil.cli", "--help"),
        "import seqil.TokenPolicy": _Command("-c", "from seqil import TokenPolicy"),
        "import torch": _Command("-c", "import torch"),
    }
    found = dict(zip(ways, interleaved(list(ways.values()), min(repetitions, 3)), strict=True))
    torch_alone = found.pop("import torch")
    for name, seconds in found.items():
        yield ratio(f"{name} / import torch", "s", seconds, torch_alone, more_is_better=False)


class _Command:
    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments

    def __call__(self) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *self.arguments], check=True, capture_output=True)
        return time.perf_counter() - began
