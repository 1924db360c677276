"""How a policy's own trajectories are collected."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInputError
from ...errors.arguments import check_fields, check_temperature


@dataclass(frozen=True)
class Sampling:
    """How the policy's own trajectories are collected: at an interval, into a replay buffer.

    For an agent whose rollouts are fresh at every update, only `max_actions` and `temperature` say something.

    Attributes:
        every: updates between two collections.
        rows: trajectories per collection.
        capacity: of the replay buffer, in trajectories.
        max_actions: budget of one trajectory; None: `4 * max_length`, whatever the task evaluates with.
        temperature: of the softmax.
    """

    every: int = 8
    rows: int = 32
    capacity: int = 512
    max_actions: int | None = None
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("every", "rows", "capacity"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"Sampling: {name}={getattr(self, name)} must be at least 1")
        if self.max_actions is not None and self.max_actions < 1:
            raise InvalidInputError(f"Sampling: max_actions={self.max_actions} must be at least 1, or None")
        check_temperature(self.temperature)
