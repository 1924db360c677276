"""The path through a star graph: the arm is chosen at the first node, and the choice shows at the last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from seqil import Prefixes, Vocabulary
from seqil.errors import InvalidInputError

from ..base import counters
from ..base.requests import foreign_prompt, split_of
from ..base.right_answer import Item, RightAnswerTask, mended_late

LABELS = 50
_BAR, _SLASH, _EQUALS, _EOS = range(LABELS, LABELS + 4)
_CHUNK = 1024


class Star(RightAnswerTask):
    """`3,8|5,1|3,5|8,2/3,2=`, answered by `3,8,2`: arms of one length leave a centre, one of them ends in the goal.

    - **Tokens**: 50 node labels (ids 0 … 49), `|`, `/`, `=` and `eos` (id 53), V = 54. A label is one token, so that a
      step of the path is one action and an arm one deletion per node; commas are left out, as in the published code,
      because the position tells the same: a prompt has three tokens per edge.
    - **Prompt**: the edges outwards, shuffled, then centre and goal. **Text**: the `length + 1` nodes from the centre
      to the goal, then `eos`. Labels are drawn without replacement, the goal is the end of a uniform arm.
    - **Items** are split by the hash of the graph, its edges sorted, and the goal: another order of the edges is the
      same item. Structural split: more or longer arms, in the same vocabulary.
    - **Why**: all nodes but the first after the centre follow from the one before by a look-up; that one takes the way
      back from the goal. Who takes any arm is right with probability 1 / `arms`, and learns it at the goal, after
      `length - 1` more tokens; mending it takes `length` deletions, the node that shows it included.
    - **Teacher**: one-hot. After an error it follows the edges from the last node, to the end of a wrong arm, where
      the contradiction comes to light; uniform over the labels where no edge leaves the last node.
    - **First error**: the first node that is not on the path. **Success**: the whole path and `eos`.
    - **Confusions**: at the centre the first nodes of the other arms, on a wrong arm its next node, elsewhere the
      nodes of the other arms at the same depth. So a burst of mistakes runs along one arm.

    From Bachmann & Nagarajan 2024, "The pitfalls of next-token prediction", G(d, l) with d = `arms`, l = `length + 1`.

    Args:
        arms: at least 2.
        length: edges per arm, at least 1; `1 + arms * length` nodes, at most 50.
    """

    name = "star"
    one_guess = True
    vocabulary = Vocabulary(size=LABELS + 4, eos=_EOS)

    def __init__(self, arms: int = 5, length: int = 4) -> None:
        if arms < 2 or length < 1 or 1 + arms * length > LABELS:
            raise InvalidInputError(
                f"star: arms={arms} and length={length} must be at least 2 and 1, with 1 + arms * length <= {LABELS}"
            )
        self.arms, self.length = arms, length
        self.max_length = self.min_length = length + 1
        self.max_actions = mended_late(self.max_length)

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The nodes of the path and `eos`."""
        arms = self._read(prompt)
        if arms is None:
            raise foreign_prompt(self.name, prompt, f"a star of {self.arms} arms of {self.length} edges and its goal")
        centre, goal = prompt[-3:-1]
        return [centre, *next(arm for arm in arms if arm[-1] == goal), self.vocabulary.eos]

    def chunk(self, seed: int, number: int) -> list[Item]:
        """1024 graphs with a goal."""
        return _chunk(self.arms, self.length, seed, number)

    def after_error(self, prefixes: Prefixes, following: Tensor) -> Tensor:
        """Uniform over what the edges lead to from the last node, or over the labels; `eos` where the text is full."""
        eos = self.vocabulary.eos
        law = self._step(prefixes, self._last(prefixes))
        law[law.sum(1) == 0, :LABELS] = 1
        law[following == eos] = one_hot(following.new_tensor(eos), self.vocabulary.size).to(law)
        return law / law.sum(1, keepdim=True)

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the wrong nodes that the edges lead to; where there are none, on those of the depth."""
        right = one_hot(self.following(prefixes), self.vocabulary.size).double()
        near = self._step(prefixes, self._last(prefixes)) * (1 - right)
        level = one_hot(prefixes.tokens.gather(1, prefixes.prompt_length[:, None] - 3)[:, 0], self.vocabulary.size)
        weights = torch.zeros_like(near)
        for depth in range(1, self.length + 1):
            level = self._step(prefixes, level)
            here = prefixes.generated == depth
            weights[here] = (level * (1 - right))[here]
        return torch.where(near.sum(1, keepdim=True) > 0, near, weights).float()

    def decode(self, tokens: Sequence[int]) -> str:
        """The published notation; `eos` is not shown."""
        names = ["|/="[t - LABELS] if t >= LABELS else str(t) for t in tokens if t != self.vocabulary.eos]
        return re.sub(r"(?<=\d) (?=\d)", ",", " ".join(names)).replace(" ", "")

    def _read(self, prompt: Sequence[int]) -> list[list[int]] | None:
        """The arms, from the nodes next to the centre on; None if the prompt is not one of the task."""
        edges = self.arms * self.length
        if len(prompt) != 3 * edges + 3:
            return None
        *body, centre, goal, equals = prompt
        tails, heads, marks = body[::3], body[1::3], body[2::3]
        if [*marks, equals] != [*[_BAR] * (edges - 1), _SLASH, _EQUALS] or max(tails + heads) >= LABELS:
            return None
        after = dict(zip(tails, heads, strict=True))
        arms = [[head] for tail, head in zip(tails, heads, strict=True) if tail == centre]
        for arm in arms:
            while arm[-1] in after and len(arm) <= self.length:
                arm.append(after[arm[-1]])
        regular = len(arms) == self.arms and {len(arm) for arm in arms} == {self.length}
        disjoint = len({centre, *heads}) == edges + 1
        return arms if regular and disjoint and goal in {arm[-1] for arm in arms} else None

    def _step(self, prefixes: Prefixes, nodes: Tensor) -> Tensor:
        """Weights of nodes, [B, V], moved along the edges that leave them: float64 [B, V]."""
        edges = prefixes.tokens[:, : 3 * self.arms * self.length].unflatten(1, (-1, 3))
        weights = nodes.double()
        return torch.zeros_like(weights).scatter_add(1, edges[:, :, 1], weights.gather(1, edges[:, :, 0]))

    def _last(self, prefixes: Prefixes) -> Tensor:
        return one_hot(prefixes.tokens.gather(1, prefixes.length[:, None] - 1)[:, 0], self.vocabulary.size)


@lru_cache(maxsize=64)
def _chunk(arms: int, length: int, seed: int, number: int) -> list[Item]:
    edges = arms * length
    key = ("star", arms, length, seed, number)
    labels = counters.words("labels", *key, shape=(_CHUNK, LABELS)).argsort(axis=1, kind="stable")
    order = counters.words("order", *key, shape=(_CHUNK, edges)).argsort(axis=1, kind="stable")
    goals = counters.below(arms, "goal", *key, shape=(_CHUNK,))
    centre, nodes = labels[:, :1], labels[:, 1 : edges + 1].reshape(_CHUNK, arms, length)
    tails = np.concatenate([np.broadcast_to(centre[:, None], (_CHUNK, arms, 1)), nodes[:, :, :-1]], 2)
    pairs = np.stack([tails, nodes], -1).reshape(_CHUNK, edges, 2)
    ends = np.concatenate([centre, nodes[np.arange(_CHUNK), goals, -1:]], 1)
    shuffled = np.take_along_axis(pairs, order[:, :, None], 1)
    marks = np.where(np.arange(edges) < edges - 1, _BAR, _SLASH)
    body = np.concatenate([shuffled, np.broadcast_to(marks[:, None], (_CHUNK, edges, 1))], 2).reshape(_CHUNK, -1)
    prompts = np.concatenate([body, ends, np.full((_CHUNK, 1), _EQUALS)], 1)
    graphs = zip(prompts.tolist(), pairs.tolist(), ends.tolist(), strict=True)
    return [Item(prompt, split_of("star", f"{sorted(graph)} {goal}")) for prompt, graph, goal in graphs]
