"""What a policy would write next: the entropy of its law by position, and whether the data agree with its mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqil import TokenPolicy, Trajectories, metrics
from seqil.statistics import Estimate, mean, ratio


def accuracy(policy: TokenPolicy, demonstrations: Trajectories) -> Estimate:
    """Share of demonstrated tokens that are the policy's most probable ones after the demonstrated prefix."""
    right = metrics.along(demonstrations, _agrees, policy)
    return ratio(np.nansum(right, axis=1), (~np.isnan(right)).sum(1), "sequences")


def entropies(policy: TokenPolicy, demonstrations: Trajectories, rollouts: Trajectories, width: int) -> dict[str, Any]:
    """Mean entropy (nats) of the next token in bins of `width` positions, after data and after the policy's own texts.

    Steps at which `eos` was written do not count: where the horizon is fixed the law there is certain.

    Returns:
        `bin`, and for `data` and `own` the list of estimates over texts, as JSON.
    """
    return {
        "bin": width,
        "data": _entropy_by_bin(policy, demonstrations, width),
        "own": _entropy_by_bin(policy, metrics.final_texts(rollouts), width),
    }


def _agrees(steps: metrics.Steps) -> Tensor:
    return (steps.student.argmax(-1) == steps.token).double()


def _entropy_by_bin(policy: TokenPolicy, texts: Trajectories, width: int) -> list[dict[str, Any]]:
    eos = texts.vocabulary.eos
    values = metrics.along(texts, lambda s: torch.where(s.token == eos, torch.nan, metrics.entropy(s)), policy)
    bins = [values[:, at : at + width] for at in range(0, values.shape[1], width)]
    per_text = [np.nanmean(part[~np.isnan(part).all(1)], axis=1) for part in bins]
    return [mean(found, "sequences").to_json() for found in per_text if len(found)]
