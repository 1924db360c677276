"""Texts from any policy, token by token or whole, and what they took: the one way in which they are measured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .errors import InvalidInputError, check_known
from .mdp.prefix import Prompts
from .mdp.rendering import Span, runs, written
from .mdp.task import Task
from .mdp.trajectory import Trajectories
from .metrics import Cost, cost
from .policy.token_policy import TokenPolicy
from .revision import WholeTextPolicy, Written
from .rollouts import recording
from .rollouts.rollouts import rollout

if TYPE_CHECKING:
    from .decoding.interface import Rule


@dataclass(frozen=True, eq=False)
class Drawn:
    """Texts, one after each prompt.

    Attributes:
        trajectories: what was written; of a policy of whole texts what stands in the end.
        cost: of them all.
        whole: of a policy of whole texts, what was done to them; else None.
    """

    trajectories: Trajectories
    cost: Cost
    whole: Written | None = None

    def spans(self, task: Task, prompt: Sequence[int], row: int) -> list[Span]:
        """Runs of text that was kept and that was taken away, where it stood."""
        if self.whole is not None:
            return runs(self.whole.told(row), task.decode, prompt)
        return runs(written(task.vocabulary, self._actions(row)), task.decode, prompt)

    def recorded(self, task: Task, prompt: Sequence[int], row: int) -> list[recording.Character]:
        """Every character, with the times between which it stood."""
        if self.whole is not None:
            stages = [[token for token, gone in tokens if not gone] for tokens in self.whole.course(row)]
            return recording.followed(prompt, stages, task.decode)
        return recording.characters(task.vocabulary, prompt, self._actions(row), task.decode)

    def _actions(self, row: int) -> list[int]:
        t = self.trajectories
        actions: list[int] = t.actions[row, : int(t.lengths[row])].tolist()
        return actions


def drawn(
    task: Task,
    policy: TokenPolicy | WholeTextPolicy,
    prompts: Prompts,
    *,
    generator: torch.Generator,
    max_actions: int,
    max_length: int | None = None,
    min_length: int | None = None,
    temperature: float = 1.0,
    rules: Sequence[Rule] = (),
    writing: Mapping[str, Any] | None = None,
    **more: Any,
) -> Drawn:
    """One text per prompt, on the CPU.

    Args:
        task: says how long a text is.
        policy: of tokens or of whole texts; the latter are drawn as they are meant to be drawn from.
        prompts: B of them, as for `rollout`.
        generator: on the CPU.
        max_actions: of a text that is written token by token.
        max_length, min_length: most generated tokens, and fewest before a text may end, if not the task's.
        temperature: of the softmax.
        rules: of `seqil.decoding`, for policies of tokens.
        writing: options of `manner` of a policy of whole texts, by name.
        more: of `rollout`, for policies of tokens.

    Returns:
        The texts. The forwards of a whole text are all cells that were fed, its actions its tokens.

    Raises:
        InvalidInputError: options that are of no use to this policy.
    """
    length = max_length or task.max_length
    least = min(task.min_length, length) if min_length is None else min_length
    limits: dict[str, Any] = {"max_length": length, "min_length": least}
    options: dict[str, Any] = {**limits, "generator": generator, "temperature": temperature}
    if isinstance(policy, WholeTextPolicy):
        if rules or more:
            raise InvalidInputError(
                "decoding rules and --stream are for policies that write token by token; leave them out, and see "
                "--writing"
            )
        found = policy.write(prompts, **options, **_manner(task, policy, writing or {}))
        net = cost(found.trajectories).net
        return Drawn(found.trajectories, Cost(net, found.forwards.numpy(), net), found)
    if writing:
        raise InvalidInputError(f"{', '.join(writing)}: how whole texts are written is nothing to a policy of tokens")
    acted = rollout(policy, prompts, max_actions=max_actions, rules=rules, **options, **more).to("cpu")
    return Drawn(acted, cost(acted, rules))


def _manner(task: Task, policy: WholeTextPolicy, options: Mapping[str, Any]) -> dict[str, Any]:
    known = [name for name in inspect.signature(policy.manner).parameters if name != "task"]
    if options and not known:
        raise InvalidInputError(f"{', '.join(options)}: there is one way in which a {type(policy).__name__} writes")
    for name in options:
        check_known(f"option of how a {type(policy).__name__} writes,", name, known)
    return policy.manner(task, **options)
