"""A hidden Markov model: what may come next depends on all that came before, less and less."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from seqil import Prefixes, Vocabulary

from ..base import counters
from ..base.requests import check_range, foreign_prompt
from ..base.sampled import CHUNK, Chunk, Ints, SampledTask, columns, with_splits

STATES, TOKENS = 8, 23
_STAY, _MOVE = 15, 1
_LEAST = 1e-200
_PROMPT = "one token or more, none of them eos"


class HMM(SampledTask):
    """Texts of a fixed horizon from a hidden Markov model with partial support.

    - **Tokens**: 23 and `eos` (id 23), V = 24.
    - **Law**: 8 hidden states on a ring, uniform at first; each stays with probability 15/16, else goes on to the next.
      A state writes 12 of the tokens, with probabilities 3/48, 4/48 or 5/48; neighbours share 9 or 10 of them. The
      table is drawn once and for all.
    - **Prompt**: the first token. **Text**: `horizon` tokens, then `eos`.
    - **Teacher**: the forward filter (Rabiner 1989, equations 19 to 21), normalised at each step. After a token that no
      hidden path explains it starts anew: from the uniform law, given that token.
    - **First error**: the first token that no hidden path explains. **Success**: there is none, and `eos`.
    - **Confusions**: the tokens that may follow the last one after some history, but not after this one.
    - **Why**: the window of the student is a dial of misspecification. Who filters only the last 1, 2, 4, 8 or 16
      tokens is .34, .18, .062, .010 or .0004 nats per token away from the teacher and gives impossible tokens a
      probability of .12, .07, .025, .005 or .0002, while 4 of the 23 are impossible on average.

    Args:
        horizon: tokens of the text, at least 1; 16 to 512 are meant.
    """

    name = "hmm"
    vocabulary = Vocabulary(size=TOKENS + 1, eos=TOKENS)

    def __init__(self, horizon: int = 64) -> None:
        check_range(self.name, 1, horizon=horizon)
        self.max_length = self.min_length = horizon
        self.transition = _STAY * np.eye(STATES) + _MOVE * np.roll(np.eye(STATES), 1, axis=1)
        self.transition /= _STAY + _MOVE
        """Float64 [8, 8]: to the state of the column."""
        self.emission = _emissions() / _emissions().sum(1, keepdims=True)
        """Float64 [8, 23]: probability of each token in a state."""
        self._explained = _explained()

    def chunk(self, seed: int, number: int) -> Chunk:
        """4096 texts."""
        return _chunk(self.max_length, seed, number)

    def next_distribution(self, prefixes: Prefixes) -> Tensor:
        """What the filter predicts; `eos` with certainty at the horizon and after the end."""
        belief = self.filter(prefixes)
        law = belief @ torch.from_numpy(self.transition @ self.emission).to(belief)
        return self.ended(torch.nn.functional.pad(law, (0, 1)), prefixes)

    def filter(self, prefixes: Prefixes) -> Tensor:
        """Law of the hidden state of the last token before `eos`: float64 [B, 8]."""
        order, texts = self._columns(prefixes)
        transition, emission = (torch.from_numpy(x).to(order.device) for x in (self.transition, self.emission.T.copy()))
        belief = emission.new_empty(len(prefixes), STATES)
        for t, tokens in enumerate(texts):
            likelihood, now = emission[tokens], belief[: len(tokens)]
            joint = (now @ transition).mul_(likelihood) if t else likelihood
            total = joint.sum(1, keepdim=True)
            if not total.all():  # no path explains the token: the filter starts anew
                joint = torch.where(total > 0, joint, likelihood)
                total = joint.sum(1, keepdim=True)
            # However unlikely, what is possible stays so: a belief that underflowed would make an error of it.
            now[:] = torch.where(joint > 0, (joint / total).clamp_(min=_LEAST), 0)
        return torch.empty_like(belief).index_copy_(0, order, belief)

    def first_error(self, prompt: Sequence[int], tokens: Sequence[int]) -> int | None:
        """The first token that no hidden path explains; a premature `eos` is one."""
        if not prompt or TOKENS in prompt:
            raise foreign_prompt(self.name, prompt, _PROMPT)
        after, emitters = self._explained
        possible = 2**STATES - 1
        for i, token in enumerate([*prompt, *tokens], -len(prompt)):
            if token == TOKENS:
                return i if i < self.max_length else None
            possible = after[possible] & emitters[token]
            if not possible:
                if i >= 0:
                    return i
                possible = emitters[token]
        return None

    def has_error(self, prefixes: Prefixes) -> Tensor:
        """Whether no hidden path explains the text."""
        order, texts = self._columns(prefixes)
        after, emitters = (torch.tensor(sets, device=order.device) for sets in self._explained)
        possible = torch.full_like(order, 2**STATES - 1)
        wrong = prefixes.ended[order] & (prefixes.generated[order] <= self.max_length)
        for t, tokens in enumerate(texts):
            rows = slice(len(tokens))
            explaining = after[possible[rows]] & emitters[tokens]
            wrong[rows] |= (explaining == 0) & (t >= prefixes.prompt_length[order[rows]])
            possible[rows] = torch.where(explaining > 0, explaining, emitters[tokens])
        return torch.empty_like(wrong).index_copy_(0, order, wrong)

    def success(self, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
        """No error, and `eos` at the horizon."""
        whole = len(tokens) == self.max_length + 1 and tokens[-1] == self.vocabulary.eos
        return whole and self.first_error(prompt, tokens) is None

    def confusions(self, prefixes: Prefixes) -> Tensor:
        """Weight 1 on the tokens that a state which writes the last token, or the next state, writes, if impossible."""
        written = torch.from_numpy(self.emission > 0).to(prefixes.tokens.device)
        rows = torch.arange(len(prefixes), device=written.device)
        last = prefixes.tokens[rows, prefixes.length - 1]
        states = torch.nn.functional.pad(written, (0, 1)).T[last]
        follows = (states | states.roll(1, 1)).double() @ written.double() > 0
        follows = torch.nn.functional.pad(follows, (0, 1))
        return (follows & (self.next_distribution(prefixes) == 0)).float()

    def _columns(self, prefixes: Prefixes) -> tuple[Tensor, list[Tensor]]:
        self._check_prompts(prefixes)
        return columns(prefixes.tokens, prefixes.length - prefixes.ended.long())

    def _check_prompts(self, prefixes: Prefixes) -> None:
        at = torch.arange(prefixes.tokens.shape[1], device=prefixes.tokens.device)
        foreign = (prefixes.tokens == TOKENS) & (at < prefixes.prompt_length[:, None])
        self.check_prompts(prefixes, ~foreign.any(1), _PROMPT)


@lru_cache(maxsize=1)
def _emissions() -> Ints:
    """Integer weights [8, 23]: state `i` writes 12 neighbours on a ring of the tokens, the first of them the 3i-th."""
    ring = counters.shuffled(TOKENS, "hmm", "ring")
    weights = np.zeros((STATES, TOKENS), dtype=np.int64)
    for state in range(STATES):
        weights[state, np.roll(ring, -3 * state)[:12]] = 3 + counters.shuffled(12, "hmm", "weights", state) % 3
    return weights


@lru_cache(maxsize=1)
def _explained() -> tuple[list[int], list[int]]:
    """Sets of states as bits: those that may follow each of the 256 sets, and those that write each token."""
    everywhere = 2**STATES - 1
    after = [(s | s << 1 | s >> (STATES - 1)) & everywhere for s in range(2**STATES)]
    emitters = [sum(1 << i for i in np.flatnonzero(column).tolist()) for column in _emissions().T]
    return after, emitters


@lru_cache(maxsize=64)
def _chunk(horizon: int, seed: int, number: int) -> Chunk:
    emissions = _emissions()
    moves, draws = (
        counters.words("hmm", w, horizon, seed, number, shape=(CHUNK, 1 + horizon)) for w in ("state", "text")
    )
    steps = (moves % np.uint64(_STAY + _MOVE) < _MOVE).astype(np.int64)
    steps[:, 0] = moves[:, 0] % np.uint64(STATES)
    states = steps.cumsum(1) % STATES
    texts = np.stack([counters.choices(emissions[states[:, t]], draws[:, t]) for t in range(1 + horizon)], axis=1)
    return with_splits("hmm", texts, eos=TOKENS)
