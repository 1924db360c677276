"""DAgger for edits: in the texts that the policy comes to, an expert says which edits lead to the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from seqil import Agent, Edits, Prefixes, Trajectories, TrajectoryLoss, revise
from seqil.revision import EditPolicy
from seqil.revision.draws import uniforms
from seqil.revision.edit_experts import EditExpert, edit_towards


class EditDAggerLoss(TrajectoryLoss):
    """`loss_correction`: the mean of `-sum_e expert(e | x) log pi(e | x)` over texts that edits have led to.

    Behind the prompt of each demonstration stand tokens at random, as `EditPolicy.write` begins. Edits follow, each the
    expert's with probability `share` and else the policy's, both drawn. Of the texts on the way that have not stopped
    `states` are drawn, all alike, and the expert's law of them is learned (`edit_towards` the demonstration): alike the
    edits that begin a shortest way, and `stop` where the text is it. What is drawn is a function of the demonstration
    and of the buffer `calls`. `reached` is the share of texts that are the demonstration in the end.
    """

    policy: Any
    out_keys = ["loss_correction", "reached"]  # noqa: RUF012

    def __init__(self, policy: EditPolicy, edits: int | None, states: int) -> None:
        super().__init__(cast(Any, policy))
        self.edits, self.states, self.share = edits, states, 1.0
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def steps(self, max_length: int) -> int:
        """Edits per text: as many as lead from any text to any other one, and `stop`, where nothing else is said."""
        return max_length + 1 if self.edits is None else self.edits

    def losses(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> dict[str, Tensor]:
        """Of the demonstrations; rollouts are not read."""
        right = demonstrations.replay()
        edits = self.policy.edits(right.max_length, right.min_length)
        numbers = [1 + right.max_length, 2 * self.steps(right.max_length), self.states]
        draft, acts, which = uniforms(demonstrations, sum(numbers), self.calls).split(numbers, 1)
        expert, way = edit_towards(edits), [at_random(edits, right, draft)]
        for chance in acts.split(2, 1):
            way.append(self._edited(edits, expert, way[-1], right, chance))
        met, of = chosen(way, which)
        law = expert(met, right.select(of)).to(which)
        log_p = self.policy.log_probs(met)
        missed = -torch.where(law > 0, law.to(log_p) * log_p, 0).sum(1)
        last = way[-1]
        reached = last.ended & (last.length == right.length) & (last.tokens == right.tokens).all(1)
        said = (law.sum(1) > 0).sum().clamp(min=1)
        return {"loss_correction": missed.sum() / said, "reached": reached.to(log_p).mean()}

    @torch.no_grad()
    def _edited(self, edits: Edits, expert: EditExpert, states: Prefixes, right: Prefixes, chance: Tensor) -> Prefixes:
        """The texts after one edit more."""
        law = expert(states, right)
        leads = (chance[:, :1] < self.share) & (law.sum(1, keepdim=True) > 0)
        if not bool(leads.all()):
            law = torch.where(leads, law, self.policy.log_probs(states).to(law).exp())
        below = law.cumsum(1)
        drawn = (below <= chance[:, 1:] * below[:, -1:]).sum(1).clamp(max=edits.stop)
        return revise(edits, states, torch.where(states.ended, edits.stop, drawn))


class EditDAgger(Agent):
    """Learns from an expert which edits lead on from where it comes to, whatever it wrote, to the demonstration.

    Demonstrations must have ended. A text is drawn by `EditPolicy.write`: tokens at random are edited until the policy
    stops.

    Args:
        policy: what is trained.
        edits: per text, in training; None: one more than the most tokens of a text.
        states: texts on the way that are learned from, per demonstration.
        anneal: share of the steps over which the expert's share of the edits falls from 1 to 0 along a line.
        options: of `Agent`; there is no warm-up.
    """

    policy_class = EditPolicy
    loss: EditDAggerLoss

    def __init__(
        self, policy: EditPolicy, *, edits: int | None = None, states: int = 4, anneal: float = 0.5, **options: Any
    ) -> None:
        self.check_least(1, states=states, **({} if edits is None else {"edits": edits}))
        self.check_shares(anneal=anneal)
        super().__init__(cast(Any, policy), EditDAggerLoss(policy, edits, states), **options)
        self.refuse_warm_up()
        self.anneal = anneal

    def update(self, demonstrations: Trajectories, rollouts: Trajectories | None = None) -> dict[str, float]:
        """One step, and other texts at the next."""
        falls = self.anneal * self.steps
        self.loss.share = max(0.0, 1 - self.updates / falls) if falls else 0.0
        metrics = super().update(demonstrations, rollouts)
        self.loss.calls += 1
        return metrics

    def positions(self, demonstrations: Trajectories, rollouts: Trajectories | None) -> float:
        """As if all texts on the way were as long as the demonstration; an edit costs a forward."""
        read = self.loss.states + self.loss.steps(demonstrations.max_length) / 3
        return float(self.policy.positions(demonstrations) * read)


def at_random(edits: Edits, prompts: Prefixes, chance: Tensor) -> Prefixes:
    """Texts of tokens at random, of any length that is legal, all alike, behind the prompts of some texts.

    Args:
        edits: the alphabet.
        prompts: B texts; what stands behind their prompts is not read.
        chance: in [0, 1), [B, 1 + W], of the length and of the tokens.
    """
    p, v = prompts, edits.vocabulary
    length = p.min_length + (chance[:, 0] * (p.max_length - p.min_length + 1)).long()
    token = (chance[:, 1:] * (v.size - 1)).long()
    token += token >= v.eos
    place = torch.arange(p.tokens.shape[1], device=length.device) - p.prompt_length[:, None]
    written = token.gather(1, place.clamp(0, p.max_length - 1))
    tokens = torch.where(place < 0, p.tokens, torch.where(place < length[:, None], written, v.size))
    return replace(p, tokens=tokens, length=p.prompt_length + length, ended=torch.zeros_like(p.ended))


def chosen(way: list[Prefixes], which: Tensor) -> tuple[Prefixes, Tensor]:
    """Some of the texts on the way that had not stopped, all alike.

    Args:
        way: B texts after each number of edits; the first have not stopped.
        which: in [0, 1), [B, K].

    Returns:
        B K texts, those of a row one after another; int64 [B K], their rows.
    """
    running = torch.stack([~state.ended for state in way]).sum(0)
    time = (which * running[:, None]).long().flatten()
    of = torch.arange(len(which), device=which.device).repeat_interleave(which.shape[1])
    tokens, length = (torch.stack([getattr(s, name) for s in way])[time, of] for name in ("tokens", "length"))
    first = way[0].select(of)
    return replace(first, tokens=tokens, length=length), of
