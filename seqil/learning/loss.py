"""A loss over trajectories, in TorchRL's style: keys, and a function of demonstrations and rollouts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tensordict import TensorDict, TensorDictBase
from tensordict.nn import dispatch
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torchrl.objectives import LossModule

from ..errors import InvalidInputError, UnsupportedModelError
from ..mdp.trajectory import FIELDS, Trajectories
from ..policy.refusals import refuse_wrapped
from ..policy.token_policy import TokenPolicy
from . import objectives


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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "losses" in vars(cls) and "divides_by" not in vars(cls):
            cls.divides_by = None  # what another loss says of its parts is not true of this one's

    only_cloning = False
    """Whether `forward` only clones the demonstrations: `loss_behavior_cloning` alone, during a warm-up."""

    def __init__(self, policy: TokenPolicy) -> None:
        refuse_wrapped(policy)
        super().__init__()
        self.policy = policy

    @property
    def in_keys(self) -> list[NestedKey]:
        """The fields of demonstrations; those of rollouts are read where they are present."""
        return [(self.tensor_keys.demonstrations, field) for field in FIELDS]

    def _forward_value_estimator_keys(self, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, of a TensorDict."""
        if args and isinstance(args[0], Trajectories):
            raise InvalidInputError(
                f"{type(self).__name__} reads a TensorDict, not Trajectories; give "
                f"TensorDict({{{str(self.tensor_keys.demonstrations)!r}: trajectories.to_tensordict()}})"
            )
        return super().__call__(*args, **kwargs)

    @dispatch  # type: ignore[untyped-decorator]  # tensordict is untyped
    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A TensorDict of scalars, `out_keys`.

        Raises:
            InvalidInputError: what `losses` returned is no such mapping.
        """
        demonstrations = self._read(tensordict, self.tensor_keys.demonstrations)
        assert demonstrations is not None
        if self.only_cloning:
            return TensorDict({"loss_behavior_cloning": cloned(self.policy, demonstrations)})
        found = self.losses(demonstrations, self._read(tensordict, self.tensor_keys.rollouts))
        _refuse_other_outputs(type(self).__name__, found, getattr(self, "out_keys", ()))
        return TensorDict(found)

    @abstractmethod
    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Scalars, one for each of `out_keys`; without rollouts, what they would have added is zero."""

    def _read(self, tensordict: TensorDictBase, key: NestedKey) -> Trajectories | None:
        data = tensordict.get(key, None)
        return None if data is None else Trajectories.from_tensordict(self.policy.vocabulary, data)


def _refuse_other_outputs(name: str, found: Any, keys: Sequence[NestedKey]) -> None:
    """Name a loss whose outputs are not what it says, which would be minimised all the same, or fail far from it."""
    if not isinstance(found, Mapping):
        raise InvalidInputError(
            f"{name}.losses returned {found!r:.60}; return a dict with a scalar tensor for each of out_keys"
        )
    if set(found) != set(keys):
        raise InvalidInputError(
            f"{name}.losses returned {sorted(map(str, found))}, its out_keys are {sorted(map(str, keys))}; "
            "make them equal"
        )
    if not any(str(key).startswith("loss_") for key in keys):
        raise InvalidInputError(
            f"{name}: of its out_keys {sorted(map(str, keys))} none is minimised; call what is to be loss_*"
        )
    for key, value in found.items():
        if not isinstance(value, Tensor) or value.dim():
            what = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.40}"
            raise InvalidInputError(f"{name}.losses: {key} is {what}; give a scalar tensor")


def cloned(policy: TokenPolicy, demonstrations: Trajectories) -> Tensor:
    """The loss of behavior cloning."""
    return objectives.behavior_cloning(policy.step_values(demonstrations))[0]


def wrapped_loss(door: Any, before: LossModule | None) -> LossModule:
    """The loss in a module that an agent is to call: itself, or what it wraps.

    Args:
        door: the module.
        before: the loss that the agent has had.

    Raises:
        UnsupportedModelError: it averages over processes, or has no loss in it.
    """
    averaging = next((cls.__name__ for cls in type(door).__mro__ if cls.__name__ in _AVERAGING), None)
    if averaging:
        raise UnsupportedModelError(
            f"{averaging} averages the gradients of processes, and a loss here is a ratio over the whole batch, not a "
            "mean of the ratios of its parts; leave the loss bare, and give Training ranks=Ranks()"
        )
    if isinstance(door, nn.Module) and before is not None and any(module is before for module in door.modules()):
        return before
    if isinstance(door, LossModule):
        return door
    inside = [m for m in door.modules() if isinstance(m, LossModule)] if isinstance(door, nn.Module) else []
    if not inside:
        raise UnsupportedModelError(f"{type(door).__name__} is no LossModule of TorchRL, and wraps none")
    return inside[0]


_AVERAGING = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "FSDPModule", "DeepSpeedEngine")
