"""A detector of errors that is as good as one says: what a backspace would do for a model that knows its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqil import Prefixes, Task
from seqil.decoding import Policy, Warp
from seqil.errors import InvalidInputError


@dataclass(frozen=True)
class PlantedDetector:
    """A decoding rule: delete with probability `chance` where the text holds an error, however old, and nowhere else.

    Its detection profile is `chance` at every depth. What is written is the model's own.

    Attributes:
        task: with `has_error`.
        chance: in (0, 1).
    """

    task: Task
    chance: float

    def __post_init__(self) -> None:
        if not 0 < self.chance < 1:
            raise InvalidInputError(f"a planted detector deletes with a probability in (0, 1), not {self.chance}")

    def begin(self, policy: Policy) -> Warp:
        """The warp of one rollout.

        Raises:
            InvalidInputError: the policy has no backspace.
        """
        if not policy.backspace:
            raise InvalidInputError("a planted detector needs a policy with a backspace; give its arm one")
        backspace, odds = policy.vocabulary.backspace, math.log(self.chance / (1 - self.chance))

        def warp(prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
            tokens = logits.index_fill(1, torch.tensor([backspace], device=logits.device), -math.inf)
            delete = torch.where(self.task.has_error(prefixes), tokens.logsumexp(1) + odds, -math.inf)
            return tokens.index_copy(1, torch.tensor([backspace], device=logits.device), delete[:, None])

        return warp
