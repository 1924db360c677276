"""A detector of errors that is as good as one says: what a backspace would do for a model that knows its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqil import Prefixes, TokenPolicy
from seqil.decoding import Warp


@dataclass(frozen=True)
class PlantedDetector:
    """A decoding rule: delete with probability `chance` where the text holds an error, however old, and nowhere else.

    Its detection profile is `chance` at every depth. What is written is the model's own.

    Attributes:
        task: with `has_error`.
        chance: in (0, 1).
    """

    task: Any
    chance: float

    def begin(self, policy: TokenPolicy) -> Warp:
        """The warp of one rollout."""
        backspace, odds = policy.vocabulary.backspace, math.log(self.chance / (1 - self.chance))

        def warp(prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
            tokens = logits.index_fill(1, torch.tensor([backspace], device=logits.device), -math.inf)
            delete = torch.where(self.task.has_error(prefixes), tokens.logsumexp(1) + odds, -math.inf)
            return tokens.index_copy(1, torch.tensor([backspace], device=logits.device), delete[:, None])

        return warp
