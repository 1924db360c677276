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

from ..errors import InvalidInputError
from ..errors.arguments import check_fields, check_function, typed
from ..mdp.memory import PREFIX, Memory
from ..mdp.prefix import Prefixes, start
from ..mdp.task import Task
from ..mdp.trajectory import Trajectories
from ..mdp.tree import pack
from ..mdp.vocabulary import Vocabulary
from ..models.modes import evaluating
from ..policy.token_policy import TokenPolicy

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
        check_fields(self)
        check_function("Noise", "weights", self.weights, "prefixes")
        if self.burst < 1:
            raise InvalidInputError(f"burst={self.burst}: a mistake is at least one token")


@typed
def uniform(vocabulary: Vocabulary, burst: int = 1) -> Noise:
    """All tokens alike."""
    return Noise(partial(_alike, vocabulary), burst)


def confusions(weights: Callable[[Prefixes], Tensor | None], burst: int = 1) -> Noise:
    """A task's own mistakes: `confusions(task.confusions)`."""
    check_function("confusions", "weights", weights, "prefixes")
    return Noise(partial(_given, weights), burst)


@typed
def model(policy: TokenPolicy, burst: int = 1) -> Noise:
    """The mistakes that the model itself would make at the prefix, without dropout."""
    return Noise(partial(_own, policy), burst)


def none(task: Task, learner: TokenPolicy) -> None:
    """No mistakes: the demonstrations stay as they are."""


def alike(task: Task, learner: TokenPolicy) -> Weights:
    """All tokens alike."""
    return uniform(task.vocabulary).weights


def by_task(task: Task, learner: TokenPolicy) -> Weights:
    """The confusions of the task."""
    states = start(task.vocabulary, task.prompts(1, "train", 0), task.max_length)
    if task.confusions(states) is None:
        raise InvalidInputError(f"the task {task.name!r} has no confusions of its own; use the noise uniform or model")
    return confusions(task.confusions).weights


def by_learner(task: Task, learner: TokenPolicy) -> Weights:
    """The mistakes that the learner itself would make."""
    return model(learner).weights


SOURCES: dict[str, Callable[[Task, TokenPolicy], Weights | None]] = {
    "none": none,
    "uniform": alike,
    "task": by_task,
    "model": by_learner,
}
"""The built-in ones by name, for settings: (task, learner) -> weights, or None for no noise. Others register theirs as
`seqil.noise`."""


