"""Values of prefixes, learned from how the policy's own texts come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from seqil import Prefixes, Task, TokenPolicy, Trajectories, rollout
from seqil.decoding import backspace_bias
from seqil.errors import InvalidInputError, on_one_line
from seqil.errors.arguments import check_count, check_function, check_kind, typed

from .discriminator import TreeHead
from .reranking import step_outputs

Judge = Callable[[Sequence[int], Sequence[int]], bool | None]
"""(prompt, text with its `eos`) -> whether the text is right, as `Task.success` says."""
_NO_DELETION = -1e38


class OutcomeValues:
    """Values for `seqil.decoding.value_walk`: the chance that a text of the policy's that begins so comes out right.

    A head on a copy of the policy's transformer has an output for every token, and is trained on texts that the policy
    writes without deletions: at each step of them, by the logistic loss of whether the text was right in the end. At
    the optimum an output is the share of right texts among those that begin with the prefix and the token, which is the
    value that the walk wants (`seqil.theory.walks.exact_values`, of what is worth 1 or nothing).

    Args:
        policy: whose texts they are; its transformer is copied.

    Attributes:
        cost: of `fit` so far, in forward positions, a trained one counted as three.
    """

    @typed
    def __init__(self, policy: TokenPolicy) -> None:
        if not policy.backspace:
            raise InvalidInputError(
                "OutcomeValues: a walk deletes, which this policy cannot; give one with a backspace"
            )
        self.policy, self.head, self.cost = policy, TreeHead(policy, policy.vocabulary.size), 0.0

    @typed
    def fit(
        self,
        task: Task,
        generator: torch.Generator,
        *,
        steps: int = 200,
        texts: int = 256,
        prompts: int = 1024,
        judge: Judge | None = None,
        learning_rate: float = 3e-3,
    ) -> list[float]:
        """Learn from texts that the policy writes now; the losses of the steps, in nats per token.

        Args:
            task: whose training prompts are continued, as long as it allows.
            generator: on the CPU, the only source of randomness.
            steps: of Adam, each on new texts.
            texts: of a step.
            prompts: to draw from.
            judge: of a text; None: the task's own `success`.
            learning_rate: of Adam.

        Raises:
            InvalidInputError: numbers that are none, a judge that is no function of a prompt and a text, or one, the
                task's own among them, that says of a text neither true nor false.
        """
        check_kind("OutcomeValues.fit", "task", task, Task)
        for name, value in {"steps": steps, "texts": texts, "prompts": prompts}.items():
            check_count("OutcomeValues.fit", name, value, 1)
        if not 0 < learning_rate < math.inf:
            raise InvalidInputError(f"OutcomeValues.fit: learning_rate={learning_rate} must be positive and finite")
        if judge is not None:
            check_function("OutcomeValues.fit", "judge", judge, "a prompt", "a text")
        given = task.prompts(task.at_most(prompts, "train"), "train", 0)
        right_of = judge or task.success
        optimizer = torch.optim.Adam([p for p in self.head.parameters() if p.requires_grad], lr=learning_rate)
        losses = []
        for _ in range(steps):
            rows = torch.randint(len(given), (texts,), generator=generator).tolist()
            own = rollout(
                self.policy,
                [given[row] for row in rows],
                max_length=task.max_length,
                min_length=task.min_length,
                generator=generator,
                rules=[backspace_bias(_NO_DELETION)],
            )
            pairs = zip((given[row] for row in rows), own.replay().texts(), strict=True)
            right = torch.tensor([_verdict(right_of(prompt, text)) for prompt, text in pairs])
            loss = self._loss(own, right.to(own.actions.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
            self.cost += float((own.prompt_lengths - 1 + own.lengths).sum()) + 3 * self.policy.positions(own)
        return losses

    def forwards(self, length: Tensor) -> Tensor:
        """Positions that it feeds at prefixes of these lengths."""
        return length

    @torch.no_grad()
    def __call__(self, prefixes: Prefixes) -> tuple[Tensor, Tensor]:
        """Values of states, 1 at a prompt, where none is asked for, and of what follows them: [K] and [K, V]."""
        own, after = (x.sigmoid() for x in step_outputs(self.head, prefixes))
        return torch.where(prefixes.generated > 0, own, 1.0), after

    def _loss(self, own: Trajectories, right: Tensor) -> Tensor:
        actions = torch.where(own.inside, own.actions, 0)
        logits = self.head.head(self.head.hidden(own)[:, :-1]).gather(2, actions[..., None])[..., 0]
        return binary_cross_entropy_with_logits(
            logits[own.inside], right[:, None].expand_as(logits)[own.inside].to(logits)
        )


def _verdict(said: Any) -> bool:
    if not isinstance(said, bool | np.bool_):
        what = f"of a text the judge says {on_one_line(said, 40)}, neither true nor false"
        raise InvalidInputError(f"OutcomeValues.fit: {what}; give a judge= that does")
    return bool(said)
