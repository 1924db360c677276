"""Products of matrices by oneDNN, and weights that stay as they are for a while laid out for it once.

MKL, which torch's own products of matrices call on a CPU, is several times slower than it could be on AMD's processors,
and packs the weight anew in every call. On Intel's it is the faster one, and all is left to torch.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.nn.functional import gelu, linear, pad
from torch.overrides import TorchFunctionMode

_WORTHWHILE = 600_000
"""Multiplications from which on the product takes longer than what a call of oneDNN costs beside it, some 10 µs."""
_WORTH_A_FUNCTION = 4_000_000
"""Multiplications from which on a product and its gradient save what their bookkeeping in Python costs."""
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
        self.weight, self.bias = weight, None if bias is None else bias.contiguous()
        self.transposed = weight.T
        self.least = max(2, -(-_WORTHWHILE // weight.numel()))  # one row reads each weight once, however it lies
        self.packed: Tensor | None = None
        if _OPS and _MKL_IS_SLOW and rows >= self.least and _may_be_packed(weight):
            self.packed = _OPS[0](weight.detach().contiguous(), rows)

    def __call__(self, x: Tensor) -> Tensor:
        """Without anything behind it."""
        if _OPS and self.packed is not None and x.shape[0] >= self.least:
            found: Tensor = _OPS[1](_filled(x), self.packed, self.bias, "none", [], "")
            return found[: x.shape[0]]
        if self.bias is None:
            return linear(x, self.weight)
        return torch.addmm(self.bias, x, self.transposed)

    def gelu(self, x: Tensor) -> Tensor:
        """With the tanh approximation of the GELU behind it."""
        if _OPS and self.packed is not None and x.shape[0] >= self.least:
            found: Tensor = _OPS[1](_filled(x), self.packed, self.bias, "gelu", [], "tanh")
            return found[: x.shape[0]]
        return gelu(self(x), approximate="tanh")


def product(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight.T` without a graph, [n, D] and [O, D] of any strides -> [n, O]."""
    if not _is_quicker(x, weight, None):
        return x @ weight.T
    return _by_onednn(x, weight, None)


def add_product_over_rows(total: Tensor, g: Tensor, x: Tensor) -> None:
    """Add `g.T @ x` to what has its shape, in place: [n, O] and [n, D]."""
    if _is_quicker(g, x.T, None):
        total += _over_rows(g, x)
    else:
        total.addmm_(g.T, x)


@contextmanager
def quick_products(rows: int, width: int) -> Iterator[None]:
    """Linear layers that are called inside go through oneDNN where that is quicker, their gradients too.

    Args:
        rows: states that the layers read, most of them of this `width`; of few and narrow ones nothing is gained.
    """
    quick = _OPS and _MKL_IS_SLOW and torch.backends.mkldnn.is_available()
    if not quick or rows * width * width < _WORTH_A_FUNCTION or torch.compiler.is_compiling():
        yield
        return
    with _ByOneDNN():
        yield


class _ByOneDNN(TorchFunctionMode):
    """The layers of torch and of GPT-2, as products of their own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is linear:
            return _affine(linear, *args, **kwargs or {})
        if func is torch.addmm and len(args) == 3 and not kwargs:
            bias, x, weight = args
            return _affine(lambda x, w, b: torch.addmm(b, x, w.T), x, weight.T, bias)
        return func(*args, **kwargs or {})


def _affine(torchs: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`; what torch would do where oneDNN cannot, or need not."""
    if not _is_quicker(input, weight, bias) or _is_watched():
        return torchs(input, weight, bias)
    apply: Callable[..., Tensor] = _Affine.apply if torch.is_grad_enabled() else _by_onednn
    found = apply(input.reshape(-1, input.shape[-1]), weight, bias)
    return found.view(*input.shape[:-1], weight.shape[0])


class _Affine(Function):
    """`x @ weight.T + bias`; gradients that are to be differentiated again are torch's own products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        again = torch.is_grad_enabled()
        d_x = d_weight = None
        if of_x:
            d_x = g @ weight if again else _by_onednn(g, weight.T, None)
        if of_weight:
            d_weight = g.T @ x if again else _over_rows(g, x)
        return d_x, d_weight, g.sum(0) if of_bias else None


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight.T + bias` of as many rows as are round; of what is a little more, torch does the rest."""
    over = x.shape[0] % _step(x.shape[0])
    if 3 * over < _step(x.shape[0]):
        whole = _called(x[: x.shape[0] - over], weight, bias)
        return torch.cat([whole, linear(x[x.shape[0] - over :], weight, bias)]) if over else whole
    return _called(_filled(x), weight, bias)[: x.shape[0]]


def _over_rows(g: Tensor, x: Tensor) -> Tensor:
    """`g.T @ x`, the rows that are more than a round number by torch."""
    round_ = len(x) - len(x) % _step(len(x))
    found = _called(g[:round_].T, x[:round_].T, None)
    return found.addmm_(g[round_:].T, x[round_:]) if round_ < len(x) else found


def _step(rows: int) -> int:
    """Numbers of rows that are multiples of it are round: eight of them below the double of each.

    For every shape that it meets oneDNN compiles a program, which takes a thousandth of a second and half a megabyte,
    and trees and rollouts have other numbers of rows each time.
    """
    return 1 << max(0, rows.bit_length() - 4)


def _filled(x: Tensor) -> Tensor:
    """With rows of zeros up to the next round number."""
    more = -x.shape[0] % _step(x.shape[0])
    return pad(x, (0, 0, 0, more)) if more else x


def _called(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert _OPS  # who does not look at the strides of a bias
    found: Tensor = _OPS[1](x, weight, None if bias is None else bias.contiguous(), "none", [], "")
    return found


def _is_quicker(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Plain matrices of float32 on an AMD, large enough, where no autocast would have others."""
    if not (_OPS and _MKL_IS_SLOW) or torch.is_autocast_enabled("cpu"):
        return False
    if not all(map(_is_plain, (x, weight) if bias is None else (x, weight, bias))):
        return False
    if weight.dim() != 2 or x.shape[-1:] != weight.shape[1:] or (bias is not None and bias.shape != weight.shape[:1]):
        return False
    return x.numel() * weight.shape[0] >= _WORTH_A_FUNCTION and _lies_in_lines(weight)


def _is_plain(t: Tensor) -> bool:
    known = type(t) in _PLAIN and t.layout == torch.strided and not t.is_nested
    return known and t.dtype == torch.float32 and t.device.type == "cpu"


def _lies_in_lines(weight: Tensor) -> bool:
    """Whether its numbers lie row by row or column by column, none of them twice."""
    (rows, columns), (down, across) = weight.shape, weight.stride()
    return (across == 1 and down >= columns) or (down == 1 and across >= rows)


_PLAIN = Tensor, torch.nn.Parameter


def _is_watched() -> bool:
    """Whether somebody transforms functions, counts operations, or what is saved, as checkpoints of activations do."""
    functorch, hooks = torch._C._functorch.peek_interpreter_stack(), torch._C._autograd._top_saved_tensors_default_hooks
    transformed = functorch is not None or forward_ad._current_level >= 0
    return transformed or torch._C._len_torch_dispatch_stack() > 0 or hooks(False) is not None


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
