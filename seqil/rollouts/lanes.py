"""Rows that act at their own pace, on lanes of a key-value cache: what `rollout` does on a CPU, and with rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mdp.memory import History
from ..mdp.prefix import Prefixes, legal_kinds
from ..policy.cache import SlotCache
from ..policy.token_policy import TokenPolicy
from .decoder import decoder_of, read_prompts
from .sampler import FEW, SamplerAhead
from .tried_stacks import Ints, TriedStacks, choices_within

if TYPE_CHECKING:
    from ..decoding.interface import Warp

_EXTENT = 16  # slots are read in multiples of this
_LEAST = 1e-20  # of a law that is left; below, what float32 keeps of its parts is not enough
_REFILL = 8  # rows that wait begin when one lane in so many is free, so that few prompts are read at a time


class _Slots:
    """A vector for every slot of every lane, of the width and dtype of those that are written first."""

    def __init__(self, lanes: int, capacity: int) -> None:
        self.lanes, self.capacity = lanes, capacity
        self.flat: Tensor | None = None

    def write(self, index: Tensor, vectors: Tensor) -> None:
        """At `lane * capacity + slot`, int64 [n]: [n, width]."""
        if self.flat is None:
            self.width = vectors.shape[1]
            self.flat = vectors.new_empty(self.lanes * self.capacity, self.width)
            self.values = self.flat.view(self.lanes, self.capacity, -1)
        self.flat.index_copy_(0, index, vectors)

    def __getitem__(self, index: Tensor) -> Tensor:
        assert self.flat is not None
        return self.flat.index_select(0, index)

    def strike(self, cells: Tensor) -> None:
        """Put numbers at `(lane * capacity + slot) * width + column` (int64 [n]) at -inf."""
        assert self.flat is not None
        self.flat.view(-1).index_fill_(0, cells, -torch.inf)

    def move(self, source: Tensor, target: Tensor, extent: int) -> None:
        """Copy the first `extent` slots of some lanes (int64 [k]) over those of others."""
        self.values[target, :extent] = self.values[source, :extent]


class Lanes:
    """Rows on lanes: lane i of the cache holds row `rows[i]`, and the lanes in use are always the first ones.

    Every forward of the trunk advances all lanes by one token. A row that deletes is back at a state that is known, so
    it goes on at once, until it writes a token again: no forward is ever spent on a deletion. Rows are therefore at
    different actions, which their streams of uniforms allow. The lane of a row that has ended is given to the last one,
    and rows that wait begin on the lanes behind.

    Kept of every state is its law, of many actions in sums of blocks, so that the head is asked for one block alone;
    and where that does not serve (see `_keeps_laws`), or not alone, the last hidden state.

    Where what was tried is forbidden, the law after a deletion lacks more than it did before: of few actions logits are
    kept, because most of a law may be what is left out, and lose what was deleted in place; of many, sums of blocks,
    each without what was drawn from it (what is drawn again from a state was deleted there). Where the policy does not
    rewind, what is fed is every action, and each takes a forward.
    """

    def __init__(
        self,
        policy: TokenPolicy,
        initial: Prefixes,
        sampler: SamplerAhead,
        warps: Sequence[Warp],
        max_actions: int,
        lanes: int,
    ) -> None:
        self.policy, self.initial, self.sampler, self.warps = policy, initial, sampler, warps
        # What the host decides by is kept in arrays: of a few numbers, they are several times as quick as tensors.
        self.cells, self.length, self.prompt_length = (
            _array(t).copy() for t in (initial.tokens, initial.length, initial.prompt_length)
        )
        self.taken = np.zeros_like(self.length)
        self.record: list[tuple[NDArray[Any], ...]] = []  # rows, steps, actions, log-probabilities
        self.watch: Callable[[int, int], None] | None = None
        self.rows = np.arange(0)
        self.started, self.lanes, self.max_actions = 0, lanes, max_actions
        self.fed, self.fed_length = self.cells, self.length
        self.appends = initial.history is not None
        if self.appends:
            self.fed = np.pad(self.cells[:, : int(self.length.max())], ((0, 0), (0, max_actions)))
            self.fed_length = self.length.copy()
        v = policy.vocabulary
        self.capacity = -(-self.fed.shape[1] // _EXTENT) * _EXTENT
        self.cache = SlotCache(policy.model.config.get_text_config().num_hidden_layers, lanes, self.capacity)
        self.decoder = decoder_of(policy, lanes)
        self.device, self.many_actions = policy.weight.device, policy.vocabulary.num_actions > FEW
        self.on_host = self.device.type == "cpu"
        self.states, self.laws = (_Slots(lanes, self.capacity) for _ in range(2))
        self.with_laws, self.head = self._keeps_laws(), policy.steady_head(lanes)
        self.forbids, self.tried = initial.tried is not None, None
        choices = choices_within(v.size, initial.min_length, max_actions)
        # Of few actions the logits that are kept say what was tried, unless it may be forgotten where it was tried.
        self.strikes = self.forbids and self.with_laws and not self.many_actions and choices is None
        if self.forbids and not self.strikes:
            self.tried = TriedStacks(len(initial), max_actions, choices)
        generated = torch.arange(initial.max_length + 1)
        limits = initial.max_length, initial.min_length
        kinds = legal_kinds(generated, torch.zeros_like(generated, dtype=torch.bool), *limits)
        token, eos, pop = (_array(~legal) for legal in kinds)
        self.illegal = 1 * token | 2 * eos | 4 * pop  # kinds of actions, by the number of generated tokens
        self.columns = (1, 0, v.eos), (1, v.eos + 1, v.size - v.eos - 1), (2, v.eos, 1), (4, v.size, 1)

    def run(self) -> tuple[Tensor, Tensor, Tensor]:
        """Until every row has ended or spent its budget: actions and log-probabilities [R, T], lengths [R]."""
        while self.started < len(self.initial) or len(self.rows):
            free, waiting = self.lanes - len(self.rows), len(self.initial) - self.started
            if waiting and (free * _REFILL >= self.lanes or free >= waiting):
                self._begin(min(free, waiting))
            self._act(self._forward())
        rows, steps, taken, logs = (np.concatenate(column) for column in zip(*self.record, strict=True))
        actions = np.full((len(self.initial), self.taken.max()), self.policy.vocabulary.size)
        log_prob = np.zeros(actions.shape, dtype=np.float32)
        actions[rows, steps], log_prob[rows, steps] = taken, logs
        return self._tensor(actions), self._tensor(log_prob), self._tensor(self.taken)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.on_host else tensor.to(self.device)

    def _begin(self, number: int) -> None:
        """Put the next rows on free lanes; the last token of their prompts is fed with the next forward."""
        new = np.arange(self.started, self.started + number)
        lanes = slice(len(self.rows), len(self.rows) + number)
        self.rows, self.started = np.concatenate([self.rows, new]), self.started + number
        read_prompts(self.policy, self.initial.select(self._tensor(new)), lanes, self.cache)

    def _forward(self) -> Tensor:
        """Feed the last token of every row: last hidden states [lanes in use, D]."""
        length = self.fed_length[self.rows]
        top, longest = length - 1, int(length.max())
        whole = longest == int(length.min())
        extent = longest if whole else -(-longest // _EXTENT) * _EXTENT
        self.cache.step(self._tensor(top), extent, whole)
        hidden = self.decoder(self._tensor(self.fed[self.rows, top]), self._tensor(length), self.cache)
        if not self.appends and (self.many_actions or not self.with_laws):
            self.states.write(self.cache.index(heads=1), hidden)
        return hidden

    def _act(self, hidden: Tensor) -> None:
        """Sample for every row until it has written a token or ended, and clear the lanes of those that ended."""
        v, lanes, rows = self.policy.vocabulary, np.arange(len(self.rows)), self.rows
        ended = np.zeros(len(rows), dtype=np.bool_)
        drawn = self._drawn(hidden, rows)
        if self.with_laws:
            self.laws.write(self.cache.index(heads=1), self.law)
        while True:
            length, taken = self.length[rows], self.taken[rows]
            action, log_prob = (_array(t) for t in drawn)
            self.record.append((rows, taken, action, log_prob))
            if self.watch is not None:
                for row, one in zip(rows.tolist(), action.tolist(), strict=True):
                    self.watch(row, one)
            taken, deleting = taken + 1, action == v.backspace
            spent = taken == self.max_actions
            ended[lanes] = (action == v.eos) | spent
            deleted = self._write(rows, length, action, deleting)
            self.taken[rows] = taken
            (again,) = (deleting & ~spent).nonzero()
            if not len(again) or self.appends:
                break
            lanes, rows = lanes[again], rows[again]
            drawn = self._drawn_again(lanes, rows, deleted[again])
        if ended.any():
            self._clear(ended)

    def _write(self, rows: Ints, length: Ints, action: Ints, deleting: NDArray[np.bool_]) -> Ints:
        """What these rows, of `length` cells, have done: what stood where they wrote, which they may have deleted."""
        cell = length - deleting
        before: Ints = self.cells[rows, cell]
        if self.appends:
            self.fed[rows, self.fed_length[rows]] = action
            self.fed_length[rows] += 1
        if self.tried is not None:
            (at,) = deleting.nonzero()
            there = rows[at]
            self.tried.popped(there, cell[at] - self.prompt_length[there], before[at])
        self.cells[rows, cell] = action  # the backspace is the empty cell
        self.length[rows] = cell + ~deleting
        return before

    def _drawn(self, hidden: Tensor, rows: Ints, again: bool = False) -> tuple[Tensor, Tensor]:
        """At states of these last hidden states; `again`: they were there before."""
        if again and self.policy.tried_term is not None:
            hidden = hidden + self._shift(rows)
        logits = self._legal_logits(hidden, self.length[rows] - self.prompt_length[rows])
        if again or self.appends:
            self._bar(logits, rows)
        drawn = self.sampler(logits, rows, self.taken[rows], self._reshape(rows))
        if self.with_laws:
            self.law = logits if self.forbids and not self.many_actions else self.sampler.law
        return drawn

    def _shift(self, rows: Ints) -> Tensor:
        """What the policy makes of what was tried there."""
        assert self.tried is not None
        assert self.policy.tried_term is not None
        at, tokens = self.tried.here(rows, self.length[rows] - self.prompt_length[rows])
        found: Tensor = self.policy.tried_term(self.policy.weight, self._tensor(at), self._tensor(tokens), len(rows))
        return found

    def _bar(self, logits: Tensor, rows: Ints, first: Ints | None = None) -> None:
        """Put what was tried there at -inf, in place, in logits of the actions from `first` (int64 [n]) on."""
        if self.tried is None:
            return
        at, tokens = self.tried.here(rows, self.length[rows] - self.prompt_length[rows])
        if first is not None:
            tokens = tokens - first[at]
            (inside,) = ((tokens >= 0) & (tokens < logits.shape[1])).nonzero()
            at, tokens = at[inside], tokens[inside]
        if len(at):
            logits.view(-1).index_fill_(0, self._tensor(at * logits.shape[1] + tokens), -torch.inf)

    def _keeps_laws(self) -> bool:
        """Not where rules, or a term of the policy, look at more than the prefix, and not greedily. Of few actions a
        law must not be larger than two hidden states of every layer; of many the head must be the policy's own.
        """
        policy = self.policy
        if self.warps or self.sampler.temperature == 0 or self.appends or policy.tried_term is not None:
            return False
        if self.many_actions:
            return getattr(policy.head, "__func__", None) is TokenPolicy.head
        return policy.vocabulary.num_actions <= 2 * len(self.cache.layers) * policy.weight.shape[1]

    def _drawn_again(self, lanes: Ints, rows: Ints, deleted: Ints) -> tuple[Tensor, Tensor]:
        """At states that these rows, on these lanes, were in before, and that they have deleted a token to."""
        slots, taken = lanes * self.capacity + (self.length[rows] - 1), self.taken[rows]
        at = self._tensor(slots)
        if not self.with_laws:
            return self._drawn(self.states[at], rows, again=True)
        if self.strikes:
            self.laws.strike(self._tensor(slots * self.laws.width + deleted))
        law = self.laws[at]
        if not self.many_actions:
            return self._drawn_of_few(law, rows, taken)
        if not self.forbids:
            return self.sampler.again(law, rows, taken, partial(self._some_logits, self.states[at], rows))
        left = law.sum(1)
        if left.min().item() < _LEAST:
            drawn = self._drawn(self.states[at], rows, again=True)
        else:
            some = partial(self._some_logits, self.states[at], rows)
            drawn = self.sampler.again(law, rows, taken, some, left)
        self.laws.write(at, self.sampler.law)
        return drawn

    def _drawn_of_few(self, law: Tensor, rows: Ints, taken: Ints) -> tuple[Tensor, Tensor]:
        if not self.forbids:
            return self.sampler.again(law, rows, taken)
        self._bar(law, rows)
        return self.sampler(law, rows, taken)

    def _some_logits(self, hidden: Tensor, rows: Ints, actions: Tensor) -> Tensor:
        """Logits of some actions in a row (int64 [n, K]), at -inf where they are illegal."""
        v, illegal = self.policy.vocabulary, self._tensor(self.illegal[self.length[rows] - self.prompt_length[rows]])
        kind = 1 + (actions == v.eos).long() + 3 * (actions == v.backspace).long()
        logits = self.policy.logits_of(hidden, actions).masked_fill_((kind & illegal[:, None]) > 0, -torch.inf)
        self._bar(logits, rows, _array(actions[:, 0]))
        return logits

    def _legal_logits(self, hidden: Tensor, generated: NDArray[Any]) -> Tensor:
        """Logits after `generated` tokens (int64 [n]), illegal actions at -inf: [n, A]."""
        logits, illegal = self.head(hidden), self.illegal[generated]
        in_all, in_some = int(np.bitwise_and.reduce(illegal)), int(np.bitwise_or.reduce(illegal))
        for kind, first, number in self.columns:
            if in_all & kind:
                logits.narrow(1, first, number).fill_(-torch.inf)
            elif in_some & kind:
                there = self._tensor(illegal & kind > 0)[:, None]
                logits.narrow(1, first, number).masked_fill_(there, -torch.inf)
        return logits

    def _reshape(self, rows: NDArray[Any]) -> Callable[[Tensor], Tensor] | None:
        if not self.warps:
            return None
        there = self._tensor(rows)
        cells, length = self._tensor(self.cells[rows]), self._tensor(self.length[rows])
        state = replace(self.initial.select(there), tokens=cells, length=length)
        if self.tried is not None:
            state = replace(state, tried=self.tried.state(rows, self.device))
        if self.appends:
            fed = History(self._tensor(self.fed[rows]), self._tensor(self.fed_length[rows]))
            state = replace(state, history=fed)
        return partial(reshaped, self.warps, state, there)

    def _clear(self, ended: NDArray[Any]) -> None:
        """Move the last rows that go on into the lanes of those that `ended` (bool [lanes in use])."""
        left = len(ended) - int(ended.sum())
        target, source = np.flatnonzero(ended[:left]), left + np.flatnonzero(~ended[left:])
        if len(source):
            extent = int(self.fed_length[self.rows[source]].max())
            self.rows = self.rows.copy()  # what was recorded holds the old one
            self.rows[target] = self.rows[source]
            free, lanes = self._tensor(target), self._tensor(source)
            self.cache.move(lanes, free, extent)
            for slots in (self.states, self.laws):
                if slots.flat is not None:
                    slots.move(lanes, free, extent)
        self.rows = self.rows[:left]


def reshaped(warps: Sequence[Warp], state: Prefixes, rows: Tensor, logits: Tensor) -> Tensor:
    """Apply every warp to the rows that run: what is at -inf stays there, and no row loses its last action."""
    running = ~state.ended
    state, rows, law = state.select(running), rows[running], logits[running]
    for warp in warps:
        warped = warp(state, rows, law).masked_fill(law == -torch.inf, -torch.inf)
        law = torch.where((warped == -torch.inf).all(-1, keepdim=True), law, warped)
    return logits.index_put((running,), law)


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()
