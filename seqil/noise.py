"""Demonstrations with backspaces: mistype a token, then delete it.

Demonstrations never contain a mistake, so a policy cloned from them never learns to delete one. Before a genuine
token `mistype` pushes a wrong token with some probability, and demonstrates its deletion. Replaying the noised
trajectory gives the clean text.

Imitated noise (`mask_noise=False`): at gamma = 1 the population-optimal policy finally writes exactly the law of the
data, and errs at the noise rate while writing. Masked noise: fewer errors are written, and the final text is biased
against rare tokens by a known amount.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .errors import InvalidInputError
from .policy import TokenPolicy, evaluating
from .prefix import Prefixes
from .trajectory import Trajectories
from .vocabulary import Vocabulary

Weights = Callable[[Prefixes], Tensor]
"""Prefixes (K rows) -> nonnegative weights of the tokens, float [K, V]; `eos` and the genuine token are ignored."""


@dataclass(frozen=True)
class Noise:
    """A source of wrong tokens.

    Attributes:
        weights: how likely each token is as a mistake at a prefix.
        burst: wrong tokens per mistake; as many deletions follow.
    """

    weights: Weights
    burst: int = 1

    def __post_init__(self) -> None:
        if self.burst < 1:
            raise InvalidInputError(f"burst={self.burst}: a mistake is at least one token")


def uniform(vocabulary: Vocabulary, burst: int = 1) -> Noise:
    """All tokens alike."""
    return Noise(partial(_alike, vocabulary), burst)


def confusions(weights: Callable[[Prefixes], Tensor | None], burst: int = 1) -> Noise:
    """A task's own mistakes: `confusions(task.confusions)`."""
    return Noise(partial(_given, weights), burst)


def model(policy: TokenPolicy, burst: int = 1) -> Noise:
    """The mistakes that the model itself would make at the prefix, without dropout."""
    return Noise(partial(_own, policy), burst)


def mistype(
    vocabulary: Vocabulary,
    trajectories: Trajectories,
    rate: float,
    noise: Noise,
    generator: torch.Generator,
    mask_noise: bool = True,
) -> Trajectories:
    """Insert mistakes and their deletions before genuine tokens.

    Args:
        vocabulary: the ids.
        trajectories: B rows; their genuine deletions, if any, are left alone.
        rate: probability of a mistake before a token, and of one more after it was deleted; in [0, 1).
        noise: where wrong tokens come from. Never `eos` or the genuine token, never beyond `max_length`: where
            nothing else is left (or all weights are zero) no mistake is made.
        generator: CPU generator.
        mask_noise: mark the wrong pushes as not to be imitated (`imitate` False); deletions always count.

    Returns:
        Trajectories with the same prompts, final texts and limits.

    Raises:
        InvalidInputError: a bad rate, trajectories over another vocabulary, or a source whose weights are no weights.
    """
    trajectories.check_vocabulary(vocabulary)
    if not 0 <= rate < 1:
        raise InvalidInputError(f"rate={rate} must lie in [0, 1)")
    rows, steps = (trajectories.inside & (trajectories.actions != vocabulary.backspace)).nonzero(as_tuple=True)
    tries = (
        torch.empty(len(rows)).geometric_(1 - rate, generator=generator).long() - 1 if rate else torch.zeros(0).long()
    )
    at = torch.arange(len(rows)).repeat_interleave(tries) if rate else tries
    inserted: dict[tuple[int, int], list[list[int]]] = {}
    if len(at):
        mistakes = _wrong_tokens(vocabulary, trajectories, rows[at], steps[at], noise, generator)
        for row, step, wrong in zip(rows[at].tolist(), steps[at].tolist(), mistakes, strict=True):
            if wrong:
                inserted.setdefault((row, step), []).append(wrong)
    actions, imitate = [], []
    for row, (taken, marks, n) in enumerate(
        zip(trajectories.actions.tolist(), trajectories.imitate.tolist(), trajectories.lengths.tolist(), strict=True)
    ):
        out: list[int] = []
        counts: list[bool] = []
        for step in range(n):
            for wrong in inserted.get((row, step), ()):
                out += wrong + [vocabulary.backspace] * len(wrong)
                counts += [not mask_noise] * len(wrong) + [True] * len(wrong)
            out.append(taken[step])
            counts.append(marks[step])
        actions.append(out)
        imitate.append(counts)
    width = max(map(len, actions), default=0)
    return Trajectories.from_actions(
        vocabulary,
        trajectories.prompts,
        actions,
        max_length=trajectories.max_length,
        min_length=trajectories.min_length,
        imitate=torch.tensor([c + [False] * (width - len(c)) for c in imitate], dtype=torch.bool),
    )


def _alike(vocabulary: Vocabulary, prefixes: Prefixes) -> Tensor:
    return torch.ones(len(prefixes), vocabulary.size, device=prefixes.tokens.device)


def _given(weights: Callable[[Prefixes], Tensor | None], prefixes: Prefixes) -> Tensor:
    found = weights(prefixes)
    if found is None:
        raise InvalidInputError("the task has no confusions of its own; use noise.uniform or noise.model")
    return found


@torch.no_grad()
def _own(policy: TokenPolicy, prefixes: Prefixes) -> Tensor:
    with evaluating(policy):
        found = policy.log_probs(prefixes.to(policy.weight.device))
    return found[:, : policy.vocabulary.size].exp().to(prefixes.tokens.device)


def _wrong_tokens(
    v: Vocabulary, t: Trajectories, rows: Tensor, steps: Tensor, noise: Noise, generator: torch.Generator
) -> list[list[int]]:
    """For each (row, step) the wrong tokens to push there: `noise.burst` of them, fewer where the text is full."""
    prefixes = t.before(rows, steps)
    genuine = t.actions[rows, steps]
    tokens, length = prefixes.tokens.clone(), prefixes.length.clone()
    open_ = torch.ones(len(rows), dtype=torch.bool, device=tokens.device)
    mistakes: list[list[int]] = [[] for _ in range(len(rows))]
    for k in range(noise.burst):
        now = Prefixes(tokens, length, prefixes.prompt_length, prefixes.ended, t.max_length, t.min_length)
        weights = noise.weights(now).double().clone()
        if weights.shape != (len(rows), v.size) or not bool(((weights >= 0) & weights.isfinite()).all()):
            raise InvalidInputError(
                f"a source of noise gave weights of shape {tuple(weights.shape)} that are not "
                f"({len(rows)}, {v.size}) finite numbers of at least 0"
            )
        weights[:, v.eos] = 0
        if k == 0:
            weights.scatter_(1, genuine[:, None], 0)
        open_ &= (length - prefixes.prompt_length < t.max_length) & (weights.sum(1) > 0)
        if not open_.any():
            break
        point = torch.rand(len(rows), 1, generator=generator, dtype=torch.float64).to(weights.device)
        cdf = weights.cumsum(1)
        drawn = torch.searchsorted(
            cdf, torch.minimum(point * cdf[:, -1:], cdf[:, -1:].nextafter(cdf.new_zeros(()))), right=True
        )[:, 0]
        for i in open_.nonzero()[:, 0].tolist():
            mistakes[i].append(int(drawn[i]))
        here = open_.nonzero()[:, 0]
        tokens[here, length[here]] = drawn[here]
        length = length + open_.long()
    return mistakes
