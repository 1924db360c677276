"""The state of a run, looked at before anything of it is loaded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError
from ...errors.arguments import on_one_line
from ...mdp.trajectory import Trajectories
from ..agent import Agent

_KEYS = (
    *("agent", "average", "buffer", "buffer_cursor", "buffer_generator", "generator", "order", "next", "step"),
    *("training_positions", "rollout_positions"),
)
_REMEDY = "make the Training as the one that the state is of was made"


def digest_of(demonstrations: Trajectories) -> str:
    """A sum of all that trajectories hold."""
    digest = hashlib.sha256(repr(demonstrations.vocabulary).encode())
    for key, value in sorted(demonstrations.to_tensordict().items()):
        digest.update(f"{key}{tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def made_of(agent: Agent, digest: str, batch_size: int, average: float | None, sampling: Any) -> dict[str, Any]:
    """What decides the steps of a run beside its state, by name; plain values."""
    policy, own = agent.policy, {}
    if agent.uses_rollouts or type(agent).needs_rollouts is not Agent.needs_rollouts:
        limit = None if sampling.max_actions is None else int(sampling.max_actions)
        own = {"sampling.max_actions": limit, "sampling.temperature": float(sampling.temperature)}
        if not agent.fresh:
            own |= {f"sampling.{name}": int(getattr(sampling, name)) for name in ("every", "rows", "capacity")}
    return {
        "agent": type(agent).__name__,
        "optimizer": type(agent.optimizer).__name__,
        "memory": str(getattr(policy, "memory", None)),
        "demonstrations": digest,
        "batch_size": int(batch_size),
        "average": None if average is None else float(average),
        **own,
    }


def check_state(state: Any, made: Mapping[str, Any], rows: int, capacity: int, *, fresh: bool) -> None:
    """Refuse a state that no run of this kind comes to.

    Args:
        state: of `Training.state_dict`; an older one, which does not say what it is of, is taken.
        made: what the run is of, by name; those of the state must be the same.
        rows: demonstrations.
        capacity: of the buffer.
        fresh: whether the agent keeps no rollouts in a buffer.

    Raises:
        CheckpointError: it names what differs, or what is no value of its kind.
    """
    lacking = [key for key in _KEYS if not isinstance(state, Mapping) or key not in state]
    if lacking:
        raise CheckpointError(f"Training: the state has no {lacking[0]}; give what Training.state_dict returned")
    before = state.get("made", {})
    for name, value in made.items():
        found = before.get(name, value) if isinstance(before, Mapping) else before
        if found != value:
            shown = on_one_line(found, 60)
            raise CheckpointError(f"Training: the state is of a run with {name}={shown}, not {value!r}; {_REMEDY}")
    if (state["average"] is None) != (made["average"] is None):
        what = "no average" if state["average"] is None else "an average, and there is none here"
        raise CheckpointError(f"Training: the state holds {what}; {_REMEDY}")
    buffer = state["buffer"]
    kept = _rows_of(buffer)
    order = state["order"]
    fits: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("buffer_generator", "generator"), _is_generator),
        "buffer": lambda _: 0 < kept <= capacity or (buffer is None and (fresh or not state["rollout_positions"])),
        "buffer_cursor": lambda at: _is_count(at) and (at == max(kept, 0) if kept < capacity else at < capacity),
        "order": lambda _: _is_order(order, rows),
        "next": lambda at: _is_count(at) and at <= len(order),
        **dict.fromkeys(("step", "rollout_positions"), _is_count),
        "training_positions": lambda x: isinstance(x, int | float) and 0 <= x < math.inf,
        "updates": _is_count,
    }
    agent = state["agent"] if isinstance(state["agent"], Mapping) else {}
    said = {"updates": agent.get("updates", 0), **state}  # an agent of one's own may count nothing
    for name, fit in fits.items():
        if not fit(said[name]):
            raise CheckpointError(
                f"Training: the state says {name}={on_one_line(said[name], 60)}, which no such run comes to; "
                "take one that was not changed"
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_order(order: Any, rows: int) -> bool:
    whole = isinstance(order, Tensor) and order.dtype == torch.int64 and order.dim() == 1
    return whole and (not len(order) or torch.equal(order.cpu().sort().values, torch.arange(rows)))


def _is_generator(state: Any) -> bool:
    try:
        torch.Generator().set_state(state)
    except (TypeError, RuntimeError):
        return False
    return True


def _rows_of(buffer: Any) -> int:
    """Rows of a buffer; -1: it is none."""
    if not isinstance(buffer, Mapping) or not all(isinstance(part, Tensor) and part.dim() for part in buffer.values()):
        return 0 if buffer is None else -1
    numbers = {len(part) for part in buffer.values()}
    return numbers.pop() if len(numbers) == 1 and "lengths" in buffer else -1
