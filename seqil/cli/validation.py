"""Held-out items while a run goes on: the best checkpoint is kept, and where nothing gets better it may end."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InvalidInputError
from ..mdp.task import Task
from ..metrics.positions import negative_log_likelihood
from ..policy.token_policy import TokenPolicy
from ..runs.checkpoint import RunFolder

_ITEMS = 256
MEASURE = "valid_nll_per_token"

Show = Callable[[int, TokenPolicy], None]


class Validation:
    """The negative log-likelihood of held-out demonstrations, in nats per token.

    Args:
        run: where the best checkpoint is kept.
        task: its first 256 items of the split valid, or what there is, are measured.
        every: steps between two measurements.
        patience: measurements without a better one until the run is over; None: it goes on to its end.
        show: called with step and policy after each measurement.

    Raises:
        InvalidInputError: the split is empty.
    """

    def __init__(
        self, run: RunFolder, task: Task, every: int, patience: int | None = None, show: Show | None = None
    ) -> None:
        n = task.at_most(_ITEMS, "valid")
        if not n:
            raise InvalidInputError(f"the valid split of {task.name} is empty: --evaluate-every needs more data")
        self.run, self.every, self.patience, self.show = run, every, patience, show
        self.items = task.demonstrations(n, "valid", 0)

    def due(self, step: int, total: int) -> bool:
        """Whether this step is measured: every so many, and the last."""
        return step % self.every == 0 or step == total

    def measured(self, step: int, policy: TokenPolicy) -> dict[str, float]:
        """The value of a step; its policy is kept if it is the best so far."""
        value = float(negative_log_likelihood(policy, self.items).mean())
        best = self.run.best()
        if best is None or value < best[MEASURE]:
            self.run.keep(policy, {"step": step, MEASURE: value})
        if self.show is not None:
            self.show(step, policy)
        return {MEASURE: value}

    def over(self, step: int) -> bool:
        """Whether patience is at its end."""
        best = self.run.best()
        waited = 0 if best is None else (step - best["step"]) // self.every
        return self.patience is not None and waited >= self.patience


def validated(
    run: RunFolder, task: Task, policy: TokenPolicy, every: int | None, patience: int | None
) -> Validation | None:
    """What is asked for on the command line; None: nothing, or another process measures.

    Raises:
        InvalidInputError: a policy of whole texts, which has no likelihood of a text, or an empty split.
    """
    if every is not None and not isinstance(policy, TokenPolicy):
        raise InvalidInputError(
            f"--evaluate-every measures the likelihood of held-out texts, which a {type(policy).__name__} does not "
            "have; leave it out"
        )
    return Validation(run, task, every, patience) if every is not None and run.ours else None
