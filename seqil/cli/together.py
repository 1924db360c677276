"""Under `torchrun` every rank does what the command says, and the first alone writes and speaks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from ..learning.processes import Ranks

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_PATIENCE = 5.0  # seconds
_silent = False


def launched() -> bool:
    """Whether this process is one of several that were started together."""
    return all(os.environ.get(name) for name in _NEEDED) and os.environ["WORLD_SIZE"] != "1"


def refuse_other_commands(command: str) -> None:
    """Training alone is shared between processes; torch's own words on those that are lost are left out."""
    if launched():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if launched() and command != "train":
        raise InvalidInputError(f"several processes train together, none else; start seqil {command} without torchrun")


def speaks() -> bool:
    """Whether this rank says why the command ends: the first that ends, or rank 0 where they have not met."""
    return not _silent and (_met or not launched() or os.environ["RANK"] == "0")


_met = False


@contextmanager
def joined(device: str) -> Iterator[Ranks | None]:
    """The ranks of `torchrun`, or of any launcher that sets its environment; None: this process is alone.

    Args:
        device: of the models; each rank of a machine takes a GPU of its own.

    Raises:
        InvalidInputError: they cannot meet, or a GPU is missing.
    """
    global _met, _silent
    if not launched():
        yield None
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    from ..learning.processes import Ranks

    on_gpu, local = device.startswith("cuda"), int(os.environ.get("LOCAL_RANK", "0"))
    if on_gpu and local >= torch.cuda.device_count():
        raise InvalidInputError(f"local rank {local} has no GPU of its own; start as many processes as there are GPUs")
    if on_gpu:
        torch.cuda.set_device(local)
    store, rank, size = next(iter(rendezvous("env://")))
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size)
    _met, failed = True, False
    try:
        yield Ranks()
    except BaseException:
        failed, _silent = True, _ended(store, 1) > 1
        raise
    finally:
        dist.destroy_process_group()
        deadline = time.monotonic() + _PATIENCE
        while failed and rank == 0 and _ended(store, 0) < size and time.monotonic() < deadline:
            time.sleep(0.05)  # the others ask this rank's store whether somebody has spoken


def _ended(store: Any, more: int) -> int:
    """How many ranks have ended, with so many more; 0 where the store has ended with the rank that held it."""
    try:
        return int(store.add("ended", more))
    except RuntimeError:
        return 0
