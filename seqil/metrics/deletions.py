"""How errors are found and deleted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors.arguments import check_count, check_number, of_arrays, typed_widely
from ..errors.limits import check_memory
from ..mdp.trajectory import Trajectories
from ..statistics.estimates import Estimate, mean, proportion
from .lifetimes import Ints, Judge, prompt_lists


@typed_widely
def error_depth(trajectories: Trajectories, judge: Judge) -> Ints:
    """Tokens held from the first error on, before each action and at the end: int64 [B, T+1]; 0 while there is none.

    Judges each maximal text once: those just before a deletion, and the last.
    """
    v = trajectories.vocabulary
    depth = np.zeros((len(trajectories), trajectories.actions.shape[1] + 1), dtype=np.int64)
    rows = zip(prompt_lists(trajectories), trajectories.actions.tolist(), trajectories.lengths.tolist(), strict=True)
    for row, (prompt, actions, n) in enumerate(rows):
        text: list[int] = []
        error: int | None = None
        step = 0
        while step < n:
            if actions[step] == v.backspace:
                text.pop()
                step += 1
                error = None if error is None or len(text) <= error else error
                depth[row, step] = 0 if error is None else len(text) - error
                continue
            end = step
            while end < n and actions[end] != v.backspace:
                end += 1
            held = len(text)
            text += actions[step:end]
            error = judge(prompt, text) if error is None else error
            for k in range(step, end):
                length = held + k - step + 1
                depth[row, k + 1] = 0 if error is None else max(0, length - error)
            step = end
    return depth


@dataclass(frozen=True)
class Backspaces:
    """How errors are found and deleted.

    Attributes:
        profile: `b_k = P(backspace | the error is k tokens deep)`, k = 1, 2, …
        hits, path, false: deletions of the error itself, of what was written after it, and with no error standing.
        errors: errors written; `hits` of them were deleted.
        last: errors written as the last action, `eos` too early among them: nothing can delete these.
        predicted: share of errors, but the `last` ones, that `profile` says are ever deleted, `S / (1 + S)`.
        delay: tokens written after an error before the first deletion that follows it, over errors that one follows.
        rewritten: deletions undone, some time: tokens written where the same token was written and deleted before.
        erred: texts in which an error was ever written.
        mended: those of them that end, by `eos`, without an error.
    """

    profile: list[Estimate]
    hits: int
    path: int
    false: int
    errors: int
    last: int
    predicted: float
    delay: Estimate
    rewritten: int
    erred: int
    mended: int

    @property
    def deletions(self) -> int:
        """All of them."""
        return self.hits + self.path + self.false

    @property
    def precision(self) -> Estimate:
        """Share of deletions made while an error stood."""
        return proportion(self.hits + self.path, self.deletions, "deletions")

    @property
    def recall(self) -> Estimate:
        """Share of errors ever deleted, event by event: one written and deleted ten times counts ten times."""
        return proportion(self.hits, self.errors, "errors")

    @property
    def mended_texts(self) -> Estimate:
        """Share of the texts that ever erred that end right."""
        return proportion(self.mended, self.erred, "sequences")

    @property
    def ever_deleted(self) -> Estimate:
        """Share of errors that were ever deleted among those that could be: what `predicted` predicts."""
        return proportion(self.hits, self.errors - self.last, "errors")

    @property
    def loops(self) -> Estimate:
        """Share of deletions undone: write, delete, write the same again."""
        return proportion(self.rewritten, self.deletions, "deletions")


@typed_widely
def backspaces(trajectories: Trajectories, judge: Judge, depths: int = 16) -> Backspaces:
    """Count errors and deletions of every step, those of undone text included."""
    check_memory(400 * check_count("backspaces", "depths", depths), f"a profile of {depths:,} depths", "lower depths")
    depth = error_depth(trajectories, judge)
    before, after = depth[:, :-1], depth[:, 1:]
    inside = trajectories.inside.cpu().numpy()
    pop = (trajectories.actions == trajectories.vocabulary.backspace).cpu().numpy() & inside
    reached = min(depths, int(depth.max(initial=0)))
    profile = [
        proportion(int((pop & (before == k)).sum()), int((inside & (before == k)).sum()), "steps")
        for k in range(1, reached + 1)
    ]
    profile += [proportion(0, 0, "steps")] * (depths - reached)
    error = inside & ~pop & (before == 0) & (after == 1)
    erred = (depth > 0).any(1)
    mended = erred & (depth[np.arange(len(depth)), trajectories.lengths.cpu().numpy()] == 0)
    last = np.arange(inside.shape[1]) == trajectories.lengths.cpu().numpy()[:, None] - 1
    return Backspaces(
        profile,
        hits=int((pop & (before == 1)).sum()),
        path=int((pop & (before > 1)).sum()),
        false=int((pop & (before == 0)).sum()),
        errors=int(error.sum()),
        last=int((error & last).sum()),
        predicted=ever_deleted([b.value for b in profile]),
        delay=_delay(error, pop),
        rewritten=rewritten(trajectories),
        erred=int(erred.sum()),
        mended=int((mended & trajectories.ended.cpu().numpy()).sum()),
    )


@typed_widely
def repetition_rate(trajectories: Trajectories) -> Estimate:
    """Share of deletions after which the very next token written at that prefix is the one just deleted.

    A deletion after which nothing is written there any more counts as none that was repeated.
    """
    backspace, deletions, repeated = trajectories.vocabulary.backspace, 0, 0
    for actions, n in zip(trajectories.actions.tolist(), trajectories.lengths.tolist(), strict=True):
        text: list[int] = []
        deleted: dict[tuple[int, ...], int] = {}  # at a prefix, until something is written there
        for action in actions[:n]:
            if action == backspace:
                token = text.pop()
                deleted[tuple(text)] = token
                deletions += 1
                continue
            repeated += deleted.pop(tuple(text), None) == action
            text.append(action)
    return proportion(repeated, deletions, "deletions")


def rewritten(trajectories: Trajectories) -> int:
    """Tokens written where the same token had been written and deleted before: each undoes one deletion."""
    backspace, count = trajectories.vocabulary.backspace, 0
    for actions, n in zip(trajectories.actions.tolist(), trajectories.lengths.tolist(), strict=True):
        children: dict[tuple[int, int], int] = {}  # of the tree of all prefixes that were ever held
        path = [0]
        for action in actions[:n]:
            if action == backspace:
                path.pop()
                continue
            edge = path[-1], action
            count += edge in children
            path.append(children.setdefault(edge, len(children) + 1))
    return count


def _delay(error: NDArray[np.bool_], pop: NDArray[np.bool_]) -> Estimate:
    steps = error.shape[1]
    at = np.where(pop, np.arange(steps), steps)
    next_pop = np.minimum.accumulate(at[:, ::-1], 1)[:, ::-1]
    rows, columns = np.nonzero(error & (next_pop < steps))
    if not len(rows):
        return Estimate(math.nan, math.nan, math.nan, 0, "errors")
    return mean(next_pop[rows, columns] - columns - 1, "errors")


@of_arrays
def ever_deleted(profile: Sequence[float], tail: float = 0.0) -> float:
    """Share of errors ever deleted if `b_k` is the chance of a deletion at depth k: the gambler's ruin `S / (1 + S)`.

    `S = sum_k prod_{j <= k} b_j / (1 - b_j)`. The profile ends at its first NaN (a depth never reached); beyond it
    `b_k = tail`, and from 1/2 on every error is deleted some time.
    """
    check_number("ever_deleted", "tail", tail, 0, 1)
    total, product = 0.0, 1.0
    for b in profile:
        if math.isnan(b) or not product:
            break
        if b >= 1:
            return 1.0
        product *= b / (1 - b)
        total += product
    if product:  # else at some depth nothing is deleted, and what lies beyond it never comes back
        if tail >= 0.5:
            return 1.0
        odds = tail / (1 - tail)
        total += product * odds / (1 - odds)
    return total / (1 + total)