@typed
def mistype(
    vocabulary: Vocabulary,
    trajectories: Trajectories,
    rate: float,
    noise: Noise,
    generator: torch.Generator,
    mask_noise: bool = True,
    memory: Memory | str = PREFIX,
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
        memory: under one that forbids what was tried, the mistakes at a prefix are drawn without replacement, and none
            is a token that the trajectory writes there itself.

    Returns:
        Trajectories with the same prompts, final texts and limits.

    Raises:
        InvalidInputError: a bad rate, trajectories over another vocabulary, or a source whose weights are no weights.
    """
    trajectories.check_vocabulary(vocabulary)
    if not 0 <= rate < 1:
        raise InvalidInputError(f"rate={rate} must lie in [0, 1)")
    if not len(trajectories):
        raise InvalidInputError("no trajectories were given; give at least one")
    rows, steps = (trajectories.inside & (trajectories.actions != vocabulary.backspace)).nonzero(as_tuple=True)
    tries = torch.zeros(len(rows), dtype=torch.int64)
    if rate:
        tries = torch.empty(len(rows)).geometric_(1 - rate, generator=generator).long() - 1
    at = torch.arange(len(rows)).repeat_interleave(tries).to(rows.device)
    rows, steps = rows[at], steps[at]
    places = _Places(trajectories, rows, steps) if Memory.of(memory).forbids else None
    wrong, count = _wrong_tokens(vocabulary, trajectories, rows, steps, noise, generator, places)
    return _inserted(trajectories, rows, steps, wrong, count, mask_noise)


def _inserted(t: Trajectories, rows: Tensor, steps: Tensor, wrong: Tensor, count: Tensor, mask: bool) -> Trajectories:
    """Before step `steps[k]` of `rows[k]` the first `count[k]` of `wrong[k]`, and as many deletions; sorted by step."""
    extra = torch.zeros_like(t.actions).index_put_((rows, steps), 2 * count, accumulate=True)
    lengths = t.lengths + extra.sum(1)
    actions = t.actions.new_full((len(t), int(lengths.max())), t.vocabulary.size)
    imitate = torch.zeros_like(actions, dtype=torch.bool)
    row, step = t.inside.nonzero(as_tuple=True)
    moved = step + extra.cumsum(1)[row, step]
    actions[row, moved], imitate[row, moved] = t.actions[row, step], t.imitate[row, step]
    before = (2 * count).cumsum(0) - 2 * count  # in all rows
    first = steps + before - (extra.sum(1).cumsum(0) - extra.sum(1))[rows]
    for k in range(wrong.shape[1]):
        made = k < count
        row, pushed, deleted = rows[made], (first + k)[made], (first + count + k)[made]
        actions[row, pushed], imitate[row, pushed] = wrong[made, k], not mask
        actions[row, deleted], imitate[row, deleted] = t.vocabulary.backspace, True
    return Trajectories.from_actions(
        t.vocabulary,
        t.prompts,
        actions,
        max_length=t.max_length,
        min_length=t.min_length,
        lengths=lengths,
        imitate=imitate,
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


class _Places:
    """The prefixes of a tree at which mistakes are to be made, each with one law for all of them.

    Args:
        t: what the mistakes are inserted into.
        rows, steps: int64 [K], of the mistakes, in order.
    """

    def __init__(self, t: Trajectories, rows: Tensor, steps: Tensor) -> None:
        tree, v = pack(t.vocabulary, t), t.vocabulary
        key = rows * tree.tokens.shape[1] + tree.node_at[rows, steps]
        self.keys, self.of_mistake = key.unique(return_inverse=True)
        order = self.of_mistake.argsort(stable=True)
        sorted_ = self.of_mistake[order]
        rank = torch.arange(len(key), device=key.device) - torch.searchsorted(sorted_, sorted_)
        self.rank = torch.empty_like(rank).index_put((order,), rank)  # of each mistake, among those at its place
        self.first = order[rank == 0]
        row, step = (t.inside & (t.actions != v.backspace)).nonzero(as_tuple=True)
        key = row * tree.tokens.shape[1] + tree.node_at[row, step]
        place = torch.searchsorted(self.keys, key).clamp(max=max(len(self.keys) - 1, 0))
        here = self.keys[place] == key if len(self.keys) else torch.zeros_like(key, dtype=torch.bool)
        self.own = torch.zeros(len(self.keys), v.size, dtype=torch.bool, device=key.device)
        self.own[place[here], t.actions[row, step][here]] = True  # what the trajectories themselves write there

    def drawn(self, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Tokens without replacement, int64 [K], and whether there was one left, bool [K], by weights [K, V].

        The k-th largest of the logarithms of weights, each plus a Gumbel variable, is the k-th draw.
        """
        weights = weights[self.first].masked_fill(self.own, 0)
        uniform = torch.rand(weights.shape, generator=generator, dtype=torch.float64).to(weights.device)
        ranked = (weights.log() - (-uniform.log()).log()).argsort(1, descending=True)
        left = self.rank < (weights > 0).sum(1)[self.of_mistake]
        return ranked[self.of_mistake, self.rank.clamp(max=weights.shape[1] - 1)], left


def _wrong_tokens(
    v: Vocabulary,
    t: Trajectories,
    rows: Tensor,
    steps: Tensor,
    noise: Noise,
    generator: torch.Generator,
    places: _Places | None = None,
) -> tuple[Tensor, Tensor]:
    """For each (row, step) the wrong tokens to push there, int64 [K, burst], and how many: fewer where it is full."""
    if not len(rows):
        return rows.new_zeros(0, 1), rows
    prefixes = t.before(rows, steps)
    genuine = t.actions[rows, steps]
    most = min(noise.burst, t.max_length)  # what more there were would find no room
    tokens, length = prefixes.tokens.clone(), prefixes.length.clone()
    open_ = torch.ones(len(rows), dtype=torch.bool, device=tokens.device)
    wrong = torch.full((len(rows), most), v.size, device=tokens.device)
    for k in range(most):
        now = Prefixes(tokens, length, prefixes.prompt_length, prefixes.ended, t.max_length, t.min_length)
        weights = noise.weights(now)
        if not isinstance(weights, Tensor):
            raise InvalidInputError(
                f"the source of noise {_name(noise.weights)} gave {weights!r:.60}; return a tensor, float [K, V]"
            )
        weights = weights.double().clone()
        if weights.shape != (len(rows), v.size) or not bool(((weights >= 0) & weights.isfinite()).all()):
            raise InvalidInputError(
                f"the source of noise {_name(noise.weights)} gave weights of shape {tuple(weights.shape)} that are not "
                f"({len(rows)}, {v.size}) finite numbers of at least 0"
            )
        weights[:, v.eos] = 0
        if k == 0:
            weights.scatter_(1, genuine[:, None], 0)
        open_ &= (length - prefixes.prompt_length < t.max_length) & (weights.sum(1) > 0)
        if not open_.any():
            break
        if k == 0 and places is not None:
            drawn, left = places.drawn(weights, generator)
            open_ &= left
        else:
            drawn = _drawn(weights, generator)
        here = open_.nonzero()[:, 0]
        wrong[here, k] = tokens[here, length[here]] = drawn[here]
        length = length + open_.long()
    return wrong, length - prefixes.length


def _drawn(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One token per row by weights [K, V]: int64 [K]."""
    point = torch.rand(len(weights), 1, generator=generator, dtype=torch.float64).to(weights.device)
    cdf = weights.cumsum(1)
    below = torch.minimum(point * cdf[:, -1:], cdf[:, -1:].nextafter(cdf.new_zeros(())))
    return torch.searchsorted(cdf, below, right=True)[:, 0]


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))
