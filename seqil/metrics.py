"""What is measured of a sample, in float64: errors over the horizon, backspaces, cost, text.

A *judge* is a function `(prompt, tokens) -> index of the first error or None`, such as `Task.first_error`. It must be
consistent: a prefix that holds no error of the whole text holds none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .policy import TokenPolicy, evaluating
from .statistics import Estimate, proportion
from .trajectory import Trajectories, held

if TYPE_CHECKING:
    from .decoding import Rule

Judge = Callable[[Sequence[int], Sequence[int]], int | None]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


# -- errors over the horizon ---------------------------------------------------------------------------


def first_errors(trajectories: Trajectories, judge: Judge) -> tuple[Ints, Ints]:
    """First error of every final text and tokens at risk.

    Returns:
        Index of the first error, int64 [B], -1 where there is none, and the number of tokens that were written
        before the first error or the end, int64 [B]; `eos` counts only as an error.
    """
    prompts, texts = prompt_lists(trajectories), trajectories.replay().texts()
    eos = trajectories.vocabulary.eos
    first = [judge(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    survived = [
        len(text) - (text[-1:] == [eos]) if error is None else error for error, text in zip(first, texts, strict=True)
    ]
    return np.array([-1 if e is None else e for e in first]), np.array(survived)


def hazard(first: Ints, survived: Ints, begin: int = 0, end: int | None = None) -> Estimate:
    """Errors per token at risk between two horizons, with Wilson's interval: `first` and `survived` as above."""
    stop = int(survived.max(initial=0)) + 1 if end is None else end
    hits = int(((first >= begin) & (first < stop)).sum())
    at_risk = int(np.clip(survived + (first >= 0), begin, stop).sum()) - begin * len(first)
    return proportion(hits, at_risk, "tokens")


def survival(first: Ints, survived: Ints) -> tuple[Floats, Floats]:
    """Kaplan-Meier estimate and Greenwood standard error of P(first error > t) at t = 0, 1, …, both float64 [T].

    A text that ended or was cut without an error is censored there.
    """
    T = int(survived.max(initial=0)) + 1
    t = np.arange(T)
    at_risk = ((survived[:, None] + (first[:, None] >= 0)) > t).sum(0)
    errors = (first[:, None] == t).sum(0)
    share = np.divide(errors, at_risk, out=np.zeros(T), where=at_risk > 0)
    curve = np.cumprod(1 - share)
    left = at_risk * (at_risk - errors)
    greenwood = np.cumsum(np.divide(errors, left, out=np.zeros(T), where=left > 0))
    return curve, curve * np.sqrt(greenwood)


# -- one step ------------------------------------------------------------------------------------------


def kl(p: Tensor, log_q: Tensor) -> Tensor:
    """`KL(p || q)` over the last dimension, in float64; infinite where `q` lacks what `p` has, never NaN."""
    p, log_q = p.double(), log_q.double()
    log_p = torch.where(p > 0, p, 1).log()
    return torch.where(p > 0, p * (log_p - log_q), 0).sum(-1).clamp(min=0)


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the L1 distance over the last dimension."""
    return (p.double() - q.double()).abs().sum(-1) / 2


def squared_hellinger(p: Tensor, q: Tensor) -> Tensor:
    """`sum (sqrt p - sqrt q)^2 / 2` over the last dimension, between 0 and 1: half of what `divergences` matches."""
    return (p.double().sqrt() - q.double().sqrt()).square().sum(-1) / 2


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence over the last dimension, in nats."""
    middle = (p.double() + q.double()) / 2
    return (kl(p, middle.log()) + kl(q, middle.log())) / 2


def excess_accumulated_error(regret: float, step_error: float, horizon: int) -> float:
    """%ExAccErr (Arora et al. 2022, equation 6): how far errors accumulate beyond `horizon` times the step error, in %.

    Args:
        regret: sum over the horizon of the on-policy step errors.
        step_error: mean off-policy step error.
        horizon: number of generated positions.
    """
    return math.inf if step_error == 0 else 100 * (regret - horizon * step_error) / (horizon * step_error)


def token_log_probs(log_probs: Tensor) -> Tensor:
    """Law of the next token given that none is deleted: [B, A] -> [B, V], both logs."""
    tokens = log_probs[:, :-1].double()
    return tokens - tokens.logsumexp(-1, keepdim=True)


