"""Behavior cloning: the likelihood of demonstrated actions, backspaces included (Pomerleau 1988)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensordict import TensorDict, TensorDictBase
from tensordict.nn import dispatch
from tensordict.utils import NestedKey
from torchrl.objectives import LossModule

from seqil import TokenPolicy, Trajectories, objectives
from seqil.agent import FIELDS, Agent, batch


class BehaviorCloningLoss(LossModule):
    """`loss_behavior_cloning`: discounted negative log-likelihood per counted action, in nats.

    Reads trajectories below the key `demonstrations` (see `Trajectories.to_tensordict`).
    """

    @dataclass
    class _AcceptedKeys:
        demonstrations: NestedKey = "demonstrations"

    default_keys = _AcceptedKeys
    tensor_keys: _AcceptedKeys
    out_keys = ["loss_behavior_cloning"]  # noqa: RUF012

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0) -> None:
        super().__init__()
        self.policy = policy
        self.gamma = gamma

    @property
    def in_keys(self) -> list[NestedKey]:
        """The fields of the demonstrations."""
        return [(self.tensor_keys.demonstrations, field) for field in FIELDS]

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        pass

    @dispatch
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A TensorDict with the loss, a scalar."""
        data = Trajectories.from_tensordict(self.policy.vocabulary, tensordict[self.tensor_keys.demonstrations])
        loss, _ = objectives.behavior_cloning(self.policy.step_values(data), gamma=self.gamma)
        return TensorDict({"loss_behavior_cloning": loss})


class BehaviorCloning(Agent):
    """Imitates every counted step. Maximum likelihood is its special case of demonstrations without backspaces.

    Args:
        policy: what is trained.
        gamma: discount per action; 1 is maximum likelihood.
        options: of `Agent`.
    """

    def __init__(self, policy: TokenPolicy, *, gamma: float = 1.0, **options: Any) -> None:
        super().__init__(policy, BehaviorCloningLoss(policy, gamma=gamma), **options)

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step on the likelihood; rollouts are not used."""
        return self.descend(self.loss(batch(demonstrations)))
