"""Contrastive search: hidden states of candidates against those of the text (Su et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..mdp.prefix import Prefixes
from ..models.masks import additive
from .interface import Policy


class Contrast:
    """The warp of `seqil.decoding.contrastive_search`, which says what it does."""

    def __init__(self, policy: Policy, k: int, alpha: float) -> None:
        if k > policy.vocabulary.num_actions:
            raise InvalidInputError(f"contrastive_search: k={k}, but there are {policy.vocabulary.num_actions} actions")
        self.policy, self.k, self.alpha = policy, k, alpha

    def __call__(self, prefixes: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
        """All mass on the best candidate of each row."""
        p, candidates = logits.softmax(-1).topk(self.k)
        score = (1 - self.alpha) * p - self.alpha * self._similarity(prefixes, candidates)
        best = candidates.gather(1, score.masked_fill(p == 0, -torch.inf).argmax(-1, keepdim=True))
        return torch.full_like(logits, -torch.inf).scatter(1, best, 0.0)

    def _similarity(self, prefixes: Prefixes, candidates: Tensor) -> Tensor:
        """Largest cosine between the state after each candidate and the states before it in its text: [B, k]."""
        written, after = self._states(prefixes, candidates)
        parent = (prefixes.length - 2).clamp(min=0)
        deletes = candidates == self.policy.vocabulary.backspace
        after = torch.where(
            deletes[..., None], written[torch.arange(len(parent), device=parent.device), parent][:, None], after
        )
        earlier = torch.where(deletes, parent[:, None], prefixes.length[:, None])
        seen = torch.arange(written.shape[1], device=written.device) < earlier[..., None]
        cosine = (after @ written.mT).masked_fill(~seen, -torch.inf).amax(-1)
        return cosine.masked_fill(earlier == 0, 0.0)

    def _states(self, prefixes: Prefixes, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised hidden states of the tokens of each prefix [B, N, D] and of each token put after it [B, k, D].

        One forward in which a candidate sees the prefix and itself, not the other candidates.
        """
        length, N = prefixes.length[:, None], int(prefixes.length.max())
        place = torch.arange(N + self.k, device=length.device)
        positions = torch.where(place < N, place, length)
        of_prefix = (place < length)[:, None, :] & ((place <= place[:, None]) | (place[:, None] >= N))
        visible = of_prefix | torch.eye(N + self.k, dtype=torch.bool, device=length.device)
        cells = torch.cat([prefixes.tokens[:, :N], candidates], 1)
        hidden = self.policy.hidden(cells, positions, additive(visible, self.policy.mask_dtype)[:, None])
        hidden = torch.nn.functional.normalize(hidden.to(torch.promote_types(hidden.dtype, torch.float32)), dim=-1)
        return hidden[:, :N], hidden[:, N:]
