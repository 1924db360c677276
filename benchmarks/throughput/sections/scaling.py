"""How a step grows with the context, beside attention alone, and what rollouts and trajectories take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention

from seqil import Trajectories, rollout

from ..subjects.isolated import apart, peak
from ..subjects.measure import Ratio, clock, interleaved, ratio
from ..subjects.models import SMALL, Subject, raise_backspace, watched

_CONTEXTS, _ACTIONS = (128, 512, 2048, 8192), 16


def measure(repetitions: int) -> Iterator[Ratio]:
    """GPT-2 of 4 layers x 256: milliseconds per step at 1 and 8 rows; attention takes what it takes in any loop."""
    subject = Subject.of(SMALL, _CONTEXTS[-1])
    raise_backspace(subject.policy, 0.15)
    for rows in (1, 8):
        ways = [way for context in _CONTEXTS for way in (_Step(subject, rows, context), _Attention(rows, context))]
        found = interleaved(ways, repetitions)
        for i, context in enumerate(_CONTEXTS):
            name = f"step / its attention alone, {rows} rows, context {context:,}"
            yield ratio(name, "ms", found[2 * i], found[2 * i + 1], more_is_better=False)
        step, attention = (_slope(found[i], found[i - 2]) for i in (0, 1))  # first and last of each way
        yield ratio(
            f"slope of a step / of its attention, {rows} rows", "us/slot", step, attention, more_is_better=False
        )
    yield from _rollout_memory()
    yield from _memory()


def _slope(shortest: Sequence[float], longest: Sequence[float]) -> list[float]:
    """Microseconds per slot of context."""
    slots = _CONTEXTS[-1] - _CONTEXTS[0]
    return [1000 * (b - a) / slots for a, b in zip(shortest, longest, strict=True)]


class _Step:
    """Milliseconds of a forward of the trunk and what belongs to it."""

    def __init__(self, subject: Subject, rows: int, context: int) -> None:
        self.policy, self.prompts = subject.policy, subject.prompts(rows, context - _ACTIONS - 1)

    def __call__(self) -> float:
        with watched() as watch:
            rollout(self.policy, self.prompts, max_length=_ACTIONS, max_actions=_ACTIONS, min_length=_ACTIONS)
        return 1000 * (clock() - watch.began) / _ACTIONS


class _Attention:
    """Milliseconds of the attention of one token per row, in all layers."""

    def __init__(self, rows: int, context: int) -> None:
        heads, width, self.layers = SMALL["n_head"], SMALL["n_embd"] // SMALL["n_head"], SMALL["n_layer"]
        self.stores = [torch.randn(2, rows, heads, context, width) for _ in range(self.layers)]
        self.query, self.mask = torch.randn(rows, heads, 1, width), torch.zeros(rows, 1, 1, context)

    def __call__(self) -> float:
        began = clock()
        for _ in range(_ACTIONS):
            for keys, values in self.stores:
                scaled_dot_product_attention(self.query, keys, values, attn_mask=self.mask)
        return 1000 * (clock() - began) / _ACTIONS


def _rollout_memory() -> Iterator[Ratio]:
    """What a rollout adds to the resident memory, against keys, values and laws of all slots of its rows."""
    for rows, length in ((8, 512), (8, 2048), (32, 512)):
        name = f"memory of a rollout / of keys, values and laws, {rows} rows of {length:,}"
        slots = rows * -(-(length + 1) // 16) * 16  # a rollout reads slots by sixteen
        predicted = 4 * slots * (2 * SMALL["n_layer"] * SMALL["n_embd"] + SMALL["vocab_size"] + 1) / 2**20
        yield ratio(name, "MiB", [apart(_added, rows, length)], [predicted], more_is_better=False)


def _added(rows: int, length: int) -> float:
    """MiB, after what a short rollout of one row takes."""
    subject = Subject.of(SMALL, length + 1)
    raise_backspace(subject.policy, 0.0)
    rollout(subject.policy, [[0]], max_length=8)
    before = peak()
    rollout(subject.policy, [[0]] * rows, max_length=length, max_actions=length, min_length=length)
    return peak() - before


def _memory() -> Iterator[Ratio]:
    """Bytes of trajectories, against one copy of the cells for every state."""
    subject = Subject.of(SMALL, 64)
    v = subject.policy.vocabulary
    for T in (128, 512, 2048):
        t = Trajectories.from_actions(v, [[0]] * 8, torch.zeros(8, T, dtype=torch.int64))
        held = sum(x.nbytes for x in (t.prompts, t.actions, t.lengths, t.imitate, t.ended)) / 8
        name = f"bytes of a trajectory / of all its states, {T:,} actions"
        yield ratio(name, "KiB", [held / 1024], [8 * T * (T + 2) / 1024], more_is_better=False)
