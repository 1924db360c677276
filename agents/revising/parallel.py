"""Texts in one shot, by maximum likelihood: cell by cell, or summed over alignments."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor

from seqil import Agent, Prefixes, Trajectories, TrajectoryLoss
from seqil.errors import InvalidInputError
from seqil.learning.whole_batch import total
from seqil.revision import ParallelPolicy
from seqil.revision.canvases import canvas, laid, put


class ParallelLoss(TrajectoryLoss):
    """`-log q(x | prompt)`, nats per action of the texts, `eos` among them.

    `loss_cells` sums over the cells of a text; at its optimum it is the sum of the entropies of the cells, each on its
    own. `loss_ctc`, for a policy that collapses, is that of all draws that are read as the text.
    """

    policy: Any
    divides_by = "counts"

    def __init__(self, policy: ParallelPolicy) -> None:
        self.out_keys = [key_of(policy)]
        super().__init__(cast(Any, policy))

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the texts that stand in the end; rollouts are not read."""
        return {self.out_keys[0]: one_shot(self.policy, demonstrations)}


class Parallel(Agent):
    """Learns to write all cells of a text at once, which no law allows whose cells depend on each other.

    What it cannot learn is the total correlation of the cells given the prompt: 0 where there is one right answer.

    Args:
        policy: what is trained.
        queries: per cell of the text, of the policy: 1, each cell on its own; 2 or more, summed over alignments. None:
            as the policy has them, which is 1 where nothing is said.
        options: of `Agent`; there is no warm-up.
    """

    policy_class = ParallelPolicy
    policy_options = ("queries",)

    def __init__(self, policy: ParallelPolicy, *, queries: int | None = None, **options: Any) -> None:
        check_queries(type(self).__name__, policy, queries)
        super().__init__(cast(Any, policy), ParallelLoss(policy), **options)
        self.refuse_warm_up()


def key_of(policy: ParallelPolicy) -> str:
    """What the loss of a policy is called."""
    return "loss_ctc" if policy.collapses else "loss_cells"


def one_shot(policy: ParallelPolicy, demonstrations: Trajectories) -> Tensor:
    """`-log q` per action, a scalar."""
    return -policy.log_prob(final_texts(demonstrations)).sum() / total(demonstrations.inside.sum()).clamp(min=1)


def final_texts(trajectories: Trajectories) -> Prefixes:
    """What stands in the end, ended."""
    texts, v = trajectories.replay(), trajectories.vocabulary
    return put(v, texts, laid(v, texts, canvas(texts)))


def check_queries(name: str, policy: ParallelPolicy, queries: int | None) -> None:
    """Refuse another number than the policy has."""
    if queries not in (None, policy.queries):
        raise InvalidInputError(f"{name}: queries={queries}, the policy has {policy.queries}; make it with as many")
