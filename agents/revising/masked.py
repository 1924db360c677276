"""Masked language modelling as imitation: cells given the rest (arXiv 2407.21046), and their quality (2510.01384)."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from seqil import Agent, Prefixes, Trajectories, TrajectoryLoss
from seqil.errors import InvalidInputError
from seqil.revision import MaskedPolicy
from seqil.revision.canvases import canvas, laid, put
from seqil.revision.draws import uniforms

UNIFORM = "uniform"


class MaskedLoss(TrajectoryLoss):
    """`loss_masked`: `-(1/|S|) sum_{i in S} log p(x_i | x_-S)`, the mean over texts; and `loss_quality`.

    S has `block` cells of the text, or any number of them alike (`uniform`), drawn or neighbours (`span`); a set that
    holds the end holds all cells behind it, which are hidden and not asked for. `loss_quality` is the cross-entropy of
    the quality head on the same text with the cells of S drawn by the present policy, each on its own: whether a drawn
    cell is what stood there. What is drawn is a function of the text and of the buffer `calls`.
    """

    policy: Any

    def __init__(self, policy: MaskedPolicy, block: int | None, span: bool, quality: bool) -> None:
        self.out_keys = ["loss_masked", "loss_quality"] if quality else ["loss_masked"]
        super().__init__(cast(Any, policy))
        self.block, self.span, self.quality = block, span, quality
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        texts = demonstrations.replay()
        W, v = canvas(texts), self.policy.vocabulary
        texts = put(v, texts, laid(v, texts, W))
        real = torch.arange(W, device=texts.length.device) < texts.generated[:, None]
        chance = uniforms(demonstrations, 1 + 2 * W, self.calls)
        masked = drawn_set(chance[:, : 1 + W], real, self.block, self.span)
        laws = self.policy.conditionals(texts, masked | (_ends(masked, texts, W)))
        cells = laid(v, texts, W)
        asked = masked & real
        log_p = torch.where(asked, laws.gather(2, cells[..., None])[..., 0].clamp(min=-1e4), 0)
        found = {"loss_masked": -(log_p.sum(1) / asked.sum(1).clamp(min=1)).mean()}
        if self.quality:
            found["loss_quality"] = self._quality(texts, cells, asked, laws.detach(), chance[:, 1 + W :])
        return found

    def _quality(self, texts: Prefixes, cells: Tensor, asked: Tensor, laws: Tensor, chance: Tensor) -> Tensor:
        """How well the head knows drawn cells that are right from those that are wrong."""
        law = laws.double().exp().cumsum(-1)
        drawn = (law <= (chance * law[..., -1])[..., None]).sum(-1).clamp(max=self.policy.vocabulary.size - 1)
        mixed = torch.where(asked, drawn, cells)
        shown = put(self.policy.vocabulary, texts, mixed)
        stands = asked & (torch.arange(asked.shape[1], device=asked.device) < shown.generated[:, None])
        right = (mixed == cells).to(laws.dtype)
        logits = self.policy.quality(shown).to(laws.dtype)
        entropy = torch.where(stands, binary_cross_entropy_with_logits(logits, right, reduction="none"), 0)
        return (entropy.sum(1) / stands.sum(1).clamp(min=1)).mean()


class Masked(Agent):
    """Learns the law of some cells given the others; texts are drawn by filling and resampling (`MaskedPolicy.write`).

    With one cell at a time it is pseudo-likelihood (Besag 1975), whose conditionals need not be those of any law.

    Args:
        policy: what is trained; with a head for quality if that is to be learned.
        block: cells that are hidden of a text, or `uniform`: any number of them.
        span: whether they are neighbours.
        quality: whether to learn, too, whether a drawn cell is what stood there.
        options: of `Agent`; there is no warm-up.
    """

    policy_class = MaskedPolicy
    policy_options = ("quality",)

    def __init__(
        self,
        policy: MaskedPolicy,
        *,
        block: int | str = UNIFORM,
        span: bool = False,
        quality: bool = False,
        **options: Any,
    ) -> None:
        if isinstance(block, str) and block != UNIFORM:
            raise InvalidInputError(f"Masked: block={block!r} is neither a number of cells nor '{UNIFORM}'")
        if not isinstance(block, str):
            self.check_least(1, block=block)
        if quality and policy.quality_head is None:
            raise InvalidInputError("Masked: quality needs a policy with quality=True")
        size = None if isinstance(block, str) else block
        super().__init__(cast(Any, policy), MaskedLoss(policy, size, span, quality), **options)
        self.refuse_warm_up()

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step, and other sets of cells at the next."""
        metrics = super().update(demonstrations, rollouts)
        self.loss.calls += 1
        return metrics

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Quality takes a second reading."""
        return float(self.policy.positions(demonstrations) * (1 + self.loss.quality))


def drawn_set(chance: Tensor, real: Tensor, block: int | None, span: bool) -> Tensor:
    """The set S of each row: bool [B, W], of at least one real cell.

    Args:
        chance: in [0, 1), [B, 1 + W].
        real: cells of the text, its `eos` among them where that is a cell, bool [B, W], from the left.
        block: how many; None: any number alike.
        span: whether they are neighbours.
    """
    n = real.sum(1)
    k = (1 + (chance[:, 0] * n).long()) if block is None else n.clamp(max=block)
    place = torch.arange(real.shape[1], device=real.device)
    if span:
        first = (chance[:, 1] * (n - k + 1)).long()
        return (place >= first[:, None]) & (place < (first + k)[:, None])
    rank = chance[:, 1:].masked_fill(~real, 2.0).argsort(1).argsort(1)
    return rank < k[:, None]


def _ends(masked: Tensor, texts: Prefixes, W: int) -> Tensor:
    """Cells behind the end of a text whose end is in the set."""
    end = (texts.generated - 1)[:, None]
    if texts.min_length == texts.max_length:
        return torch.zeros_like(masked)
    place = torch.arange(W, device=masked.device)
    return (place > end) & masked.gather(1, end.clamp(max=W - 1))
