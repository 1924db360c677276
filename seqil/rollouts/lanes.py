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
from .tried_stacks import Ints, TriedStacks

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
            self.flat = vectors.new_empty(self.lanes * self.capacity, vectors.shape[1])
            self.values = self.flat.view(self.lanes, self.capacity, -1)
        self.flat.index_copy_(0, index, vectors)

    def __getitem__(self, at: tuple[Tensor, Tensor]) -> Tensor:
        return self.values[at]

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
    kept, because most of a law may be what is left out; of many, sums of blocks, each without what was drawn from it
    (what is drawn again from a state was deleted there). Where the policy does not rewind, what is fed is every action,
    and each takes a forward.
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
        self.tried = None
        if initial.tried is not None:
            self.tried = TriedStacks(len(initial), initial.min_length, max_actions, v.size)
        self.capacity = -(-self.fed.shape[1] // _EXTENT) * _EXTENT
        self.cache = SlotCache(policy.model.config.get_text_config().num_hidden_layers, lanes, self.capacity)
        self.decoder = decoder_of(policy)
        self.device, self.many_actions = policy.weight.device, policy.vocabulary.num_actions > FEW
        self.states, self.laws = (_Slots(lanes, self.capacity) for _ in range(2))
        self.with_laws = self._keeps_laws()
        generated = torch.arange(initial.max_length + 1)
        limits = initial.max_length, initial.min_length
        kinds = legal_kinds(generated, torch.zeros_like(generated, dtype=torch.bool), *limits)
        token, eos, pop = (_array(~legal) for legal in kinds)
        self.illegal = 1 * token | 2 * eos | 4 * pop  # kinds of actions, by the number of generated tokens
        columns = slice(0, v.eos), slice(v.eos + 1, v.size), slice(v.eos, v.eos + 1), slice(v.size, None)
        self.columns = list(zip((1, 1, 2, 4), columns, strict=True))

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
        return torch.from_numpy(array).to(self.device)

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
        whole = bool((length == longest).all())
        extent = longest if whole else -(-longest // _EXTENT) * _EXTENT
        self.cache.step(self._tensor(top), extent, whole)
        hidden = self.decoder(self._tensor(self.fed[self.rows, top]), self._tensor(length), self.cache)
        if not self.appends and (self.many_actions or not self.with_laws):
            self.states.write(self.cache.index(heads=1), hidden)
        return hidden

    def _act(self, hidden: Tensor) -> None:
        """Sample for every row until it has written a token or ended, and clear the lanes of those that ended."""
        v, lanes = self.policy.vocabulary, np.arange(len(self.rows))
        ended, rows = np.zeros(len(self.rows), dtype=np.bool_), self.rows.copy()
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
            ended[lanes] = over = (action == v.eos) | (taken == self.max_actions)
            self._write(rows, length, action, deleting)
            self.taken[rows] = taken
            (again,) = (deleting & ~over).nonzero()
            if not len(again) or self.appends:
                break
            lanes, rows = lanes[again], rows[again]
            drawn = self._drawn_again(lanes, rows)
        if ended.any():
            self._clear(ended)

    def _write(self, rows: Ints, length: Ints, action: Ints, deleting: NDArray[np.bool_]) -> None:
        """What these rows, of `length` cells, have done."""
        cell = length - deleting
        if self.appends:
            self.fed[rows, self.fed_length[rows]] = action
            self.fed_length[rows] += 1
        if self.tried is not None and deleting.any():
            there, left = rows[deleting], cell[deleting]
            self.tried.popped(there, left - self.prompt_length[there], self.cells[there, left])
        self.cells[rows, cell] = action  # the backspace is the empty cell
        self.length[rows] = length + 1 - 2 * deleting

    def _drawn(self, hidden: Tensor, rows: Ints, again: bool = False) -> tuple[Tensor, Tensor]:
        """At states of these last hidden states; `again`: they were there before."""
        logits = self._legal_logits(hidden, self.length[rows] - self.prompt_length[rows])
        if again or self.appends:
            self._bar(logits, rows)
        drawn = self.sampler(logits, rows, self.taken[rows], self._reshape(rows))
        if self.with_laws:
            self.law = logits if self.tried is not None and not self.many_actions else self.sampler.law
        return drawn

    def _bar(self, logits: Tensor, rows: Ints, first: Tensor | int = 0) -> None:
        """Put what was tried there at -inf, in place, in logits of the actions from `first` (int64 [n]) on."""
        if self.tried is None:
            return
        at, tokens = (self._tensor(x) for x in self.tried.here(rows, self.length[rows] - self.prompt_length[rows]))
        if isinstance(first, Tensor):
            tokens = tokens - first[at]
            inside = (tokens >= 0) & (tokens < logits.shape[1])
            at, tokens = at[inside], tokens[inside]
        logits[at, tokens] = -torch.inf

    def _keeps_laws(self) -> bool:
        """Not where rules look at more than the state, and not greedily. Of few actions a law must not be larger than
        two hidden states of every layer; of many the head must be the policy's own.
        """
        policy = self.policy
        if self.warps or self.sampler.temperature == 0 or self.appends:
            return False
        if self.many_actions:
            return getattr(policy.head, "__func__", None) is TokenPolicy.head
        return policy.vocabulary.num_actions <= 2 * len(self.cache.layers) * policy.weight.shape[1]

    def _drawn_again(self, lanes: Ints, rows: Ints) -> tuple[Tensor, Tensor]:
        """At states that these rows, on these lanes, were in before."""
        at, taken = (self._tensor(lanes), self._tensor(self.length[rows] - 1)), self.taken[rows]
        if not self.with_laws:
            return self._drawn(self.states[at], rows, again=True)
        if not self.many_actions:
            return self._drawn_of_few(self.laws[at], rows, taken)
        if self.tried is not None and bool((self.laws[at].sum(1) < _LEAST).any()):
            drawn = self._drawn(self.states[at], rows, again=True)
        else:
            drawn = self.sampler.again(self.laws[at], rows, taken, partial(self._some_logits, self.states[at], rows))
        if self.tried is not None:
            self.laws.write(at[0] * self.capacity + at[1], self.sampler.law)
        return drawn

    def _drawn_of_few(self, law: Tensor, rows: Ints, taken: Ints) -> tuple[Tensor, Tensor]:
        if self.tried is None:
            return self.sampler.again(law, rows, taken)
        self._bar(law, rows)
        return self.sampler(law, rows, taken)

    def _some_logits(self, hidden: Tensor, rows: Ints, actions: Tensor) -> Tensor:
        """Logits of some actions in a row (int64 [n, K]), at -inf where they are illegal."""
        v, illegal = self.policy.vocabulary, self._tensor(self.illegal[self.length[rows] - self.prompt_length[rows]])
        kind = 1 + (actions == v.eos).long() + 3 * (actions == v.backspace).long()
        logits = self.policy.logits_of(hidden, actions).masked_fill_((kind & illegal[:, None]) > 0, -torch.inf)
        self._bar(logits, rows, actions[:, 0])
        return logits

    def _legal_logits(self, hidden: Tensor, generated: NDArray[Any]) -> Tensor:
        """Logits after `generated` tokens (int64 [n]), illegal actions at -inf: [n, A]."""
        logits, illegal = self.policy.head(hidden), self.illegal[generated]
        in_all, in_some = np.bitwise_and.reduce(illegal), np.bitwise_or.reduce(illegal)
        for kind, columns in self.columns:
            if in_all & kind:
                logits[:, columns].fill_(-torch.inf)
            elif in_some & kind:
                logits[:, columns].masked_fill_(self._tensor(illegal & kind > 0)[:, None], -torch.inf)
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
