"""One update from parts of a batch: ranks side by side, and of the rows of each, microbatches one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, nn

from ..errors import InvalidInputError, NonFiniteError
from ..mdp.trajectory import Trajectories
from ..policy.language_model import LanguageModel
from ..randomness import seeded
from .processes import Ranks
from .whole_batch import Adding, Counts, adding

Part = tuple[Trajectories, Trajectories | None]
"""Demonstrations, and rollouts or None."""
Outputs = Mapping[str, Tensor]
Loss = Callable[[TensorDict], TensorDictBase | Outputs]


@dataclass(frozen=True)
class Division:
    """How the rows of an update are divided.

    Attributes:
        microbatch: demonstrations of this process that are differentiated at once; None: all.
        ranks: the processes that share every update; None: this one alone.
    """

    microbatch: int | None = None
    ranks: Ranks | None = None

    def __post_init__(self) -> None:
        if self.microbatch is not None and self.microbatch < 1:
            raise InvalidInputError(f"microbatch={self.microbatch} must be at least 1")

    @property
    def whole(self) -> bool:
        """Whether there is one part only."""
        return self.microbatch is None and self.ranks is None

    def check(self, agent: str, divides_by: str | None) -> None:
        """Refuse a loss whose parts do not add up to it.

        Args:
            agent: its name.
            divides_by: that of its loss, see `TrajectoryLoss`.
        """
        if self.whole or divides_by == "counts":
            return
        if divides_by is None:
            raise InvalidInputError(
                f"{agent}: its loss does not say that parts of a batch add up to it (TrajectoryLoss.divides_by); "
                "leave out microbatch, and train on one process"
            )
        if self.microbatch is not None:
            raise InvalidInputError(
                f"{agent} measures every step against the spread of the whole batch, so that its loss is no sum over "
                "texts; leave out microbatch, and lower the batch size or train on several ranks"
            )

    def parts(self, demonstrations: Trajectories, rollouts: Trajectories | None, samples: int | None) -> list[Part]:
        """Rows of this process, in microbatches.

        Args:
            demonstrations: of the whole update, as all ranks have them.
            rollouts: likewise, or None.
            samples: rollouts of each demonstration, which stay together; None: they do not belong together.
        """
        pieces = self._own(len(demonstrations)).split(self.microbatch or len(demonstrations))
        data = [_chosen(demonstrations, rows) for rows in pieces]
        if rollouts is None:
            return [(part, None) for part in data]
        if samples is None:
            theirs = self._own(len(rollouts)).tensor_split(len(pieces))
        else:
            theirs = tuple((rows[:, None] * samples + torch.arange(samples)).flatten() for rows in pieces)
        return [(part, _chosen(rollouts, rows)) for part, rows in zip(data, theirs, strict=True)]

    def _own(self, n: int) -> Tensor:
        """Which of `n` rows are this process's."""
        return torch.arange(n)[slice(None) if self.ranks is None else self.ranks.rows]

    def differentiated(self, loss: Loss, module: nn.Module, parts: Sequence[Part], update: int) -> dict[str, Tensor]:
        """The outputs of the whole batch, detached, once its gradient has been added to that of the parameters.

        Args:
            loss: what is called for each part.
            module: the parameters and policies of the loss.
            parts: of this process.
            update: number of the update, for messages.

        Raises:
            NonFiniteError: the loss is NaN or infinite.
        """
        counts = self._counts(loss, module, parts) if self.microbatch is not None else None
        found: dict[str, Tensor] = {}
        with self._dropping(module):
            for part in parts:
                with adding(self._adding(counts)):
                    outputs = {str(key): value for key, value in loss(batch(*part)).items()}
                backpropagate(outputs, update)
                found = {key: _joined(key, found.get(key), value.detach()) for key, value in outputs.items()}
        if self.ranks is not None:
            self.ranks.add_gradients(module.parameters())
            found = self._of_ranks(found)
        return found

    @contextmanager
    def _dropping(self, module: nn.Module) -> Iterator[None]:
        """Ranks drop out at random each for itself, from a generator that they have in common."""
        if self.ranks is None:
            yield
            return
        seed = int(torch.randint(2**62, ())) + self.ranks.rank
        with seeded(seed, next(module.parameters()).device):
            yield

    def _adding(self, counts: Counts | None) -> Adding | None:
        if counts is not None:
            return counts.given()
        return None if self.ranks is None else self.ranks.sum

    def _counts(self, loss: Loss, module: nn.Module, parts: Sequence[Part]) -> Counts:
        counts = Counts()
        with _counting(module):
            for part in parts:
                with counts.noting():
                    loss(batch(*part))
        if self.ranks is not None:
            counts.sums = [self.ranks.sum(number) for number in counts.sums]
        return counts

    def _of_ranks(self, outputs: Outputs) -> dict[str, Tensor]:
        assert self.ranks is not None
        return {key: (self.ranks.max if _is_largest(key) else self.ranks.sum)(value) for key, value in outputs.items()}


def batch(demonstrations: Trajectories, rollouts: Trajectories | None = None) -> TensorDict:
    """What losses read: a TensorDict without batch dimensions that holds `demonstrations` [B] and `rollouts` [B']."""
    data = TensorDict({"demonstrations": demonstrations.to_tensordict()}, batch_size=[])
    if rollouts is not None:
        data["rollouts"] = rollouts.to_tensordict()
    return data


def summed(outputs: TensorDictBase | Outputs) -> Tensor:
    """What is minimised: the sum of the outputs named `loss_*`."""
    return torch.stack([value for key, value in outputs.items() if str(key).startswith("loss_")]).sum()


def backpropagate(outputs: TensorDictBase | Outputs, update: int) -> None:
    """Add the gradient of what is minimised to that of the parameters.

    Raises:
        InvalidInputError: it has none.
        NonFiniteError: it is NaN or infinite.
    """
    loss = summed(outputs)
    if not torch.is_grad_enabled():
        raise InvalidInputError("gradients are turned off here; train outside torch.no_grad() and inference_mode()")
    if not loss.requires_grad:
        raise InvalidInputError("what is minimised does not depend on the parameters; leave out detach and item")
    if not loss.isfinite():
        raise NonFiniteError(f"the loss is {float(loss.detach())} at update {update}; lower the learning rate")
    loss.backward()


def _is_largest(key: str) -> bool:
    return key.endswith("_max")


def _joined(key: str, one: Tensor | None, other: Tensor) -> Tensor:
    if one is None:
        return other
    return torch.maximum(one, other) if _is_largest(key) else one + other


def _chosen(trajectories: Trajectories, rows: Tensor) -> Trajectories:
    return trajectories.select(rows.to(trajectories.actions.device))


@contextmanager
def _counting(module: nn.Module) -> Iterator[None]:
    """Policies of a loss say nothing: what it divides by are counts of the data."""
    policies = [m for m in module.modules() if isinstance(m, LanguageModel)]
    try:
        for policy in policies:
            policy.counting = True
        yield
    finally:
        for policy in policies:
            policy.counting = False
