"""What TorchRL records of a rollout, from trajectories: all steps of all rows at once, but for the cells themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.nn.functional import pad

from seqil import Trajectories, pack
from seqil.errors import InvalidInputError, counted
from seqil.mdp.bans import Bans, legal_along
from seqil.mdp.prefix import legal_mask
from seqil.mdp.trajectory import held

from .episodes import Episodes


@dataclass(frozen=True, eq=False)
class Transitions:
    """Steps before and after actions; the last step of a row that is over is repeated, as `EnvBase.rollout` does.

    Attributes:
        step: int64 [B, T], the step of its row that a cell shows.
        action: int64 [B, T].
        before, after: int64 [B, T], generated tokens.
        ended, ends: bool [B, T], whether an `eos` was generated before the action, and after it.
        terminated, truncated: bool [B, T], after the action.
    """

    trajectories: Trajectories
    rules: Episodes
    step: Tensor
    action: Tensor
    before: Tensor
    after: Tensor
    ended: Tensor
    ends: Tensor
    terminated: Tensor
    truncated: Tensor

    @classmethod
    def of(cls, t: Trajectories, rules: Episodes, steps: int) -> Transitions:
        """The transitions of trajectories in an environment of these rules, T = `steps`.

        With a fixed horizon a row that has ended goes on, with `eos`.

        Raises:
            InvalidInputError: trajectories of another vocabulary or other limits, or rows that stop before they are
                over, while others go on.
        """
        _check(t, rules, steps)
        if rules.memory.forbids:
            Bans.of(t).check(t)
        v, last = t.vocabulary, t.actions.shape[1] - 1
        step = torch.arange(steps, device=t.actions.device).expand(len(t), -1)
        if not rules.fixed_horizon:
            step = torch.minimum(step, t.lengths[:, None] - 1)
        first, others = held(v, t.actions, t.inside)
        counts = torch.cat([first[:, :1], others], 1)
        before, after = (counts.gather(1, at.clamp(max=last + 1)) for at in (step, step + 1))
        ended = t.ended[:, None] & (step >= t.lengths[:, None])
        action = torch.where(ended, v.eos, t.actions.gather(1, step.clamp(max=last)))
        ends = action == v.eos
        terminated = ends & (not rules.fixed_horizon)
        truncated = ~terminated & (step + 1 >= rules.max_actions)
        return cls(t, rules, step, action, before, after, ended, ends, terminated, truncated)

    def masks(self) -> tuple[Tensor, Tensor]:
        """Legal actions before and after: two bool [B, T, actions]."""
        if self.rules.memory.forbids:
            return self._legal_at(self.step), self._legal_at(self.step + 1)
        one, other = ((self.before, self.ended), (self.after, self.ends))
        return self._legal(*one), self._legal(*other)

    def cells(self) -> tuple[Tensor, Tensor]:
        """Observations before and after: two int64 [B, T, cells], contiguous by steps."""
        if not self.rules.memory.rewinds:
            return self._done_at(self.step), self._done_at(self.step + 1)
        t, (B, T), C = self.trajectories, self.action.shape, self.rules.width
        back = (self.action == t.vocabulary.backspace) | self.ended
        cell = (t.prompt_lengths[:, None] + self.before - back.long()).T[..., None]
        written = self.action.T[..., None]  # a backspace is an empty cell
        repeated = (self.step[:, 1:] == self.step[:, :-1]).T[..., None]
        before, after = (self.action.new_empty(T, B, C) for _ in range(2))  # a step in one piece: half the time
        before[0] = pad(t.prompts, (0, C - t.prompts.shape[1]), value=t.vocabulary.size)
        for step in range(T):
            if step:
                torch.where(repeated[step - 1], before[step - 1], after[step - 1], out=before[step])
            torch.scatter(before[step], 1, cell[step], written[step], out=after[step])
        return before.transpose(0, 1), after.transpose(0, 1)

    def to_tensordict(
        self, size: torch.Size, before: Tensor, after: Tensor, reward: Tensor, success: Tensor
    ) -> TensorDict:
        """As `EnvBase.rollout` returns it, [*size, T], of observations, and of the reward and success of each row."""
        t, rows, last = self.trajectories, (*size, self.step.shape[1]), self.step == self.step[:, -1:]
        masks = self.masks()
        flags = {
            "success": last & success[:, None],
            "done": self.terminated | self.truncated,
            "terminated": self.terminated,
            "truncated": self.truncated,
        }
        paid, none = torch.where(last, reward[:, None], 0), torch.zeros_like(self.step)[..., None]
        root = {"observation": before, "action_mask": masks[0], "illegal": none, "action": self.action}
        then = {"observation": after, "action_mask": masks[1], "illegal": none.clone(), "reward": paid[..., None]}
        root |= {key: torch.zeros_like(flag)[..., None] for key, flag in flags.items()}
        then |= {key: flag[..., None] for key, flag in flags.items()}
        if t.log_prob is not None:
            kept = self.step.clamp(max=t.log_prob.shape[1] - 1)
            root["action_log_prob"] = torch.where(self.ended, 0, t.log_prob.gather(1, kept))
        shaped = [{key: x.reshape(*rows, *x.shape[2:]) for key, x in part.items()} for part in (root, then)]
        names = [*[None] * len(size), "time"]
        return TensorDict({**shaped[0], "next": shaped[1]}, rows, device=self.step.device, names=names)

    def _legal_at(self, time: Tensor) -> Tensor:
        """Legal actions of states after so many actions, int64 [B, T], under a memory that forbids."""
        t, rules = self.trajectories, self.rules
        fill, T = t.vocabulary.size, t.actions.shape[1]
        longer = replace(t, actions=pad(t.actions, (0, 1), value=fill), imitate=pad(t.imitate, (0, 1)), log_prob=None)
        legal = legal_along(longer, rules.backspace, rules.memory)[..., : rules.num_actions]
        rows = torch.arange(len(t), device=time.device)[:, None]
        return legal[rows, time.clamp(max=T)]

    def _done_at(self, time: Tensor) -> Tensor:
        """Prompt and the first actions, int64 [B, T, cells], so many of each."""
        t, rules = self.trajectories, self.rules
        places = torch.arange(rules.observed.shape[1], device=time.device)
        tree = pack(t.vocabulary, t, rules.memory)
        cells = pad(tree.tokens, (0, max(0, len(places) - tree.tokens.shape[1])))[:, None, : len(places)]
        length = t.prompt_lengths[:, None] + torch.minimum(time, t.lengths[:, None])
        return torch.where(places < length[..., None], cells, rules.memory.empty(t.vocabulary.size))

    def _legal(self, generated: Tensor, ended: Tensor) -> Tensor:
        t, rules = self.trajectories, self.rules
        mask = legal_mask(t.vocabulary, generated, ended, t.max_length, t.min_length, rules.backspace)
        return mask[..., : rules.num_actions]


def _check(t: Trajectories, rules: Episodes, steps: int) -> None:
    t.check_vocabulary(rules.vocabulary)
    for name, found, limit in (
        ("max_length", t.max_length, rules.max_length),
        ("min_length", t.min_length, rules.min_length),
    ):
        if found != limit:
            raise InvalidInputError(f"the trajectories have {name}={found}, the environment {limit}; make them equal")
    room, most = rules.width - rules.max_length - 1, max(t.actions.shape[1], steps)
    if t.prompts.shape[1] > room:
        raise InvalidInputError(
            f"a prompt has {counted(t.prompts.shape[1], 'token')}, at most {room} fit; raise max_prompt_length"
        )
    if not rules.backspace and bool((t.inside & (t.actions == t.vocabulary.backspace)).any()):
        raise InvalidInputError("the trajectories contain backspaces, which this environment does not allow")
    if most > rules.max_actions:
        raise InvalidInputError(f"the trajectories have {most} actions, the environment allows {rules.max_actions}")
    short = ~t.ended & (t.lengths < steps) | (t.lengths == 0)
    if short.any():
        row = int(short.nonzero()[0, 0])
        raise InvalidInputError(
            f"row {row} stops after {int(t.lengths[row])} of {steps} actions without an eos; give rows that are over, "
            "or of one length"
        )
