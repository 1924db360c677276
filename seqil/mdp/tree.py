"""A trajectory with backspaces is a walk on a tree of prefixes: pack it into one row of a transformer.

The state after a backspace *is* an earlier state. Every pushed token becomes one node (no merging), fed once at
position `depth`, seeing its ancestors and itself; step `t` reads the logits of `node_at[t]`. For the prompt
`<s>` and the actions `a b c <B> d <B> <B> e </s>`:

    tokens   <s> a b c d e </s>
    depth     0  1 2 3 3 2 3
    node_at   0  1 2 3 2 4 2 1 5 6

so that one forward over 7 nodes gives the logits of all 10 states. A backspace is only ever a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors.arguments import typed
from .memory import PREFIX, Memory
from .trajectory import Trajectories, held
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """The prefixes of a batch of trajectories; nodes are prompt tokens, then pushes in time order.

    Attributes:
        tokens: int64 [B, N], padded with `vocabulary.size`.
        parent: int64 [B, N], index of the node before; -1 at the root and in padding.
        depth: int64 [B, N], position of the token in its prefix; 0 in padding.
        deleted_at: int64 [B, N], the first node that was pushed after this one was deleted (N or more: never
            followed). Node `j` is an ancestor of `i`, or `i` itself, iff `j <= i < deleted_at[j]`.
        lengths: int64 [B], nodes per row.
        node_at: int64 [B, T + 1], the node whose prefix is the state before action `t`; from the end of a row
            on, its final node.
    """

    tokens: Tensor
    parent: Tensor
    depth: Tensor
    deleted_at: Tensor
    lengths: Tensor
    node_at: Tensor

    def visible(self) -> Tensor:
        """Which node a query sees: bool [B, query N, key N], `depth + 1` true per node (padding sees itself)."""
        node = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return (node[None, None, :] <= node[None, :, None]) & (node[None, :, None] < self.deleted_at[:, None, :])


@typed
def pack(vocabulary: Vocabulary, trajectories: Trajectories, memory: Memory | str = PREFIX) -> PrefixTree:
    """The prefix tree of each row, without a loop over steps. O(B T log T) time, O(B (P + T)) memory.

    Under a memory that does not rewind it is a chain: every action is a node below the one before it, the backspace,
    too, as the token `vocabulary.size`.

    Raises:
        InvalidInputError: trajectories over another vocabulary, or an unknown memory.
    """
    v, t = vocabulary, trajectories
    t.check_vocabulary(v)
    if not Memory.of(memory).rewinds:
        return _chain(v, t)
    (B, T), P = t.actions.shape, t.prompts.shape[1]
    device = t.actions.device
    before, after = held(v, t.actions, t.inside)
    push = t.inside & (t.actions != v.backspace)
    pop = t.inside & (t.actions == v.backspace)
    pushes = push.long().cumsum(1)  # nodes that were pushed up to and including step t
    p = t.prompt_lengths[:, None]
    lengths = t.prompt_lengths + (pushes[:, -1] if T else 0)
    N = int(lengths.max())

    # A push at generated depth d is the state's top until the next push at depth d, so "the top at time t" is the
    # last push of its depth before t: one sorted list of (depth, time) keys and a binary search.
    time = torch.arange(T + 1, device=device).expand(B, T + 1)
    span = T + 2
    none = span * span
    push_key = torch.where(push, after * span + time[:, :T], none)
    sorted_key, order = push_key.sort(1)
    held_before = torch.cat([before, after[:, -1:]], 1) if T else before.new_zeros(B, 1)
    rank = torch.searchsorted(sorted_key, (held_before * span + time).contiguous()) - 1
    step_of_top = order.gather(1, rank.clamp(min=0)) if T else rank
    top_node = p + pushes.gather(1, step_of_top) - 1 if T else p - 1
    node_at = torch.where(held_before > 0, top_node, p - 1)

    # A push is deleted by the first later pop that leaves one token less than the push left.
    pop_key = torch.where(pop, after * span + time[:, :T], none)
    sorted_pop, pop_order = pop_key.sort(1)
    wanted = torch.where(push, (after - 1) * span + time[:, :T], none)
    found = torch.searchsorted(sorted_pop, wanted.contiguous()).clamp(max=max(T - 1, 0))
    deleting = pop_order.gather(1, found)
    is_deleted = push & (sorted_pop.gather(1, found) // span == after - 1)
    deleted_at = torch.where(is_deleted, p + pushes.gather(1, deleting), N)

    spare = N  # pushes that do not exist are written to one more column, cut off at the end
    column = torch.where(push, p + pushes - 1, spare)
    at_node = torch.arange(N + 1, device=device).expand(B, N + 1)
    in_prompt = at_node < p
    prompt = torch.full((B, N + 1), v.size, dtype=torch.int64, device=device)
    prompt[:, : min(P, N)] = t.prompts[:, :N]
    tokens = prompt.scatter(1, column, torch.where(push, t.actions, v.size))
    depth = torch.where(in_prompt, at_node, 0).scatter(1, column, torch.where(push, p + before, 0))
    parent = torch.where(in_prompt, at_node - 1, -1).scatter(1, column, torch.where(push, node_at[:, :T], -1))
    own = torch.where(in_prompt, N, at_node + 1).scatter(1, column, torch.where(push, deleted_at, 0))
    return PrefixTree(tokens[:, :N], parent[:, :N], depth[:, :N], own[:, :N], lengths, node_at)


def _chain(v: Vocabulary, t: Trajectories) -> PrefixTree:
    (B, T), p, device = t.actions.shape, t.prompt_lengths[:, None], t.actions.device
    lengths = t.prompt_lengths + t.lengths
    N = int(lengths.max())
    time, node = torch.arange(T + 1, device=device), torch.arange(N, device=device).expand(B, N)
    column = torch.where(t.inside, p + time[:T], N)
    tokens = torch.full((B, N + 1), v.size, device=device)
    width = min(t.prompts.shape[1], N)
    tokens[:, :width] = t.prompts[:, :width]
    tokens = tokens.scatter(1, column, t.actions)[:, :N]
    real = node < lengths[:, None]
    node_at = p - 1 + torch.minimum(time, t.lengths[:, None])
    parent, depth = torch.where(real, node - 1, -1), torch.where(real, node, 0)
    return PrefixTree(tokens, parent, depth, torch.where(real, N, node + 1), lengths, node_at)
