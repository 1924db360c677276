"""What every agent is: a policy, a loss, and one step of the optimizer that it owns."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.objectives import LossModule

from .errors import InvalidInputError, NonFiniteError
from .policy import TokenPolicy
from .trajectory import Trajectories

FIELDS = ("prompts", "actions", "lengths", "imitate", "ended", "max_length", "min_length")
"""Keys of trajectories in a batch; the `in_keys` of a loss are these below `demonstrations` and `rollouts`."""


class Agent(ABC):
    """Subclass it, say in `update` what one step does, and `seqil.train` does the rest.

    Args:
        policy: what is trained; the agent does not copy it.
        loss: a TorchRL LossModule over that policy, whose outputs named `loss_*` sum to what is minimised.
        steps: number of updates that the schedules (learning rate, and an agent's own) are laid out for.
        learning_rate: peak of AdamW; 5 % of the steps rise linearly to it, the rest fall to a tenth along a cosine.
        clip: largest norm of the gradient.
        weight_decay: of AdamW.
    """

    def __init__(
        self,
        policy: TokenPolicy,
        loss: LossModule,
        *,
        steps: int = 1000,
        learning_rate: float = 2e-3,
        clip: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in {"steps": steps, "learning_rate": learning_rate, "clip": clip}.items():
            if not value > 0:
                raise InvalidInputError(f"{type(self).__name__}: {name}={value} must be positive")
        self.policy, self.loss = policy, loss
        self.steps, self.clip, self.updates = steps, clip, 0
        parameters = [p for p in loss.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda k: _warm_up_and_cosine(k, steps))

    @property
    def needs_rollouts(self) -> bool:
        """Whether the next `update` wants trajectories of the policy itself."""
        return False

    @abstractmethod
    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """Take one step of the optimizer and return metrics. `rollouts` is given when `needs_rollouts` was true."""

    def descend(self, losses: TensorDictBase) -> dict[str, float]:
        """Backpropagate the sum of `loss_*`, clip, step; return every output and `loss`, `grad_norm`, `learning_rate`.

        Raises:
            NonFiniteError: loss or gradient is NaN or infinite; the parameters are untouched.
        """
        total = torch.stack([value for key, value in losses.items() if str(key).startswith("loss_")]).sum()
        if not total.isfinite():
            raise NonFiniteError(f"the loss is {float(total)} at update {self.updates}; lower the learning rate")
        self.optimizer.zero_grad()
        total.backward()
        parameters = self.optimizer.param_groups[0]["params"]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip)
        if not norm.isfinite():
            raise NonFiniteError(f"the gradient is not finite at update {self.updates}; lower the learning rate")
        rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        self.schedule.step()
        self.updates += 1
        metrics = {str(key): float(value.detach()) for key, value in losses.items()}
        return {"loss": float(total.detach()), **metrics, "grad_norm": float(norm), "learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next update: weights, optimizer, schedule and their counter."""
        return {
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if k != "lr_lambdas"},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict({**state["schedule"], "lr_lambdas": [None]})
        self.updates = state["updates"]


def batch(demonstrations: Trajectories, rollouts: Trajectories | None = None) -> TensorDict:
    """What losses read: a TensorDict without batch dimensions that holds `demonstrations` [B] and `rollouts` [B']."""
    data = TensorDict({"demonstrations": demonstrations.to_tensordict()}, batch_size=[])
    if rollouts is not None:
        data["rollouts"] = rollouts.to_tensordict()
    return data


def _warm_up_and_cosine(update: int, steps: int) -> float:
    warm_up = max(1, steps // 20)
    if update < warm_up:
        return (update + 1) / warm_up
    return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, (update - warm_up) / max(1, steps - warm_up))))
