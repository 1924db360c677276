"""Numbers of 16 bits: good to compute with, too coarse to add small updates to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import nn

from ..errors import InvalidInputError

_COARSE = (torch.bfloat16, torch.float16)
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}
"""Of computation, by the names that settings and the command line know."""

Method = TypeVar("Method", bound=Callable[..., Any])
DType = torch.dtype | str | None


class Computing(Protocol):
    """Something that may compute in another dtype than its weights have."""

    computation: torch.dtype | None

    @property
    def device(self) -> torch.device:
        """Where it computes."""


def computation_of(dtype: DType) -> torch.dtype | None:
    """The dtype of autocast that is meant, or None: computation is in the dtype of the weights.

    Raises:
        InvalidInputError: any other than float32 and bfloat16; float16 would need its losses scaled.
    """
    name = str(dtype).removeprefix("torch.")
    if dtype is not None and name not in DTYPES:
        raise InvalidInputError(f"dtype={dtype} is no dtype to compute in; known: {', '.join(DTYPES)}")
    return None if dtype is None else DTYPES[name]


def train_in_float32(*modules: nn.Module) -> None:
    """Give modules that train parameters of 16 bits float32 in place of all of them; others are left as they are.

    An update of AdamW is smaller than half a step of bfloat16 from most weights, and is then lost whole.
    """
    for module in modules:
        if any(p.dtype in _COARSE for p in module.parameters() if p.requires_grad):
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.dtype in _COARSE:
                    tensor.data = tensor.data.float()


def where_loaded(policy: Computing) -> torch.device:
    """The device of the weights.

    Raises:
        InvalidInputError: it is meta, where there are none.
    """
    if policy.device.type == "meta":
        raise InvalidInputError("the weights are on the device meta, which holds no values; load them first")
    return policy.device


@contextmanager
def computing(policy: Computing) -> Iterator[None]:
    """Autocast to the dtype that the policy computes in, if it has one of its own.

    Casts of weights that were made without gradient are forgotten at the end: autocast would hand them to training.
    """
    kind = where_loaded(policy).type
    try:
        if policy.computation is None:
            yield
        else:
            with torch.autocast(kind, policy.computation):
                yield
    finally:
        if not torch.is_grad_enabled() and torch.is_autocast_enabled(kind):
            torch.clear_autocast_cache()


@contextmanager
def uncast(policy: Computing) -> Iterator[None]:
    """Compute in the dtype of the weights, whatever the policy or an autocast around it would have."""
    own, policy.computation = policy.computation, None
    try:
        with torch.autocast(policy.device.type, enabled=False):
            yield
    finally:
        policy.computation = own


def computed(method: Method) -> Method:
    """A method of a policy, `computing`."""

    @wraps(method)
    def inside(self: Any, *args: Any, **kwargs: Any) -> Any:
        where_loaded(self)
        if self.computation is None:
            return method(self, *args, **kwargs)
        with computing(self):
            return method(self, *args, **kwargs)

    return cast(Method, inside)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """That of an autocast around the caller, or None."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
