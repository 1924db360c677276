"""A random walk on a hidden digraph: which nodes may follow a node must be learnt from walks."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from seqil import Prefixes, Vocabulary

from ..base import counters
from ..base.markov import MarkovTask
from ..base.sampled import CHUNK, Chunk, Ints, with_splits

NODES, DEGREE = 200, 4


class GraphWalk(MarkovTask):
    """Walks of a fixed horizon on a digraph that no prompt shows.

    - **Tokens**: 200 nodes and `eos` (id 200), V = 201.
    - **Law**: each node has 4 successors, other nodes, all equally likely: log 4 nats per token. One of them is the
      next node of a cycle through all nodes, so that every node can be reached; the others are drawn without
      replacement. The graph is drawn once and for all.
    - **Prompt**: a node, uniform. **Text**: `horizon` nodes, then `eos`. Items are split by the hash of the walk.
    - **Teacher**: exact everywhere: the law of the last node, so that an error is forgotten at once. Without `eos`,
      `law[:200, :200]` is the transition matrix that `seqil.exact` takes.
    - **First error**: the first node that is no successor. **Success**: there is none, and `eos` at the horizon.
    - **Confusions**: the nodes that are two steps away and not one: a step left out.

    Args:
        horizon: tokens per text, at least 1.
    """

    name = "graph_walk"
    vocabulary = Vocabulary(size=NODES + 1, eos=NODES)

    def __init__(self, horizon: int = 64) -> None:
        law = torch.zeros(NODES + 1, NODES + 1, dtype=torch.float64)
        law[:NODES].scatter_(1, torch.from_numpy(_successors()), 1 / DEGREE)
        super().__init__(law, horizon)
        steps = (law > 0).double()
        self._skips = ((steps @ steps > 0) & (law == 0)).float()

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 walks."""
        return _chunk(self.max_length, seed, number)

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the nodes that only a node in between leads to."""
        return self._skips.to(prefixes.tokens.device)[self.contexts(prefixes)[:, 0]]


@lru_cache(maxsize=1)
def _successors() -> Ints:
    """The successors of every node, int64 [200, 4]."""
    cycle = counters.shuffled(NODES, "graph_walk", "cycle")
    found = np.empty((NODES, DEGREE), dtype=np.int64)
    for node, after in zip(cycle, np.roll(cycle, -1), strict=True):
        others = counters.shuffled(NODES, "graph_walk", "successors", int(node))
        found[node] = [after, *others[(others != node) & (others != after)][: DEGREE - 1]]
    return found


@lru_cache(maxsize=64)
def _chunk(horizon: int, seed: int, number: int) -> Chunk:
    draws = counters.words("graph_walk", "text", horizon, seed, number, shape=(CHUNK, 1 + horizon))
    walks = np.empty(draws.shape, dtype=np.int64)
    walks[:, 0] = draws[:, 0] % np.uint64(NODES)
    for t in range(1, 1 + horizon):
        walks[:, t] = _successors()[walks[:, t - 1], draws[:, t] % np.uint64(DEGREE)]
    return with_splits("graph_walk", walks, eos=NODES)
