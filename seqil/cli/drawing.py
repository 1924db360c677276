"""Texts of a policy after prompts: what stands, what was taken away on the way, and what that took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from .. import decoding, metrics
from ..errors import InvalidInputError
from ..mdp.prefix import Prompts
from ..mdp.rendering import Span, revised, runs, written
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..policy.token_policy import TokenPolicy
from ..revision import WholeTextPolicy, Written
from ..rollouts import recording
from ..rollouts.rollouts import rollout


@dataclass(frozen=True, eq=False)
class Drawn:
    """Texts, one after each prompt.

    Attributes:
        trajectories: what was written; of a policy of whole texts what stands in the end.
        cost: of them all.
        whole: of a policy of whole texts, what was done to them; else None.
    """

    trajectories: Trajectories
    cost: metrics.Cost
    whole: Written | None = None

    def spans(self, task: Task, prompt: Sequence[int], row: int) -> list[Span]:
        """Runs of text that was kept and that was taken away, where it stood."""
        if self.whole is not None:
            return runs(self.whole.told(row), task.decode, prompt)
        return runs(written(task.vocabulary, self._actions(row)), task.decode, prompt)

    def recorded(self, task: Task, prompt: Sequence[int], row: int) -> list[recording.Character]:
        """Every character, with the times between which it stood."""
        if self.whole is not None:
            return recording.followed(prompt, list(_stages(self.whole, row)), task.decode)
        return recording.characters(task.vocabulary, prompt, self._actions(row), task.decode)

    def _actions(self, row: int) -> list[int]:
        t = self.trajectories
        actions: list[int] = t.actions[row, : int(t.lengths[row])].tolist()
        return actions


def _stages(whole: Written, row: int) -> Iterator[list[int]]:
    """What stood at first and after each edit, without `eos`."""
    eos = whole.trajectories.vocabulary.eos
    draft = [(token, False) for token in whole.drafts[row]]
    for tokens in accumulate(whole.revisions[row], lambda before, edit: revised(before, *edit), initial=draft):
        yield [token for token, gone in tokens if not gone and token != eos]


def drawn(
    task: Task,
    policy: TokenPolicy | WholeTextPolicy,
    prompts: Prompts,
    temperature: float,
    seed: int,
    rules: Sequence[decoding.Rule] = (),
    max_length: int | None = None,
    max_actions: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Drawn:
    """One text per prompt; `more` is of `rollout` alone."""
    length = max_length or task.max_length
    limits: dict[str, Any] = {"max_length": length, "min_length": min(task.min_length, length)}
    g = torch.Generator().manual_seed(seed)
    if isinstance(policy, WholeTextPolicy):
        if rules or more:
            raise InvalidInputError("decoding rules and --stream are for policies that write token by token")
        found = policy.write(prompts, **limits, generator=g, temperature=temperature)
        net = metrics.cost(found.trajectories).net
        return Drawn(found.trajectories, metrics.Cost(net, found.forwards.numpy(), net), found)
    acted = rollout(
        policy,
        prompts,
        **limits,
        max_actions=task.budget(max_actions, max_length),
        temperature=temperature,
        rules=rules,
        generator=g,
        **(more or {}),
    ).to("cpu")
    return Drawn(acted, metrics.cost(acted, rules))


def streamed(
    task: Task,
    policy: TokenPolicy,
    prompts: Sequence[Sequence[int]],
    temperature: float,
    seed: int,
    rules: Sequence[decoding.Rule],
    max_length: int | None,
    max_actions: int | None,
) -> Drawn:
    """The same, one after another, each shown as it is written."""
    from ..rollouts.streaming import DeletionStreamer

    parts = []
    for row, prompt in enumerate(prompts):
        streamer = DeletionStreamer(task, task.vocabulary.backspace, task.vocabulary.eos)
        streamer.put(prompt)

        def watch(_: int, action: int, streamer: DeletionStreamer = streamer) -> None:
            streamer.put([action])

        own = {"streams": torch.tensor([row]), "watch": watch}
        found = drawn(task, policy, [prompt], temperature, seed, rules, max_length, max_actions, own)
        parts.append(found.trajectories)
        streamer.end()
    acted = Trajectories.cat(parts)
    return Drawn(acted, metrics.cost(acted, rules))
