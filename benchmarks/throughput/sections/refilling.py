"""Rows of very different lengths: beginning new ones where old ones have ended, against waiting for the longest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqil import rollout
from seqil.decoding import Policy, Warp
from seqil.mdp.prefix import Prefixes

from ..subjects.measure import Ratio, interleaved, ratio, timed
from ..subjects.models import SMALL, Subject, raise_backspace

_ROWS, _AT_ONCE, _SHORTEST, _LONGEST = 256, 32, 8, 64


@dataclass(frozen=True)
class EndAt:
    """The rule that a row ends at its own length (int64 [B]), and not before."""

    lengths: Tensor

    def begin(self, policy: Policy) -> Warp:
        """As of every rule."""
        eos = policy.vocabulary.eos

        def warp(prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
            due = prefixes.generated >= self.lengths[rows]
            only_eos = torch.full_like(logits, -torch.inf)
            only_eos[:, eos] = 0.0
            others = logits.index_fill(1, torch.tensor([eos]), -torch.inf)
            return torch.where(due[:, None], only_eos, others)

        return warp


def measure(repetitions: int) -> Iterator[Ratio]:
    """GPT-2 of 4 layers x 256; the logarithms of the lengths are uniform."""
    subject = Subject.of(SMALL, 128)
    policy, prompts = subject.policy, subject.prompts(_ROWS, 16)
    raise_backspace(policy, 0.15)
    spread = torch.rand(_ROWS, generator=torch.Generator().manual_seed(2))
    lengths = (_SHORTEST * (_LONGEST / _SHORTEST) ** spread).round().long()
    chunks = torch.arange(_ROWS).split(_AT_ONCE)

    def sample(rows: Tensor, ends: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(0)
        return rollout(
            policy,
            prompts[rows],
            max_length=_LONGEST,
            rules=[EndAt(ends)],
            generator=g,
            streams=rows,
            batch_size=_AT_ONCE,
        ).lengths

    useful = float(sample(torch.arange(_ROWS), lengths).sum())

    def refilled() -> float:
        sample(torch.arange(_ROWS), lengths)
        return useful

    def waiting() -> float:
        for rows in chunks:
            sample(rows, lengths[rows].max().expand(len(rows)))
        return useful

    def dropping() -> float:
        for rows in chunks:
            sample(rows, lengths[rows])
        return useful

    found = interleaved([timed(way) for way in (refilled, waiting, dropping)], repetitions)
    where = f"{_ROWS} rows, {_AT_ONCE} at once, lengths {_SHORTEST}-{_LONGEST}"
    yield ratio(f"refilled / waiting for the longest, {where}", "actions/s", found[0], found[1])
    yield ratio(f"refilled / dropping what has ended, {where}", "actions/s", found[0], found[2])
