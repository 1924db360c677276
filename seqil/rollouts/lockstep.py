"""Decoding of which the host sees nothing but, now and then, which rows have ended: the way of a GPU."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mdp.memory import Tried, choices_at_prompt
from ..mdp.prefix import Prefixes, legal_mask
from ..policy.cache import SlotCache
from ..policy.token_policy import TokenPolicy
from .cuda_graphs import Replay
from .decoder import decoder_of, read_prompts
from .sampler import Sampler, broken

_EXTENT = 64  # slots are read in multiples of this; each of them is captured once
_STEPS = 16  # from one question to the next


class Lockstep:
    """Rows on lanes; a step is one action of every row that runs, and no shape in it depends on what was sampled.

    The last token of every row is fed, also where a row has just deleted or is over: its slot is written again, with
    what is there. (Where the policy does not rewind, that is the last action.) What rows that are over would write goes
    to a column that nobody reads. Every few steps the host asks which rows are over, and rows that wait begin on their
    lanes.
    """

    def __init__(self, policy: TokenPolicy, initial: Prefixes, sampler: Sampler, max_actions: int, lanes: int) -> None:
        self.policy, self.initial, self.sampler, self.max_actions = policy, initial, sampler, max_actions
        (R, C), device = initial.tokens.shape, initial.tokens.device
        self.cells = torch.nn.functional.pad(initial.tokens, (0, 1), value=policy.vocabulary.size)
        self.length, self.taken = initial.length.clone(), torch.zeros_like(initial.length)
        self.fed, self.appends = self.cells, initial.history is not None
        if self.appends:
            C = int(initial.length.max()) + max_actions
            self.fed = torch.nn.functional.pad(initial.tokens[:, : C - max_actions], (0, max_actions + 1))
        self.choices = choices_at_prompt(policy.vocabulary.size, initial.min_length)
        self.tried = None if initial.tried is None else Tried.nothing(R, max_actions // 2 + 1, device)
        self.over = torch.zeros(R, dtype=torch.bool, device=device)
        self.actions = torch.full((R, max_actions + 1), policy.vocabulary.size, device=device)
        self.log_prob = torch.zeros(R, max_actions + 1, device=device)
        self.rows = torch.arange(lanes, device=device)
        self.started = 0
        layers, capacity = policy.model.config.get_text_config().num_hidden_layers, -(-C // _EXTENT) * _EXTENT
        self.cache = SlotCache(layers, lanes, capacity)
        self.decoder = decoder_of(policy, lanes)
        self.replay = Replay(self.step, device)

    def run(self) -> tuple[Tensor, Tensor, Tensor]:
        """Until every row has ended or spent its budget: actions and log-probabilities [R, T], lengths [R]."""
        self._begin(self.rows.clone())
        while plan := self._plan():
            extent, steps = plan
            for _ in range(steps):
                self.replay(extent)
        return self.actions[:, :-1], self.log_prob[:, :-1], self.taken

    def step(self, extent: int) -> None:
        """One action per lane, on rows of at most `extent` cells, without a question to the host."""
        v, rows = self.policy.vocabulary, self.rows
        length, taken, running = self.length[rows], self.taken[rows], ~self.over[rows]
        fed_length = self._fed_length(rows)
        top = fed_length - 1
        self.cache.step(top, extent)
        hidden = self.decoder(self.fed[rows, top], fed_length, self.cache)
        action, log_prob = self.sampler.draw(self._legal_logits(hidden, rows, length, running), rows, taken)
        cell = torch.where(running, taken, self.max_actions)
        self.actions[rows, cell], self.log_prob[rows, cell] = action, log_prob.to(self.log_prob.dtype)
        # Where the logits are broken the row stays as it is, and the host is told when it asks next.
        moving, deleting = running & log_prob.isfinite(), action == v.backspace
        cell = torch.where(moving, length - deleting.long(), self.cells.shape[1] - 1)
        if self.tried is not None:
            self._forbid(rows, moving & deleting, self.cells[rows, cell], length - 1)
        if self.appends:
            self.fed[rows, torch.where(moving, fed_length, self.fed.shape[1] - 1)] = action
        self.cells[rows, cell] = action  # the backspace is the empty cell
        self.length[rows] = length + torch.where(moving, 1 - 2 * deleting.long(), 0)
        self.taken[rows] = taken = taken + running.long()
        self.over[rows] = ~running | (action == v.eos) | (taken == self.max_actions)

    def _fed_length(self, rows: Tensor) -> Tensor:
        return self.initial.prompt_length[rows] + self.taken[rows] if self.appends else self.length[rows]

    def _forbid(self, rows: Tensor, deleting: Tensor, token: Tensor, length: Tensor) -> None:
        """What these rows have deleted, down to this length."""
        assert self.tried is not None
        generated = length - self.initial.prompt_length[rows]
        before = Tried(self.tried.tokens[rows], self.tried.places[rows])
        after = before.after(deleting, token, generated, self.choices)
        self.tried.tokens[rows], self.tried.places[rows] = after.tokens, after.places

    def _legal_logits(self, hidden: Tensor, rows: Tensor, length: Tensor, running: Tensor) -> Tensor:
        initial, policy = self.initial, self.policy
        generated = length - initial.prompt_length[rows]
        limits = initial.max_length, initial.min_length
        legal = legal_mask(policy.vocabulary, generated, ~running, *limits, policy.backspace)
        if self.tried is not None:
            legal = Tried(self.tried.tokens[rows], self.tried.places[rows]).barred(legal, generated)
        return policy.head(hidden).masked_fill(~legal, -torch.inf)

    def _plan(self) -> tuple[int, int] | None:
        """The slots that the next steps read, and the number of these steps; None when all rows are over."""
        self._check()
        if waiting := len(self.initial) - self.started:
            self._begin(self.over[self.rows].nonzero()[:waiting, 0])
        rows = self.rows[~self.over[self.rows]]
        if not len(rows):
            return None
        longest, least = torch.stack([self._fed_length(rows).max(), self.taken[rows].min()]).tolist()
        steps = min(_STEPS, self.max_actions - least)
        return -(-(longest + steps) // _EXTENT) * _EXTENT, steps

    def _begin(self, lanes: Tensor) -> None:
        """Put the next rows on these lanes (int64 [n]); the next step feeds the last token of their prompts."""
        if len(lanes):
            new = torch.arange(self.started, self.started + len(lanes), device=lanes.device)
            self.rows[lanes], self.started = new, self.started + len(lanes)
            read_prompts(self.policy, self.initial.select(new), lanes, self.cache)

    def _check(self) -> None:
        """The earliest step whose logits were not finite is named."""
        found = (~self.log_prob[:, :-1].isfinite()).T.nonzero()
        if len(found):
            step, row = found[0].tolist()
            raise broken(row, step)
