"""ICE: edits learned inside the range of the data, made beyond it (Padmakumar et al., arXiv 2303.04562)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqil import Agent, Edits, Prefixes, Trajectories, TrajectoryLoss, legal_edits, revise
from seqil.errors import InvalidInputError
from seqil.mdp.edits import DELETE, INSERT, SUBSTITUTE
from seqil.revision import EditPolicy
from seqil.revision.draws import uniforms
from seqil.revision.edit_policy import Scorer, scorer
from seqil.revision.whole_text import open_texts


class ICELoss(TrajectoryLoss):
    """`loss_edit`: the mean of `-log pi(e | x, tag)` over corrupted demonstrations and the edits that mend them.

    A demonstration `y` is corrupted by one legal edit, drawn alike among all of them; the pair of the result `x` and
    the edit back `e` is kept if `0 < f(y) - f(x) <= delta` and, with tags, under the tag `lower` if `f` falls by as
    much. What is drawn is a function of the text and of the buffer `calls`. `kept` is the share of pairs that are.
    `loss_worth`, if that is learned, is the mean squared error of `EditPolicy.worth` on the demonstrations.
    """

    policy: Any

    def __init__(
        self, policy: EditPolicy, attribute: Scorer, delta: float, tag: bool, corruptions: int, worth: bool
    ) -> None:
        self.out_keys = ["loss_edit", "kept", *(["loss_worth"] if worth else [])]
        super().__init__(cast(Any, policy))
        self.worth = worth
        self.attribute, self.delta, self.tag, self.corruptions = attribute, delta, tag, corruptions
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        right = open_texts(demonstrations)
        edits = self.policy.edits(right.max_length, right.min_length)
        chance = uniforms(demonstrations, self.corruptions, self.calls)
        loss, kept = self.policy.weight.sum() * 0.0, torch.zeros((), device=chance.device)
        for column in chance.unbind(1):
            wrong, back = corrupted(edits, right, column)
            gain = (self.attribute(right) - self.attribute(wrong)).to(chance)
            near = (gain.abs() <= self.delta) & (gain != 0) & (back >= 0)
            counts = near if self.tag else near & (gain > 0)
            if not bool(counts.any()):
                continue
            tags = (gain < 0).long() if self.tag else None
            log_p = self.policy.log_probs(wrong, tags).gather(1, back.clamp(min=0)[:, None])[:, 0]
            loss = loss - torch.where(counts, log_p, 0).sum()
            kept = kept + counts.sum()
        found = {"loss_edit": loss / kept.clamp(min=1), "kept": kept / chance.numel()}
        if self.worth:
            found["loss_worth"] = (self.policy.worth(right) - self.attribute(right).to(loss)).square().mean()
        return found


class ICE(Agent):
    """Learns single edits that raise an attribute a little, from texts inside the range of the data.

    Sampling makes many of them, one after another, so that it goes on where the data end (`EditPolicy.improve`, with a
    scorer to choose among candidates, or `EditPolicy.write`).

    Args:
        policy: what is trained.
        attribute: what is to be raised; on the command line the task's own.
        delta: most that one edit may change it, above 0.
        tag: whether edits that lower it are learned, too, under a tag of their own.
        corruptions: per demonstration and update.
        worth: whether the attribute is learned, too, by the policy's head for it, so that candidates can be chosen by
            an estimate: of the demonstrations alone, whose attribute is inside the range.
        options: of `Agent`; there is no warm-up.
    """

    policy_class = EditPolicy
    policy_options = ("worth",)
    from_task = {"attribute": lambda task, policy: scorer(task)}  # noqa: RUF012

    def __init__(
        self,
        policy: EditPolicy,
        *,
        attribute: Scorer,
        delta: float = 1.0,
        tag: bool = False,
        corruptions: int = 4,
        worth: bool = False,
        **options: Any,
    ) -> None:
        self.check_least(0, delta=delta)
        self.check_least(1, corruptions=corruptions)
        if delta == 0:
            raise InvalidInputError("ICE: delta=0 keeps no edit; it must be above 0")
        if worth and policy.worth_head is None:
            raise InvalidInputError("ICE: worth needs a policy with worth=True")
        super().__init__(cast(Any, policy), ICELoss(policy, attribute, delta, tag, corruptions, worth), **options)
        self.refuse_warm_up()

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step, and other corruptions at the next."""
        metrics = super().update(demonstrations, rollouts)
        self.loss.calls += 1
        return metrics

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """Every corruption is read, and the text itself where its worth is learned."""
        return float(self.policy.positions(demonstrations) * (self.loss.corruptions + self.loss.worth))


def corrupted(edits: Edits, right: Prefixes, chance: Tensor) -> tuple[Prefixes, Tensor]:
    """Texts after one edit each, drawn alike among those that are legal but `stop`, and the edit that leads back.

    Args:
        edits: the alphabet.
        right: B texts that have not ended.
        chance: in [0, 1), [B].

    Returns:
        The texts; int64 [B], the edit back, -1 where none is legal, or nothing could be changed.
    """
    legal = legal_edits(edits, right)[:, :-1]
    number = (chance * legal.sum(1)).long()
    edit = (legal.long().cumsum(1) <= number[:, None]).sum(1)
    possible = legal.any(1)
    edit = torch.where(possible, edit, edits.stop)
    kinds, places, _ = edits.split(edit)
    cells = pad(right.tokens, (0, edits.max_length), value=edits.vocabulary.size)
    stood = cells.gather(1, right.prompt_length[:, None] + places[:, None])[:, 0].clamp(max=edits.vocabulary.size - 1)
    back = torch.where(kinds == INSERT, DELETE, torch.where(kinds == DELETE, INSERT, SUBSTITUTE))
    wrong = revise(edits, right, edit)
    wrong = replace(wrong, ended=right.ended)
    action = edits.join(back, places, stood)
    fits = legal_edits(edits, wrong).gather(1, action[:, None])[:, 0]
    return wrong, torch.where(possible & fits, action, -1)
