"""What a policy says along whole trajectories, by one forward over their prefix tree."""

from __future__ import annotations

from torch import Tensor

from ..mdp.memory import PREFIX, Memory
from ..mdp.trajectory import Trajectories
from ..mdp.tree import PrefixTree, pack
from ..models.masks import additive
from .shared_prompts import SharedPrompts
from .trunk import Trunk


def tree_and_hidden(trunk: Trunk, trajectories: Trajectories, memory: Memory = PREFIX) -> tuple[PrefixTree, Tensor]:
    """The tree of the trajectories and the last hidden state of each of its nodes, [B, N, D].

    Long prompts that several rows begin with are fed once, see `SharedPrompts.where_worthwhile`.
    """
    tree = pack(trajectories.vocabulary, trajectories, memory)
    shared = _shared(trunk, trajectories, memory)
    return tree, tree_hidden(trunk, tree) if shared is None else shared.hidden(trunk, tree)


def tree_hidden(trunk: Trunk, tree: PrefixTree) -> Tensor:
    """Last hidden state of every node, prompts of each row included: [B, N, D]."""
    return trunk.hidden(tree.tokens, tree.depth, additive(tree.visible(), trunk.dtype)[:, None], None)


def positions(trunk: Trunk, trajectories: Trajectories, memory: Memory = PREFIX) -> int:
    """Cells that `tree_and_hidden` feeds: the prefix trees, a prompt that is shared once."""
    shared = _shared(trunk, trajectories, memory)
    prompts = trajectories.prompt_lengths if shared is None else shared.lengths
    return int(prompts.sum() + _written(trajectories, memory).sum())


def _shared(trunk: Trunk, trajectories: Trajectories, memory: Memory) -> SharedPrompts | None:
    return SharedPrompts.where_worthwhile(trajectories, _written(trajectories, memory), trunk.cached)


def _written(trajectories: Trajectories, memory: Memory) -> Tensor:
    """Cells behind the prompt of each row: int64 [B]."""
    return trajectories.pushes if memory.rewinds else trajectories.lengths
