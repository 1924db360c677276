"""A prompt that several rows of a batch begin with is fed to the model once.

Keys and values of a prompt do not depend on what comes after it, so rows may read those of one forward. One forward
over the distinct prompts and one over what the rows pushed take the place of one over whole prefix trees: hidden
states and gradients are the same up to rounding.

Layers that are checkpointed take no keys from another forward. There one forward is over one tree per distinct prompt,
with all of its rows as branches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..mdp.trajectory import Trajectories
from ..mdp.tree import PrefixTree
from ..models.masks import additive
from .cache import PromptCache
from .trunk import Trunk

_LEAST_PROMPT, _LEAST_SAVED, _LEAST_SHARE = 16, 256, 0.25


@dataclass(frozen=True, eq=False)
class SharedPrompts:
    """The distinct prompts of a batch.

    Attributes:
        tokens: int64 [G, P], padded with `vocabulary.size`; sorted, so that they do not depend on the order of rows.
        lengths: int64 [G].
        of_row: int64 [B], which of them each row begins with.
        empty: what a cell without a token holds.
    """

    tokens: Tensor
    lengths: Tensor
    of_row: Tensor
    empty: int

    @classmethod
    def of(cls, trajectories: Trajectories) -> SharedPrompts:
        """Those of all rows, shared or not."""
        empty = trajectories.vocabulary.size
        tokens, of_row = trajectories.prompts.unique(dim=0, return_inverse=True)
        return cls(tokens, (tokens != empty).sum(1), of_row, empty)

    @classmethod
    def where_worthwhile(
        cls, trajectories: Trajectories, written: Tensor | None = None, cached: bool = True
    ) -> SharedPrompts | None:
        """Those of batches that gain by them, or None; `written` are cells behind the prompts, int64 [B], or None: the
        pushes; `cached` as in `Trunk`.

        They are those whose longest prompt has 16 tokens or more, where sharing saves a quarter of the cells that are
        fed, padding included, and 256 at least: the second forward costs as much as some ten cells of a wide model
        and two hundred of a narrow one.
        """
        t = trajectories
        if t.prompts.shape[1] < _LEAST_PROMPT:
            return None
        found, pushes = cls.of(t), t.pushes if written is None else written
        apart = len(t) * int((t.prompt_lengths + pushes).max())
        behind = len(t) if cached else len(found.tokens) * int(found.of_row.bincount().max())
        saved = apart - found.tokens.numel() - behind * int(pushes.max())
        return found if saved >= max(_LEAST_SAVED, _LEAST_SHARE * apart) else None

    def hidden(self, trunk: Trunk, tree: PrefixTree) -> Tensor:
        """What `tree_hidden(trunk, tree)` is, for the tree of the same rows: [B, N, D]; padding is arbitrary."""
        return self._by_two_forwards(trunk, tree) if trunk.cached else self._by_branches(trunk, tree)

    def _by_two_forwards(self, trunk: Trunk, tree: PrefixTree) -> Tensor:
        cache = PromptCache(trunk.layers)
        (G, P), B, device = self.tokens.shape, len(tree.tokens), tree.tokens.device
        place = torch.arange(P, device=device)
        causal = additive(place <= place[:, None], trunk.dtype).expand(G, 1, -1, -1)
        cells = trunk.hidden(self.tokens, place.expand(G, -1), causal, cache).flatten(0, 1)

        p = self.lengths[self.of_row, None]
        S = int((tree.lengths[:, None] - p).max())
        if S:
            cache.read(self.of_row)
            tokens, depth, seen = _pushed(tree, p, S, self.empty)
            seen = torch.cat([(place < p)[:, None].expand(-1, S, -1), seen], 2)
            pushed = trunk.hidden(tokens, depth, additive(seen, trunk.dtype)[:, None], cache)
            cells = torch.cat([cells, pushed.flatten(0, 1)])

        row = torch.arange(B, device=device)
        return self._of_nodes(tree, cells, self.of_row * P, G * P + row * S)

    def _by_branches(self, trunk: Trunk, tree: PrefixTree) -> Tensor:
        (G, P), device = self.tokens.shape, tree.tokens.device
        p, branch = self.lengths[self.of_row, None], self._branches()
        K, S = int(branch.max()) + 1, int((tree.lengths[:, None] - p).max())
        M, place = P + K * S, torch.arange(P, device=device)
        tokens, depth = self.tokens.new_full((2, G, M), self.empty)
        depth.zero_()
        tokens[:, :P], depth[:, :P] = self.tokens, place
        seen = torch.zeros(G, M, M, dtype=torch.bool, device=device)
        seen[:, :P, :P], seen[:, P:, :P] = place <= place[:, None], (place < self.lengths[:, None])[:, None]
        if S:
            pushed, below, among = _pushed(tree, p, S, self.empty)
            tokens[:, P:].unflatten(1, (K, S))[self.of_row, branch] = pushed
            depth[:, P:].unflatten(1, (K, S))[self.of_row, branch] = below
            seen[:, P:, P:].unflatten(2, (K, S)).unflatten(1, (K, S))[self.of_row, branch, :, branch] = among
        cells = trunk.hidden(tokens, depth, additive(seen, trunk.dtype)[:, None], None).flatten(0, 1)
        return self._of_nodes(tree, cells, self.of_row * M, self.of_row * M + P + branch * S)

    def _branches(self) -> Tensor:
        """Which of the rows of its prompt each row is: int64 [B]."""
        order, counts = self.of_row.argsort(stable=True), self.of_row.bincount()
        first = (counts.cumsum(0) - counts)[self.of_row[order]]
        return torch.empty_like(order).index_copy(0, order, torch.arange(len(order), device=order.device) - first)

    def _of_nodes(self, tree: PrefixTree, cells: Tensor, prompts: Tensor, pushes: Tensor) -> Tensor:
        """[B, N, D] from [cells, D], and the cells where the prompt and the pushes of each row begin, int64 [B]."""
        (B, N), p = tree.tokens.shape, self.lengths[self.of_row, None]
        node = torch.arange(N, device=cells.device)
        cell = torch.where(node < p, prompts[:, None] + node, pushes[:, None] + node - p)
        cell = torch.where(node < tree.lengths[:, None], cell, 0)
        return cells.index_select(0, cell.view(-1)).view(B, N, -1)


def _pushed(tree: PrefixTree, prompt_lengths: Tensor, pushes: int, empty: int) -> tuple[Tensor, Tensor, Tensor]:
    """The nodes behind the prompts: tokens and depth, int64 [B, S], and which see which, bool [B, query S, key S]."""
    push = torch.arange(pushes, device=tree.tokens.device)
    node = prompt_lengths + push
    real = node < tree.lengths[:, None]
    node = node.clamp(max=tree.tokens.shape[1] - 1)
    deleted_at = torch.where(real, tree.deleted_at.gather(1, node) - prompt_lengths, push + 1)
    seen = (push <= push[:, None]) & (push[:, None] < deleted_at[:, None])
    tokens, depth = (torch.where(real, x.gather(1, node), fill) for x, fill in ((tree.tokens, empty), (tree.depth, 0)))
    return tokens, depth, seen
