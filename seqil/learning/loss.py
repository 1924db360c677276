"""A loss over trajectories, in TorchRL's style: keys, and a function of demonstrations and rollouts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tensordict import TensorDict, TensorDictBase
from tensordict.nn import dispatch
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.objectives import LossModule

from ..mdp.trajectory import FIELDS, Trajectories
from ..policy.token_policy import TokenPolicy


class TrajectoryLoss(LossModule):  # type: ignore[misc]  # torchrl is untyped
    """Subclass it, name the `out_keys`, and compute them in `losses`.

    Reads trajectories (see `Trajectories.to_tensordict`) below the key `demonstrations` and, where they are there,
    below `rollouts`; `set_keys` renames both. Outputs named `loss_*` sum to what is minimised; others are metrics.

    Args:
        policy: what is trained; its parameters are the loss's.
    """

    @dataclass
    class _AcceptedKeys:
        demonstrations: NestedKey = "demonstrations"
        rollouts: NestedKey = "rollouts"

    default_keys = _AcceptedKeys
    tensor_keys: _AcceptedKeys
    divides_by: ClassVar[Literal["counts", "values"] | None] = None
    """What the outputs are divided by, all of it taken through `seqil.learning.whole_batch.total`: counts of the data,
    so that outputs and gradients of microbatches and of ranks add up to those of the batch; values of the policy too,
    so that those of ranks do; or None, where neither is known to. Outputs named `*_max` are largest values instead."""

    def __init__(self, policy: TokenPolicy) -> None:
        super().__init__()
        self.policy = policy

    @property
    def in_keys(self) -> list[NestedKey]:
        """The fields of demonstrations; those of rollouts are read where they are present."""
        return [(self.tensor_keys.demonstrations, field) for field in FIELDS]

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        pass

    @dispatch  # type: ignore[untyped-decorator]  # tensordict is untyped
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A TensorDict of scalars, `out_keys`."""
        demonstrations = self._read(tensordict, self.tensor_keys.demonstrations)
        assert demonstrations is not None
        return TensorDict(self.losses(demonstrations, self._read(tensordict, self.tensor_keys.rollouts)))

    @abstractmethod
    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Scalars, one for each of `out_keys`; without rollouts, what they would have added is zero."""

    def _read(self, tensordict: TensorDictBase, key: NestedKey) -> Trajectories | None:
        data = tensordict.get(key, None)
        return None if data is None else Trajectories.from_tensordict(self.policy.vocabulary, data)
