"""Products with weights that stay as they are for a while, laid out once for oneDNN.

MKL, which torch's own products of matrices call on a CPU, is several times slower than it could be on AMD's processors,
and packs the weight anew in every call. On Intel's it is the faster one, and nothing is laid out.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu, linear

_WORTHWHILE = 600_000
"""Multiplications from which on the product takes longer than what a call of oneDNN costs beside it, some 10 µs."""
_MOST_BYTES = 2**30
"""Of a weight; a larger one is not copied."""


class Affine:
    """`x @ weight.T + bias`, with or without the GELU of GPT-2 behind it; [n, D] -> [n, O].

    Args:
        weight: [O, D], of any strides; it must not change, nor must an autocast begin.
        bias: [O] or None.
        rows: most rows of an `x`; with few of them nothing is laid out.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        self.weight, self.bias = weight, bias
        self.transposed = weight.T
        self.least = max(2, -(-_WORTHWHILE // weight.numel()))  # one row reads each weight once, however it lies
        self.packed: Tensor | None = None
        if _OPS and _MKL_IS_SLOW and rows >= self.least and _may_be_packed(weight):
            self.packed = _OPS[0](weight.detach().contiguous(), rows)

    def __call__(self, x: Tensor) -> Tensor:
        """Without anything behind it."""
        if _OPS and self.packed is not None and x.shape[0] >= self.least:
            found: Tensor = _OPS[1](x, self.packed, self.bias, "none", [], "")
            return found
        if self.bias is None:
            return linear(x, self.weight)
        return torch.addmm(self.bias, x, self.transposed)

    def gelu(self, x: Tensor) -> Tensor:
        """With the tanh approximation of the GELU behind it."""
        if _OPS and self.packed is not None and x.shape[0] >= self.least:
            found: Tensor = _OPS[1](x, self.packed, self.bias, "gelu", [], "tanh")
            return found
        return gelu(self(x), approximate="tanh")


def _may_be_packed(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.nbytes > _MOST_BYTES:
        return False
    return bool(torch.backends.mkldnn.is_available()) and not torch.is_autocast_enabled("cpu")


def _operators() -> tuple[Any, Any] | None:
    """What torch's compiler calls; None where this torch has not got them."""
    ops = torch.ops.mkldnn
    try:
        return ops._reorder_linear_weight, ops._linear_pointwise
    except AttributeError:
        return None


def _maker() -> str:
    """Of the processor, by the name that it has of itself; empty where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor().rpartition(" ")[2]  # on Windows "AMD64 Family 25 …, AuthenticAMD"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


_OPS = _operators()
_MKL_IS_SLOW = _maker() == "AuthenticAMD"