# -- backspaces ----------------------------------------------------------------------------------------


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
        predicted: share of errors that `profile` says are ever deleted, `S / (1 + S)`.
    """

    profile: list[Estimate]
    hits: int
    path: int
    false: int
    errors: int
    predicted: float

    @property
    def precision(self) -> Estimate:
        """Share of deletions made while an error stood."""
        return proportion(self.hits + self.path, self.hits + self.path + self.false, "deletions")

    @property
    def recall(self) -> Estimate:
        """Share of errors that were ever deleted."""
        return proportion(self.hits, self.errors, "errors")


def backspaces(trajectories: Trajectories, judge: Judge, depths: int = 16) -> Backspaces:
    """Count errors and deletions of every step, those of undone text included."""
    depth = error_depth(trajectories, judge)
    before, after = depth[:, :-1], depth[:, 1:]
    inside = trajectories.inside.cpu().numpy()
    pop = (trajectories.actions == trajectories.vocabulary.backspace).cpu().numpy() & inside
    profile = [
        proportion(int((pop & (before == k)).sum()), int((inside & (before == k)).sum()), "steps")
        for k in range(1, depths + 1)
    ]
    return Backspaces(
        profile,
        hits=int((pop & (before == 1)).sum()),
        path=int((pop & (before > 1)).sum()),
        false=int((pop & (before == 0)).sum()),
        errors=int((inside & ~pop & (before == 0) & (after == 1)).sum()),
        predicted=ever_deleted([b.value for b in profile]),
    )


def ever_deleted(profile: Sequence[float], tail: float = 0.0) -> float:
    """Share of errors ever deleted if `b_k` is the chance of a deletion at depth k: the gambler's ruin `S / (1 + S)`.

    `S = sum_k prod_{j <= k} b_j / (1 - b_j)`. The profile ends at its first NaN (a depth never reached); beyond it
    `b_k = tail`, and from 1/2 on every error is deleted some time.
    """
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


# -- cost and text -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What sampling took, per row: int64 [B] each.

    Attributes:
        actions: tokens, deletions and `eos`.
        forwards: positions that the model computed: the prompt's but one, one per action, and what rules took.
        net: tokens of the final text, `eos` included.
    """

    actions: Ints
    forwards: Ints
    net: Ints


def cost(trajectories: Trajectories, rules: Sequence[Rule] = ()) -> Cost:
    """Count actions, forward positions (those of the rules that were sampled with included) and net tokens."""
    actions = trajectories.lengths
    forwards = trajectories.prompt_lengths - 1 + actions
    before, _ = held(trajectories.vocabulary, trajectories.actions, trajectories.inside)
    for fed in filter(None, (getattr(rule, "forwards", None) for rule in rules)):
        forwards = forwards + (fed(trajectories.prompt_lengths[:, None] + before) * trajectories.inside).sum(1)
    net = trajectories.replay().generated
    return Cost(*(x.cpu().numpy() for x in (actions, forwards, net)))


@torch.no_grad()
def negative_log_likelihood(policy: TokenPolicy, trajectories: Trajectories, batch_size: int = 64) -> Floats:
    """Nats per action of clean demonstrations, given that none is deleted: float64 [B].

    Of a policy with a backspace this is the likelihood of its tokens, renormalised without the backspace.
    """
    rows: list[Floats] = []
    with evaluating(policy):
        for at in range(0, len(trajectories), batch_size):
            part = trajectories.select(slice(at, at + batch_size))
            values = policy.step_values(part.to(policy.weight.device), backspace=False)
            rows.append(-(values.log_prob * values.mask).sum(1).double().cpu().numpy() / part.lengths.numpy())
    return np.concatenate(rows)


def repetition(texts: Sequence[Sequence[int]], n: int = 4) -> Floats:
    """rep-n (Welleck et al. 2020): share of a text's n-grams that occurred earlier in it, float64 [texts].

    NaN for a text too short to have one.
    """
    return np.array([1 - distinct([text], n) for text in texts])


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """distinct-n (Li et al. 2016): different n-grams over all n-grams of the texts."""
    grams = _grams(texts, n)
    return len(grams) / sum(grams.values()) if grams else math.nan


def ngram_entropy(texts: Sequence[Sequence[int]], n: int) -> float:
    """Entropy of the pooled empirical n-gram law, in nats."""
    counts = np.array(list(_grams(texts, n).values()), dtype=np.float64)
    p = counts / counts.sum() if len(counts) else counts
    return float(-(p * np.log(p)).sum())


def _grams(texts: Sequence[Sequence[int]], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1))


def prompt_lists(trajectories: Trajectories) -> list[list[int]]:
    """Prompts as id lists."""
    lengths = trajectories.prompt_lengths.tolist()
    return [row[:n] for row, n in zip(trajectories.prompts.tolist(), lengths, strict=True)]
